"""AWS Signature Version 4, verified (AWS General Reference, "Signature Version 4 signing process").

Everything is taken from the octets on the wire: the raw request target and the headers as they came. A framework's
decoded path would make another canonical request out of the same signature.
"""

import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from functools import lru_cache
from urllib.parse import quote, unquote_to_bytes

ALGORITHM = "AWS4-HMAC-SHA256"
UNSIGNED = "UNSIGNED-PAYLOAD"
#: Milliseconds that a client's clock may be off.
SKEW_MS = 15 * 60_000
#: Seconds that a presigned request may be good for: a week.
MAX_EXPIRES = 604_800

_CREDENTIAL = re.compile(r"([^/\s]{1,128})/([0-9]{8})/([^/\s]{1,64})/([^/\s]{1,64})/aws4_request")
_BLANKS = re.compile(r" +")


class Wrong(StrEnum):
    """Why a signature is not accepted."""

    MISSING = "missing"
    INCOMPLETE = "incomplete"
    SESSION_TOKEN = "session_token"  # noqa: S105  # a word, no secret
    EXPIRED = "expired"
    SCOPE = "scope"
    MISMATCH = "mismatch"


class SignatureError(Exception):
    """``text`` is for the client: what was wrong, and what was expected."""

    def __init__(self, wrong: Wrong, text: str = "") -> None:
        super().__init__(text)
        self.wrong = wrong
        self.text = text


@dataclass(frozen=True, slots=True)
class Request:
    """One request as it came."""

    method: str
    #: With the query, as on the wire.
    target: bytes
    headers: Sequence[tuple[bytes, bytes]]
    body: bytes

    def values(self, name: bytes) -> list[bytes]:
        return [value for key, value in self.headers if key.lower() == name]


@dataclass(frozen=True, slots=True)
class Claim:
    """What a request says about itself before anything is believed."""

    key_id: str
    day: str
    region: str
    service: str
    signed: tuple[str, ...]
    signature: str
    #: As ``20261124T020019Z``.
    moment: str
    #: Seconds that a presigned request is good for; 0 = the signature is in a header.
    expires: int = 0

    @property
    def scope(self) -> str:
        return f"{self.day}/{self.region}/{self.service}/aws4_request"


def read_claim(request: Request) -> Claim:
    """Raises `SignatureError`: there is none, or it cannot be read."""
    query = dict(_pairs(request.target.partition(b"?")[2]))
    if header := request.values(b"authorization"):
        claim = _from_header(header[0].decode("latin-1"), request)
    elif "X-Amz-Algorithm" in query or "X-Amz-Signature" in query:
        claim = _from_query(query)
    else:
        raise SignatureError(Wrong.MISSING)
    if request.values(b"x-amz-security-token") or "X-Amz-Security-Token" in query:
        raise SignatureError(
            Wrong.SESSION_TOKEN,
            "The security token included in the request is invalid: session tokens are not supported.",
        )
    return claim


def verify(request: Request, claim: Claim, secret: str, service: str, now_ms: int) -> None:
    """Raises `SignatureError`: too old, for another service, or not signed with this secret."""
    _check_scope(claim, service)
    _check_moment(claim, now_ms)
    canonical = canonical_request(request, claim)
    to_sign = "\n".join((ALGORITHM, claim.moment, claim.scope, hashlib.sha256(canonical.encode("latin-1")).hexdigest()))
    key = signing_key(secret, claim.day, claim.region, claim.service)
    expected = hmac.new(key, to_sign.encode("latin-1"), hashlib.sha256).hexdigest()
    if not hmac.compare_digest(expected, claim.signature.lower()):
        raise SignatureError(
            Wrong.MISMATCH,
            "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key"
            " and signing method. Consult the service documentation for details."
            f"\n\nThe Canonical String for this request should have been\n'{canonical}'"
            f"\n\nThe String-to-Sign should have been\n'{to_sign}'\n",
        )


