"""Is it well? ``/health`` on the API's listeners; ``/metrics``, and ``/health`` for nodes without them, on a loopback listener."""

from collections.abc import Awaitable, Callable

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from sqlalchemy import text
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from mailferry import __version__
from mailferry.store.database import Database

Endpoint = Callable[[Request], Awaitable[Response]]


def route(database: Database) -> Endpoint:
    async def health(_request: Request) -> Response:
        """200 when the database answers; 503 tells a load balancer to ask another node."""
        try:
            await database.read(lambda connection: connection.execute(text("SELECT 1")).scalar())
        except Exception as error:
            return JSONResponse({"status": "unwell", "database": type(error).__name__}, 503)
        return JSONResponse({"status": "ok", "version": __version__})

    return health


def metrics_app(database: Database) -> Starlette:
    async def metrics(_request: Request) -> Response:
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

    return Starlette(routes=[Route("/metrics", metrics), Route("/health", route(database))])
