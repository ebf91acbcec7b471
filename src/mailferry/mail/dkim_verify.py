"""DKIM signatures judged (RFC 6376 section 6 with RFC 8301 and RFC 8463). Pure: whoever asks brings the key records.

for signature in signatures(message):       # what each DKIM-Signature field says, or why it cannot be one
    texts = ...                             # the TXT records of signature.key_name
    judge(message, signature, texts)        # "" or why it does not hold
"""

import base64
import binascii
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa, utils
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from mailferry.mail import dkim
from mailferry.mail.canonical import relaxed_body, relaxed_fields
from mailferry.mail.header import BadHeader, Field, read_head

MOST = 8
"""Signatures of a message that are looked at (RFC 6376 8.4: verifiers may bound them)."""

_B_VALUE = re.compile(rb"((?:^|;)[ \t\r\n]*b[ \t\r\n]*=)[^;]*")
_HOST = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,251}[A-Za-z0-9_])?")
_HASHED = utils.Prehashed(hashes.SHA256())


@dataclass(frozen=True, slots=True)
class Signature:
    """`problem`: why the field is no signature that could hold, empty when it may. `domain` and `selector`: d= and s=."""

    domain: str = ""
    selector: str = ""
    algorithm: str = ""
    problem: str = ""
    tags: dict[str, str] = field(default_factory=dict, repr=False)
    raw: bytes = field(default=b"", repr=False)

    @property
    def key_name(self) -> str:
        return f"{self.selector}._domainkey.{self.domain}"


def signatures(message: bytes) -> list[Signature]:
    """Of a message with CRLF line ends, from the top down; an unreadable header has none."""
    try:
        fields = read_head(message).fields
    except BadHeader:
        return []
    return [_read(each) for each in fields if each.lower == b"dkim-signature"][:MOST]


def _read(each: Field) -> Signature:
    tags = dkim.tags(each.value.decode("latin-1"))
    if tags is None:
        return Signature(problem="it is no list of tags", raw=each.raw)
    domain, selector, algorithm = tags.get("d", "").lower(), tags.get("s", "").lower(), tags.get("a", "").lower()
    return Signature(domain, selector, algorithm, _problem(tags, domain, selector, algorithm), tags, each.raw)


def _problem(tags: dict[str, str], domain: str, selector: str, algorithm: str) -> str:
    """RFC 6376 6.1.1."""
    if missing := [name for name in ("v", "a", "b", "bh", "d", "h", "s") if not tags.get(name)]:
        return f"it has no {', '.join(f'{name}=' for name in missing)}"
    if tags["v"] != "1":
        return f"its version is {tags['v'][:20]}, not 1"
    if not _HOST.fullmatch(domain) or not _HOST.fullmatch(selector):
        return "its d= or s= is no name"
    if algorithm == "rsa-sha1":
        return "rsa-sha1 is not accepted any more (RFC 8301)"
    if algorithm not in ("rsa-sha256", "ed25519-sha256"):
        return f"its algorithm {algorithm[:30]} is unknown"
    if any(kind not in ("simple", "relaxed") for kind in _canonicalization(tags)):
        return f"its canonicalization {tags['c'][:30]} is unknown"
    if "from" not in _names(tags):
        return "it does not sign the From field"
    if (agent := tags.get("i", "").rpartition("@")[2].lower()) and agent != domain and not agent.endswith(f".{domain}"):
        return "its i= is not of its domain"
    return ""


def _canonicalization(tags: dict[str, str]) -> tuple[str, str]:
    head, _, body = tags.get("c", "simple/simple").lower().partition("/")
    return head, body or "simple"  # RFC 6376 3.5


def _names(tags: dict[str, str]) -> list[str]:
    return [name.strip().lower() for name in tags["h"].split(":")]


def judge(message: bytes, signature: Signature, texts: Sequence[str]) -> str:
    """Why a signature does not hold; "" when it does. `texts` are the TXT records at its `key_name`."""
    if signature.problem:
        return signature.problem
    if problem := _body_problem(message, signature):
        return problem
    problem = f"there is no key at {signature.key_name}"
    for text in texts[:5]:
        problem = _key_problem(message, signature, text)
        if not problem:
            return ""
    return problem


def _body_problem(message: bytes, signature: Signature) -> str:
    body = message[read_head(message).body_at :]
    body = relaxed_body(body) if _canonicalization(signature.tags)[1] == "relaxed" else _simple(body)
    if length := signature.tags.get("l"):
        if not re.fullmatch(r"[0-9]{1,12}", length) or int(length) > len(body):
            return "its l= is longer than the body"
        body = body[: int(length)]
    wanted = "".join(signature.tags["bh"].split())
    if base64.b64encode(hashlib.sha256(body).digest()).decode() != wanted:
        return "the body was changed after it was signed"
    return ""


def _simple(body: bytes) -> bytes:
    """RFC 6376 3.4.3: empty lines at the end become one line end, which a body without any gets."""
    end = len(body)
    while body.endswith(b"\r\n", 0, end):
        end -= 2
    return body[:end] + b"\r\n"


def _key_problem(message: bytes, signature: Signature, text: str) -> str:
    record = dkim.parse_record(text)
    if record is None:
        return f"what {signature.key_name} has is no DKIM key"
    if record.revoked:
        return "its key is revoked"
    if not record.usable:
        return "its key may not be used for mail or with SHA-256"
    if record.algorithm != signature.algorithm:
        return f"its key is for {record.algorithm}, the signature is {signature.algorithm}"
    try:
        octets = base64.b64decode("".join(signature.tags["b"].split()))
        return _verify(record.public, octets, _signed(message, signature))
    except binascii.Error:
        return "its b= is no base64"


def _verify(public: bytes, signature: bytes, signed: bytes) -> str:
    digest = hashlib.sha256(signed).digest()
    try:
        if len(public) == 32:
            Ed25519PublicKey.from_public_bytes(public).verify(signature, digest)
            return ""
        key = serialization.load_der_public_key(public)
        if not isinstance(key, rsa.RSAPublicKey):
            return "its key is of another kind than it says"
        if key.key_size < dkim.RSA_LEAST_BITS:
            return f"its key has {key.key_size} bits; {dkim.RSA_LEAST_BITS} is the least (RFC 8301)"
        key.verify(signature, digest, padding.PKCS1v15(), _HASHED)
    except InvalidSignature:
        return "a signed header field was changed, or another key signed it"
    except (ValueError, UnsupportedAlgorithm):
        return "its key cannot be read"
    return ""


def _signed(message: bytes, signature: Signature) -> bytes:
    """RFC 6376 3.7 and 5.4.2: of several fields of one name, each mention in h= takes the next from the bottom."""
    waiting: dict[str, list[bytes]] = {}
    for each in read_head(message).fields:
        waiting.setdefault(each.lower.decode(), []).append(each.raw)
    chosen = [waiting[name].pop() for name in _names(signature.tags) if waiting.get(name)]
    name, colon, value = signature.raw.partition(b":")
    own = name + colon + _B_VALUE.sub(rb"\1", value.removesuffix(b"\r\n"))
    if _canonicalization(signature.tags)[0] == "relaxed":
        return relaxed_fields(chosen) + relaxed_fields([own]).removesuffix(b"\r\n")
    return b"".join(chosen) + own
