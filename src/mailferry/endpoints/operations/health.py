"""Is it well? ``/health`` on the API's listeners; ``/metrics``, and ``/health`` for nodes without them, on a loopback listener."""

import asyncio
from collections.abc import Awaitable, Callable

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from sqlalchemy import Connection, text
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from mailferry import __version__
from mailferry.store.content import Content
from mailferry.store.database import Database

Endpoint = Callable[[Request], Awaitable[Response]]

#: Load balancers ask with two seconds or more: a database that hangs must be told before that.
ANSWER_SECONDS = 1.5


def route(database: Database, content: Content, clock: Callable[[], int]) -> Endpoint:
    def look(connection: Connection) -> str:
        connection.execute(text("SELECT 1"))
        return content.trouble(clock())  # here and not in the event loop, which a file system that hangs would stop

    async def health(_request: Request) -> Response:
        """200 when the database answers and mail can be kept; 503 tells a load balancer to ask another node."""
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                trouble = await database.read(look)
        except Exception as error:
            return JSONResponse({"status": "unwell", "database": type(error).__name__}, 503)
        if trouble:
            return JSONResponse({"status": "unwell", "disk": trouble}, 503)
        return JSONResponse({"status": "ok", "version": __version__})

    return health


def metrics_app(database: Database, content: Content, clock: Callable[[], int]) -> Starlette:
    async def metrics(_request: Request) -> Response:
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

    return Starlette(routes=[Route("/metrics", metrics), Route("/health", route(database, content, clock))])
