"""What no endpoint serves: an answer of ours, so that the framework's own words reach nobody."""

from starlette.requests import Request
from starlette.responses import JSONResponse, Response


async def not_served(request: Request, error: Exception) -> Response:
    status = getattr(error, "status_code", 404)
    headers = getattr(error, "headers", None)
    text = {404: "Not Found", 405: "Method Not Allowed"}.get(status, "Bad Request")
    return JSONResponse({"error": text}, status, headers)
