"""DKIM signatures and their keys: RFC 6376 with RFC 8301 (SHA-256, key sizes) and RFC 8463 (Ed25519).

Signing is cut in two, so that RSA can run in other processes, which see nothing but 32 octets:

    unsigned = digest(head, message, keys, timestamp=now)   # scans and hashes the message once for all keys
    signature = sign(private_key, unsigned[0].digest)       # the expensive part
    field = finish(unsigned[0], signature)                  # goes in front of the message

Bodies and fields are canonicalised relaxed/relaxed (why, and at what price: canonical.py). There is no l= (it lets
anybody append, RFC 6376 8.2), no x= (mail that waits in queues would lose its signature) and no i= (d= says enough).
"""

import base64
import binascii
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa, utils
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from mailferry.mail.canonical import relaxed_body_hash, relaxed_fields
from mailferry.mail.header import Head

Algorithm = Literal["rsa-sha256", "ed25519-sha256"]
PrivateKey = rsa.RSAPrivateKey | Ed25519PrivateKey

# Oversigned: listed in h= once more than they occur, so that nobody can put a second one on top of a signed message
# and have readers believe it (RFC 6376 5.4.2, 8.15), nor one that was absent. The list headers are among them because
# RFC 8058 (one click) and feedback loops act on them; the price is that a mailing list that adds its own List-Id and
# changes nothing else breaks the signature, and such lists rewrite From anyway where DMARC is enforced.
SEALED = (
    b"from",
    b"to",
    b"cc",
    b"subject",
    b"date",
    b"message-id",
    b"reply-to",
    b"in-reply-to",
    b"references",
    b"mime-version",
    b"content-type",
    b"list-id",
    b"list-unsubscribe",
    b"list-unsubscribe-post",
    b"feedback-id",
)
# Oversigned only where they occur: relays do add these in good faith, and an added one gains an attacker nothing.
COVERED = (
    b"content-transfer-encoding",
    b"sender",
    b"list-help",
    b"list-owner",
    b"list-subscribe",
    b"list-post",
    b"list-archive",
    b"auto-submitted",
    b"precedence",
    b"cfbl-address",  # RFC 9477 3.1: only counts when it is signed
    b"cfbl-feedback-id",
)
_SIGNED = SEALED + COVERED
_WANTED, _SEALED = frozenset(_SIGNED), frozenset(SEALED)

RSA_BITS = 2048  # RFC 8301 3.2: at least 1024 must, 2048 should; longer keys do not fit one TXT string
RSA_LEAST_BITS = 1024
LINE = 76  # h= and b= are folded at this; RFC 5322 2.1.1 asks for 78

_PADDING = padding.PKCS1v15()
_HASHED = utils.Prehashed(hashes.SHA256())


@dataclass(frozen=True, slots=True)
class Key:
    """Which key signs: the signing domain (d=), its selector (s=) and the algorithm (a=). Names are A-labels."""

    domain: str
    selector: str
    algorithm: Algorithm


@dataclass(frozen=True, slots=True)
class Unsigned:
    """One signature without its last step.

    `digest` is what is to be signed (SHA-256 over fields and the unsigned DKIM-Signature), `prefix` the
    DKIM-Signature field up to and including "b=".
    """

    key: Key
    digest: bytes
    prefix: bytes


def digest(head: Head, message: bytes, keys: Sequence[Key], *, timestamp: int) -> list[Unsigned]:
    """What each key has to sign of a message with CRLF line ends; `timestamp` is t=, in Unix seconds."""
    body_hash = base64.b64encode(relaxed_body_hash(message, head.body_at))
    names, block = _signed_fields(head)
    listed = _fold_names(names)
    hashed = hashlib.sha256(block)
    result = []
    for key in keys:
        prefix = (
            f"DKIM-Signature: v=1; a={key.algorithm}; c=relaxed/relaxed;\r\n"
            f"\td={key.domain}; s={key.selector}; t={timestamp};\r\n\th="
        ).encode("ascii") + b"%b;\r\n\tbh=%b;\r\n\tb=" % (listed, body_hash)
        # RFC 6376 3.7: the field itself comes last, with b= empty and without a final CRLF.
        each = hashed.copy()
        each.update(relaxed_fields([prefix])[:-2])
        result.append(Unsigned(key, each.digest(), prefix))
    return result


def sign(private_key: PrivateKey, digest: bytes) -> bytes:
    """The signature over an `Unsigned.digest`: RSASSA-PKCS1-v1_5, or Ed25519 over the digest's octets (RFC 8463 3)."""
    if isinstance(private_key, Ed25519PrivateKey):
        return private_key.sign(digest)
    return private_key.sign(digest, _PADDING, _HASHED)


def finish(unsigned: Unsigned, signature: bytes) -> bytes:
    """The whole DKIM-Signature field, CRLF included."""
    text = base64.b64encode(signature)
    first = LINE - len("\tb=")
    lines = [text[:first]] + [text[at : at + LINE - 1] for at in range(first, len(text), LINE - 1)]
    return unsigned.prefix + b"\r\n\t".join(lines) + b"\r\n"


def _signed_fields(head: Head) -> tuple[list[bytes], bytes]:
    """The names for h=, and the canonical fields in that order."""
    found: dict[bytes, list[bytes]] = {}
    for field in head.fields:
        name = field.lower
        if name in _WANTED:
            found.setdefault(name, []).append(field.raw)
    names: list[bytes] = []
    fields: list[bytes] = []
    for name in _SIGNED:
        there = found.get(name)
        if there is not None:
            # RFC 6376 5.4.2: of several fields of one name the last is signed first.
            fields += reversed(there)
            names += [name] * (len(there) + 1)
        elif name in _SEALED:
            names.append(name)
    return names, relaxed_fields(fields)


