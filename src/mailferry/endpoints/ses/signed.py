"""A request of Amazon's clients: who signed it, and what of it that cannot be taken is told."""

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from mailferry.endpoints.bodies import BadBody, Flaw, aside
from mailferry.endpoints.ses import rest_json, sigv4
from mailferry.endpoints.ses.deps import Deps
from mailferry.endpoints.ses.errors import SesError, v2_spelling
from mailferry.endpoints.ses.sigv4 import SignatureError, Wrong
from mailferry.resources.access_keys import AccessKey
from mailferry.store.database import unavailable

_SIGNATURES = {
    Wrong.MISSING: ("MissingAuthenticationToken", "Request is missing Authentication Token", 403),
    Wrong.INCOMPLETE: ("IncompleteSignature", "", 400),
    Wrong.SESSION_TOKEN: ("InvalidClientTokenId", "", 403),
    Wrong.EXPIRED: ("RequestExpired", "", 400),
    Wrong.SCOPE: ("SignatureDoesNotMatch", "", 403),
    Wrong.MISMATCH: ("SignatureDoesNotMatch", "", 403),
}
_BODIES = {
    Flaw.TOO_LARGE: ("RequestEntityTooLarge", "The request is larger than {0} bytes.", 413),
    Flaw.TOO_SLOW: ("RequestTimeout", "The request's body did not arrive in time.", 400),
    # Throttling is what every client of Amazon's tries again.
    Flaw.BUSY: ("Throttling", "The server has no memory for this request now.", 400),
    Flaw.ENCODING: ("InvalidParameterValue", "Content-Encoding {0!r} is not supported.", 400),
    Flaw.CHARSET: ("InvalidParameterValue", "The charset {0!r} is not supported: send UTF-8.", 400),
}


def on_the_wire(request: Request, body: bytes) -> sigv4.Request:
    scope = request.scope
    target = scope.get("raw_path") or scope["path"].encode()
    if scope["query_string"]:
        target += b"?" + scope["query_string"]
    return sigv4.Request(request.method, target, scope["headers"], body)


async def verified(deps: Deps, wire: sigv4.Request, claim: sigv4.Claim, name: str, size: int) -> AccessKey:
    """Whose key signed it, for the service of that name. Raises `SesError` and `SignatureError`."""
    key = await deps.keys.key(claim.key_id)
    if key is None or key.disabled:
        raise SesError("InvalidClientTokenId", "The security token included in the request is invalid.", 403)
    now, secret = deps.clock(), key.secret
    await aside(size, lambda: sigv4.verify(wire, claim, secret, name, now))
    deps.keys.used(key)
    return key


def of_body(bad: BadBody) -> SesError:
    code, text, status = _BODIES[bad.flaw]
    return SesError(code, text.format(bad.detail), status)


def of_exception(deps: Deps, request: Request, request_id: str, error: Exception) -> SesError:
    """What is no refusal of an operation."""
    if isinstance(error, SignatureError):
        code, text, status = _SIGNATURES[error.wrong]
        return SesError(code, error.text or text, status)
    facts: dict[str, Any] = {"request_id": request_id, "method": request.method, "path": request.scope["path"]}
    if unavailable(error):
        deps.log.warning("ses_unavailable", error=type(error).__name__, **facts)
        return SesError("ServiceUnavailable", "Service unavailable: try again later.", 503)
    deps.log.exception("ses_failed", **facts)
    return SesError("InternalFailure", "The request failed because of a mistake of this server.", 500)


def refusal(error: SesError) -> Response:
    """As v2 tells it."""
    spelling = v2_spelling(error)
    name = "Message" if spelling.status == 403 else "message"
    headers = {"x-amzn-errortype": spelling.code}
    return Response(rest_json.dumps({name: error.message}), spelling.status, headers, "application/json")
