"""Two writes at the same time, as two processes do them on PostgreSQL."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

from sqlalchemy import Connection

from mailferry.store.database import Database, open_database

T = TypeVar("T")
U = TypeVar("U")


class Beside:
    """Two writes, of which the second begins while the first one is done and not committed; on SQLite it waits by itself."""

    def __init__(self, first: Database, second: Database) -> None:
        self.first, self.second = first, second

    async def run(self, before: Callable[[Connection], T], after: Callable[[Connection], U]) -> tuple[T, U]:
        return await self.during(before, lambda: self.second.write(after))

    async def during(self, before: Callable[[Connection], T], deed: Callable[[], Awaitable[U]]) -> tuple[T, U]:
        """``deed`` writes in whichever database."""
        done, loop = asyncio.Event(), asyncio.get_running_loop()

        def held(connection: Connection) -> T:
            result = before(connection)
            loop.call_soon_threadsafe(done.set)
            time.sleep(0.3)  # for the second one to come as far as it can
            return result

        running = asyncio.create_task(self.first.write(held))
        await done.wait()
        later = await deed()
        return await running, later


@asynccontextmanager
async def beside_of(database: Database, url: str, folder: Path) -> AsyncIterator[Beside]:
    """``url``: of PostgreSQL, empty otherwise."""
    second = open_database(url, folder, 2) if url else database
    yield Beside(database, second)
    if second is not database:
        await second.close()
