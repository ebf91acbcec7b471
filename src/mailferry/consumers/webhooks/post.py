"""One request to a webhook: built, signed, sent; what came of it is a value."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Protocol

from mailferry.consumers.webhooks import envelopes, judge, signing
from mailferry.consumers.webhooks.pending import Attempt
from mailferry.net.http_call import TOTAL_SECONDS, BadUrl, Reply, Url
from mailferry.resources.notification_keys import NotificationKey
from mailferry.resources.webhooks import TOPIC, Webhook
from mailferry.store.secrets import Sealer, WrongKey

#: Ports of URLs where private addresses are not allowed: whoever may name any port may knock at any service.
USUAL_PORTS = (80, 443)
#: Characters of an answer that the log keeps.
KEPT = 500


class Client(Protocol):
    """See net/http.py."""

    async def post(self, url: Url, body: bytes, headers: Mapping[str, str], *, seconds: float) -> Reply: ...


class Poster:
    """``signing_key``: of notifications. ``any_port``: not only the usual ones. ``seconds``: what a receiver has to answer."""

    def __init__(
        self,
        client: Client,
        sealer: Sealer,
        clock: Callable[[], int],
        signing_key: Callable[[], Awaitable[NotificationKey]],
        *,
        any_port: bool,
        seconds: float = TOTAL_SECONDS,
    ) -> None:
        self._client = client
        self._sealer = sealer
        self._clock = clock
        self._signing_key = signing_key
        self._any_port = any_port
        self._seconds = seconds

    async def post(self, webhook: Webhook, identity: str, payloads: Sequence[str]) -> Reply:
        try:
            url = webhook.target(self._sealer)
            content, headers = await self._written(webhook, identity, payloads)
        except (BadUrl, WrongKey) as error:
            return Reply(0, str(error), reached=False)
        if not self.may_have(url.port):
            return Reply(0, f"port {url.port} is not called; webhooks use 443 and 80", reached=False)
        all_headers = headers | signing.authorization(url.userinfo)
        return await self._client.post(url, content, all_headers, seconds=self._seconds)

    async def _written(self, webhook: Webhook, identity: str, payloads: Sequence[str]) -> tuple[bytes, dict[str, str]]:
        if webhook.type == TOPIC:
            (payload,) = payloads
            key = await self._signing_key()
            # A signature is a millisecond of work, and lets go of the interpreter meanwhile.
            return await asyncio.to_thread(envelopes.write, envelopes.read(payload), key)
        content = signing.body(payloads, webhook.payload_format)
        secret = webhook.secret(self._sealer)
        return content, signing.headers(content, webhook.payload_format, secret, identity, self._clock() // 1000)

    def may_have(self, port: int) -> bool:
        return self._any_port or port in USUAL_PORTS


def attempt(webhook: Webhook, events: int, reply: Reply, at: int, kind: str = "batch") -> Attempt:
    """As the log keeps it."""
    return Attempt(
        webhook_id=webhook.id,
        at=at,
        events=events,
        status=reply.status,
        error="" if judge.is_taken(reply, any_success=bool(webhook.subscription)) else judge.words(reply),
        response=reply.body[: 4 * KEPT].decode("utf-8", "replace").replace("\0", "\ufffd")[:KEPT],
        ms=reply.ms,
        kind=kind,
    )
