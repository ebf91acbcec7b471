"""The control socket: while a server holds the data folder, the command line asks it instead of opening the database.

``DATA/control.sock`` (0600): one JSON object a line in, one out: ``{"verb": "domains.add", "arguments": {...}}`` and
``{"result": ...}`` or ``{"error": "..."}``. Who may open the socket is the operator.
"""

import asyncio
import os
from pathlib import Path
from typing import Any

import msgspec
import structlog

from mailferry.endpoints.operations.tools import Mistake, Tools
from mailferry.endpoints.operations.verbs import VERBS

log = structlog.get_logger(__name__)

LINE_LIMIT = 1024 * 1024


async def run_verb(tools: Tools, verb: str, arguments: dict[str, Any]) -> dict[str, Any]:
    try:
        return {"result": await VERBS[verb](tools, **arguments)}
    except Mistake as mistake:
        return {"error": str(mistake)}


class Control:
    def __init__(self, path: Path, tools: Tools) -> None:
        self._path = path
        self._tools = tools
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        self._path.unlink(missing_ok=True)  # of a server that was killed; the lock says that none is left
        mask = os.umask(0o177)
        try:
            self._server = await asyncio.start_unix_server(self._serve, str(self._path), limit=LINE_LIMIT)
        finally:
            os.umask(mask)

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
            self._path.unlink(missing_ok=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await reader.readline():
                writer.write(msgspec.json.encode(await self._answer(line)) + b"\n")
                await writer.drain()
        except (ConnectionError, ValueError):
            pass
        finally:
            writer.close()

    async def _answer(self, line: bytes) -> dict[str, Any]:
        try:
            request = msgspec.json.decode(line, type=dict[str, Any])
            verb, arguments = request["verb"], request.get("arguments", {})
        except (msgspec.DecodeError, KeyError):
            return {"error": "not understood; is this command line of another version than the server?"}
        if verb not in VERBS:
            return {"error": f"the server knows no {verb}; is it of another version than this command line?"}
        try:
            return await run_verb(self._tools, verb, arguments)
        except Exception as error:
            log.exception("verb_failed", verb=verb)
            return {"error": f"the server could not do it: {type(error).__name__}: {error}"}
