"""Etag and If-None-Match (RFC 9110 8.8.3, 13.1.2), which all answers of Mailtrap's general API have: who asks again and
again for what has not changed is answered 304, without a body.
"""

import hashlib
import re

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

#: Rails', and so Mailtrap's: kept by nobody between us and the client, and asked for anew each time.
_CACHE_CONTROL = "max-age=0, private, must-revalidate"
#: RFC 9110 8.8.3. A comma may stand within the quotes.
_TAG = re.compile(r'(?:W/)?("[^"]*")')


def conditional(request: Request, response: Response) -> Response:
    """The answer, or 304 in its place. Files, which come in pieces, have no tag."""
    if request.method not in ("GET", "HEAD") or response.status_code != 200 or isinstance(response, StreamingResponse):
        return response
    # Weak: the same members in another spelling would do as well.
    tag = f'"{hashlib.blake2b(response.body, digest_size=16).hexdigest()}"'
    if _has(request.headers.getlist("if-none-match"), tag):
        response = Response(status_code=304)
    response.headers["Etag"] = f"W/{tag}"
    response.headers.setdefault("Cache-Control", _CACHE_CONTROL)
    return response


def _has(given: list[str], tag: str) -> bool:
    return any(each.strip() == "*" or tag in _TAG.findall(each) for each in given)
