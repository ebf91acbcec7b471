"""``GET /api/openapi.json`` and ``/api/docs``: the same for everybody who asks, so they need no token and may be kept."""

import hashlib
from collections.abc import Callable
from functools import cache

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from mailferry.endpoints.mailtrap import cors
from mailferry.endpoints.mailtrap.openapi import page
from mailferry.endpoints.mailtrap.openapi.document import document

FILE, PAGE = "/api/openapi.json", "/api/docs"
#: Seconds. Another version of Mailferry serves another document, so whoever keeps it longer asks whether it is the same.
KEPT = 300

_HEADERS = {"Cache-Control": f"public, max-age={KEPT}", "X-Content-Type-Options": "nosniff"}


def routes() -> list[Route]:
    return [
        _route(FILE, _file, "application/json; charset=utf-8", {}),
        _route(PAGE, _page, "text/html; charset=utf-8", page.HEADERS),
    ]


@cache
def _file() -> bytes:
    return msgspec.json.encode(document())


@cache
def _page() -> bytes:
    return page.written(document(), FILE).encode()


def _route(path: str, content: Callable[[], bytes], media: str, headers: dict[str, str]) -> Route:
    async def get(request: Request) -> Response:
        body = content()
        tag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
        told = {**_HEADERS, **headers, "ETag": tag}
        asked = [each.strip().removeprefix("W/") for each in request.headers.get("if-none-match", "").split(",")]
        # RFC 9110 13.1.2
        fresh = tag in asked or "*" in asked
        response = Response(status_code=304, headers=told) if fresh else Response(body, headers=told, media_type=media)
        cors.allow(request, response, "GET, HEAD")
        return response

    return Route(path, get, methods=["GET"])
