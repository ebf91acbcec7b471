"""What a request to a webhook consists of: the body, signed as Mailtrap does and by Standard Webhooks.

Mailtrap-Signature is the hex HMAC-SHA256 of the raw body; the key is the secret as text. Standard Webhooks
(https://www.standardwebhooks.com, specification 1.0) signs id, time and body, which a receiver can tell a replayed request
by; its key is the same octets, written as `whsec_` and their base64.
"""

import base64
import hashlib
import hmac
import uuid
from collections.abc import Sequence

from mailferry import __version__
from mailferry.resources.webhooks import EVENT, JSON_LINES

CONTENT_TYPE = {"json": "application/json", JSON_LINES: "application/jsonl", EVENT: "application/json"}
_NAMESPACE = uuid.UUID("8d1c1f0e-6a0b-5b7e-9a58-3f5b0a1c7d42")


def event_id(recipient_id: str, number: int) -> str:
    """Of an event of the journal: the same whenever and to whomever it is sent, so that receivers know it again."""
    return str(uuid.uuid5(_NAMESPACE, f"{recipient_id}/{number}"))


def request_id(webhook_id: int, deliveries: Sequence[int]) -> str:
    """The same for the same events: a request that is repeated as it was has the id that it had."""
    return str(uuid.uuid5(_NAMESPACE, f"{webhook_id}:{','.join(map(str, deliveries))}"))


def body(payloads: Sequence[str], payload_format: str) -> bytes:
    """JSON Lines have no last line end: many receivers cut at line ends and read what is left as JSON."""
    alone = payload_format in (JSON_LINES, EVENT)
    text = "\n".join(payloads) if alone else f'{{"events":[{",".join(payloads)}]}}'
    return text.encode()


def headers(content: bytes, payload_format: str, secret: str, identity: str, seconds: int) -> dict[str, str]:
    """``identity``: of the request; ``seconds``: Unix time."""
    return {
        "Content-Type": CONTENT_TYPE[payload_format],
        "User-Agent": f"Mailferry/{__version__}",
        "Accept": "*/*",
        "Mailtrap-Signature": hmac.new(secret.encode(), content, hashlib.sha256).hexdigest(),
        "Webhook-Id": identity,
        "Webhook-Timestamp": str(seconds),
        "Webhook-Signature": f"v1,{_standard(content, secret, identity, seconds)}",
    }


def authorization(userinfo: str) -> dict[str, str]:
    """Basic authentication (RFC 7617) for `user:password` of the URL."""
    return {"Authorization": f"Basic {base64.b64encode(userinfo.encode()).decode()}"} if userinfo else {}


def standard_secret(secret: str) -> str:
    """The secret as libraries of Standard Webhooks want it."""
    return f"whsec_{base64.b64encode(secret.encode()).decode()}"


def _standard(content: bytes, secret: str, identity: str, seconds: int) -> str:
    signed = f"{identity}.{seconds}.".encode() + content
    return base64.b64encode(hmac.new(secret.encode(), signed, hashlib.sha256).digest()).decode()
