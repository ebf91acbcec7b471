"""Cross-origin requests (https://fetch.spec.whatwg.org/#http-cors-protocol): a page may call the API with a token.

Every origin is allowed, because there is nothing that a browser would add by itself: the API never reads cookies.
"""

from starlette.requests import Request
from starlette.responses import Response

#: Mailtrap's SDK for Node names itself in User-Agent, which browsers other than Chrome send.
_HEADERS = "Authorization, Api-Token, Content-Type, Idempotency-Key, If-None-Match, User-Agent, X-Requested-With"
_SHOWN = (
    "X-Request-Id, X-Mailtrap-Version, X-Ratelimit-Limit, X-Ratelimit-Remaining, X-Ratelimit-Reset, Retry-After, Etag, "
    "Content-Disposition, Idempotent-Replayed"
)
#: Seconds that a browser may remember a preflight: two hours are the most that any does.
_REMEMBER = "7200"


def is_preflight(request: Request) -> bool:
    return request.method == "OPTIONS" and {"origin", "access-control-request-method"} <= set(request.headers.keys())


def allow(request: Request, response: Response, methods: str) -> None:
    if "origin" not in request.headers:
        return
    response.headers["Access-Control-Allow-Origin"] = "*"
    if is_preflight(request):
        response.headers["Access-Control-Allow-Methods"] = methods
        response.headers["Access-Control-Allow-Headers"] = _HEADERS
        response.headers["Access-Control-Max-Age"] = _REMEMBER
    else:
        response.headers["Access-Control-Expose-Headers"] = _SHOWN
