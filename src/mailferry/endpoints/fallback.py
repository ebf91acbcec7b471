"""What no endpoint serves: answers of ours, so that the framework's own words reach nobody."""

import msgspec
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import Send

#: What a client is told to wait after 503.
RETRY_SECONDS = 5


async def not_served(request: Request, error: Exception) -> Response:
    status = getattr(error, "status_code", 404)
    headers = getattr(error, "headers", None)
    text = {404: "Not Found", 405: "Method Not Allowed"}.get(status, "Bad Request")
    return JSONResponse({"error": text}, status, headers)


def body(text: str) -> bytes:
    """Of a refusal before any path was looked at: whoever asked finds the members of its own dialect."""
    return msgspec.json.encode({"success": False, "errors": [text], "error": text})


async def refuse(send: Send, status: int, text: str) -> None:
    """:func:`body` as an ASGI response."""
    octets = body(text)
    later = [(b"retry-after", b"%d" % RETRY_SECONDS)] if status == 503 else []
    headers = [(b"content-type", b"application/json; charset=utf-8"), (b"content-length", b"%d" % len(octets))]
    headers += later
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": octets})
