"""A line to PostgreSQL that breaks at the worst moment: the COMMIT arrived, its answer does not."""

import asyncio
import contextlib
from typing import Self

from sqlalchemy.engine import make_url

#: A simple query of the protocol (PostgreSQL's manual, 54.7): its text, and a zero.
COMMIT = b"COMMIT\x00"
#: CommandComplete's tag, when it is done.
COMMITTED = b"COMMIT\x00"


class BreakingLine:
    """Passes on what is said between Mailferry and the PostgreSQL of this URL."""

    def __init__(self, url: str) -> None:
        self._there = make_url(url)
        #: So many of the next COMMITs are not answered: the connection breaks when the server has done them.
        self.lose = 0
        self.lost = 0
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        host, port = self._server.sockets[0].getsockname()
        return self._there.set(host=host, port=port).render_as_string(hide_password=False)

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in [*self._tasks]:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        there, back = await asyncio.open_connection(self._there.host, self._there.port)
        losing = asyncio.Event()

        async def ask() -> None:
            opened = False
            while said := await reader.read(1 << 16):
                if COMMIT in said:
                    if opened and self.lose:
                        self.lose -= 1
                        losing.set()
                    opened = True  # the first one ends what prepares a connection (store/engines.py)
                back.write(said)

        async def answer() -> None:
            while said := await there.read(1 << 16):
                if losing.is_set() and COMMITTED in said:
                    self.lost += 1
                    return
                writer.write(said)

        asking = asyncio.create_task(ask())
        try:
            with contextlib.suppress(OSError, asyncio.CancelledError):
                await answer()
        finally:
            asking.cancel()
            writer.transport.abort()
            back.close()