def _fold_names(names: Sequence[bytes]) -> bytes:
    lines: list[bytes] = []
    line = b"h="
    for name in names:
        if len(line) + len(name) > LINE - 2:  # the tab in front, the colon behind
            lines.append(line)
            line = b""
        line += name + b":"
    lines.append(line[:-1])
    return b"\r\n\t".join(lines)[len("h=") :]


def generate(algorithm: Algorithm) -> tuple[bytes, bytes]:
    """A new key pair: the private key as PKCS #8 PEM, the public part as it stands behind p=. RSA takes 50-300 ms."""
    private: PrivateKey
    if algorithm == "ed25519-sha256":
        private = Ed25519PrivateKey.generate()
    else:
        private = rsa.generate_private_key(public_exponent=65537, key_size=RSA_BITS)
    pem = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return pem, public_part(private)


def from_der(der: bytes) -> tuple[bytes, bytes]:
    """As :func:`generate`, of an RSA key that was made elsewhere: PKCS #1 or PKCS #8. ValueError: it cannot sign DKIM."""
    try:
        private = serialization.load_der_private_key(der, password=None)
    except (TypeError, UnsupportedAlgorithm) as error:  # encrypted; a curve that nobody knows
        raise ValueError(str(error)) from None
    if not isinstance(private, rsa.RSAPrivateKey):
        raise ValueError("the key is no RSA key")
    # Verifiers need not take longer ones (RFC 8301 3.2), and one TXT string does not hold them.
    if not RSA_LEAST_BITS <= private.key_size <= RSA_BITS:
        raise ValueError(f"the key has {private.key_size} bits instead of {RSA_LEAST_BITS} to {RSA_BITS}")
    pem = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return pem, public_part(private)


def load(private_pem: bytes, *, foreign: bool = False) -> PrivateKey:
    """Reads a private key; ValueError for one that cannot sign DKIM (another kind, RSA under 1024 bits).

    `foreign`: the key was made elsewhere, so that its numbers are tested as well. For RSA-2048 this takes 50 ms, the
    rest 0.02: too much for a key of our own each time a signer meets its domain.
    """
    key = serialization.load_pem_private_key(private_pem, password=None, unsafe_skip_rsa_key_validation=not foreign)
    if isinstance(key, Ed25519PrivateKey):
        return key
    if not isinstance(key, rsa.RSAPrivateKey):
        raise ValueError("DKIM keys are RSA or Ed25519")
    if key.key_size < RSA_LEAST_BITS:
        raise ValueError(f"RSA keys for DKIM have at least {RSA_LEAST_BITS} bits (RFC 8301), not {key.key_size}")
    return key


def public_part(private_key: PrivateKey) -> bytes:
    """The public key in base64, as published behind p=."""
    if isinstance(private_key, Ed25519PrivateKey):
        # RFC 8463 4: the bare 32 octets, no SubjectPublicKeyInfo around them.
        return base64.b64encode(private_key.public_key().public_bytes_raw())
    return base64.b64encode(
        private_key.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    )


@dataclass(frozen=True, slots=True)
class Record:
    """What a published key record says (RFC 6376 3.6.1).

    `public` is empty when the key is revoked. `testing` (t=y) asks verifiers to overlook failures. `usable` is false
    where h= or s= shut our signatures out.
    """

    algorithm: str  # "rsa-sha256", "ed25519-sha256", or the unknown k= with "-sha256" behind it
    public: bytes  # decoded
    testing: bool = False
    usable: bool = True

    @property
    def revoked(self) -> bool:
        return not self.public


def record(algorithm: Algorithm, public: bytes) -> str:
    """The TXT text that publishes `public` (base64 as from `generate`)."""
    return f"v=DKIM1; k={algorithm.removesuffix('-sha256')}; p={public.decode('ascii')}"


def parse_record(txt: str) -> Record | None:
    """Reads a TXT record (its strings joined); None when verifiers would not take it for a key at all."""
    found = tags(txt)
    if found is None or "p" not in found or found.get("v", "DKIM1") != "DKIM1":
        return None
    try:
        # White space inside base64 is allowed, anything else foreign is not (RFC 6376 2.10).
        public = base64.b64decode("".join(found["p"].split()), validate=True)
    except (binascii.Error, ValueError):
        return None
    hashes_allowed = _words(found.get("h", "sha256"))
    services = _words(found.get("s", "*"))
    return Record(
        algorithm=f"{found.get('k', 'rsa').lower()}-sha256",
        public=public,
        testing="y" in _words(found.get("t", "")),
        usable="sha256" in hashes_allowed and not services.isdisjoint(("*", "email")),
    )


def matches(txt: str, algorithm: Algorithm, public: bytes) -> bool:
    """Whether a published TXT record lets signatures of this key verify; `public` is base64 as from `generate`."""
    found = parse_record(txt)
    return (
        found is not None
        and found.usable
        and found.algorithm == algorithm
        and not found.revoked
        and found.public == base64.b64decode(public)
    )


def tags(txt: str) -> dict[str, str] | None:
    """A tag=value list (RFC 6376 3.2); None when it is malformed or names a tag twice."""
    found: dict[str, str] = {}
    for part in txt.strip().removesuffix(";").split(";"):
        name, equals, value = part.partition("=")
        name = name.strip()
        if not equals or not name or name in found:
            return None
        found[name] = value.strip()
    return found


def _words(value: str) -> frozenset[str]:
    return frozenset(word.strip().lower() for word in value.split(":"))