@lru_cache(maxsize=256)
def signing_key(secret: str, day: str, region: str, service: str) -> bytes:
    """Good for a day, and four hashes dear: kept for the keys that are in use."""
    key = ("AWS4" + secret).encode()
    for part in (day, region, service, "aws4_request"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return key


def canonical_request(request: Request, claim: Claim) -> str:
    path, _, query = request.target.partition(b"?")
    named = {name: request.values(name.encode("latin-1")) for name in claim.signed}
    headers = "".join(f"{name}:{','.join(map(_trimmed, values))}\n" for name, values in named.items())
    return "\n".join(
        (
            request.method,
            canonical_path(path),
            canonical_query(query, presigned=bool(claim.expires)),
            headers,
            ";".join(claim.signed),
            _payload(request, claim),
        )
    )


def canonical_path(path: bytes) -> str:
    """Dot segments removed (RFC 3986 5.2.4), then what is on the wire is encoded once more, as all services but S3 do."""
    kept: list[bytes] = []
    for part in path.split(b"/"):
        if part == b"..":
            kept[-1:] = []
        elif part and part != b".":
            kept.append(part)
    end = "/" if kept and path.endswith(b"/") else ""
    return "/" + quote(b"/".join(kept), safe="/~") + end


def canonical_query(query: bytes, *, presigned: bool) -> str:
    pairs = [(_quoted(name), _quoted(value)) for name, value in _raw_pairs(query)]
    if presigned:
        pairs = [pair for pair in pairs if pair[0] != "X-Amz-Signature"]
    return "&".join(f"{name}={value}" for name, value in sorted(pairs))


def _payload(request: Request, claim: Claim) -> str:
    actual = hashlib.sha256(request.body).hexdigest()
    said = [value.decode("latin-1") for value in request.values(b"x-amz-content-sha256")]
    if not said:
        return actual
    if said[0] == UNSIGNED:
        return UNSIGNED
    if said[0].startswith("STREAMING-"):
        raise SignatureError(Wrong.INCOMPLETE, "Streaming payloads (aws-chunked) are S3's alone; sign the whole body.")
    if not hmac.compare_digest(said[0].lower().encode("latin-1", "replace"), actual.encode()):
        raise SignatureError(
            Wrong.MISMATCH,
            "The value passed in the x-amz-content-sha256 header does not match the SHA-256 of the body.",
        )
    return said[0]


def _from_header(text: str, request: Request) -> Claim:
    kind, _, rest = text.strip().partition(" ")
    if kind != ALGORITHM:
        if kind == "AWS4-ECDSA-P256-SHA256":
            raise SignatureError(
                Wrong.INCOMPLETE, "SigV4A (multi-region endpoints) is not supported: sign with AWS4-HMAC-SHA256."
            )
        raise SignatureError(
            Wrong.INCOMPLETE, f"'{kind[:40]}' is not supported: sign with {ALGORITHM} (Signature Version 4)."
        )
    parts = dict(part.strip().split("=", 1) for part in rest.split(",") if "=" in part)
    for name in ("Credential", "Signature", "SignedHeaders"):
        if not parts.get(name):
            raise SignatureError(Wrong.INCOMPLETE, f"Authorization header requires '{name}' parameter.")
    moments = request.values(b"x-amz-date") or request.values(b"date")
    if not moments:
        raise SignatureError(
            Wrong.INCOMPLETE, "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header."
        )
    return _claim(parts["Credential"], parts["SignedHeaders"], parts["Signature"], moments[0].decode("latin-1").strip())


def _from_query(query: Mapping[str, str]) -> Claim:
    if query.get("X-Amz-Algorithm") != ALGORITHM:
        raise SignatureError(Wrong.INCOMPLETE, f"AWS query-string parameters must include X-Amz-Algorithm={ALGORITHM}.")
    for name in ("X-Amz-Credential", "X-Amz-SignedHeaders", "X-Amz-Signature", "X-Amz-Date", "X-Amz-Expires"):
        if not query.get(name):
            raise SignatureError(Wrong.INCOMPLETE, f"AWS query-string parameters must include '{name}'.")
    expires = query["X-Amz-Expires"]
    if not re.fullmatch(r"[0-9]{1,7}", expires) or not 0 < int(expires) <= MAX_EXPIRES:
        raise SignatureError(Wrong.INCOMPLETE, f"X-Amz-Expires must be between 1 and {MAX_EXPIRES} seconds.")
    names = ("X-Amz-Credential", "X-Amz-SignedHeaders", "X-Amz-Signature", "X-Amz-Date")
    return _claim(*(query[name] for name in names), expires=int(expires))


def _claim(credential: str, signed: str, signature: str, moment: str, *, expires: int = 0) -> Claim:
    if not all(map(_is_plain, (credential, signed, signature, moment))):
        raise SignatureError(Wrong.INCOMPLETE, "What is said of a signature is printable ASCII.")
    found = _CREDENTIAL.fullmatch(credential)
    if found is None:
        raise SignatureError(
            Wrong.INCOMPLETE,
            "Credential must have the form <access key id>/<yyyymmdd>/<region>/<service>/aws4_request.",
        )
    names = tuple(name.strip().lower() for name in signed.split(";"))
    if "host" not in names:
        raise SignatureError(Wrong.INCOMPLETE, "'Host' must be a signed header.")
    key_id, day, region, service = (str(group) for group in found.groups())
    return Claim(key_id, day, region, service, names, signature, moment, expires)


def _is_plain(text: str) -> bool:
    """Nothing else is compared, encoded or looked up: a database takes no NUL, a digest is compared with ASCII alone."""
    return text.isascii() and text.isprintable()


def _check_scope(claim: Claim, service: str) -> None:
    if claim.service != service:
        # AWS_ENDPOINT_URL brings the calls of all services here.
        why = f"This one is for '{claim.service}'; Mailferry serves ses, sns and sts."
        raise SignatureError(Wrong.SCOPE, f"Credential should be scoped to correct service: '{service}'. {why}")
    if not claim.moment.startswith(claim.day):
        raise SignatureError(
            Wrong.SCOPE,
            f"Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '{claim.moment[:16]}'.",
        )


def _check_moment(claim: Claim, now_ms: int) -> None:
    try:
        signed = datetime.strptime(claim.moment, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    except ValueError:
        raise SignatureError(
            Wrong.INCOMPLETE, "X-Amz-Date must be an ISO-8601 moment such as 20261124T020019Z."
        ) from None
    signed_ms = int(signed.timestamp() * 1000)
    last = signed_ms + (claim.expires * 1000 if claim.expires else SKEW_MS)
    now, limit = _moment(now_ms), "15 min."
    if now_ms > last:
        earlier = _moment(now_ms - SKEW_MS)
        raise SignatureError(
            Wrong.EXPIRED, f"Signature expired: {claim.moment} is now earlier than {earlier} ({now} - {limit})"
        )
    if signed_ms > now_ms + SKEW_MS:
        later = _moment(now_ms + SKEW_MS)
        raise SignatureError(
            Wrong.EXPIRED, f"Signature not yet current: {claim.moment} is still later than {later} ({now} + {limit})"
        )


def _moment(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y%m%dT%H%M%SZ")


def _trimmed(value: bytes) -> str:
    return _BLANKS.sub(" ", value.decode("latin-1").strip())


def _raw_pairs(query: bytes) -> list[tuple[bytes, bytes]]:
    return [(name, value) for name, _, value in (part.partition(b"=") for part in query.split(b"&") if part)]


def _pairs(query: bytes) -> list[tuple[str, str]]:
    return [(_text(name), _text(value)) for name, value in _raw_pairs(query)]


def _text(raw: bytes) -> str:
    return unquote_to_bytes(raw).decode("utf-8", "replace")


def _quoted(raw: bytes) -> str:
    # A plus on the wire is a plus to the signer too: only forms make a blank of it.
    return quote(unquote_to_bytes(raw), safe="-_.~")
