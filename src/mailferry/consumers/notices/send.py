"""Sends notices, each once: its mail is accepted under a key of its own before the notice is taken out of the table.

Whoever dies in between, it is sent again under the same key, and that is not accepted twice; so is what two nodes send.
"""

import asyncio
from collections.abc import Callable
from functools import partial

import structlog

from mailferry.consumers.notices import weekly, words
from mailferry.resources import notices
from mailferry.resources.notices import Notice
from mailferry.resources.system_mail import Send
from mailferry.store.database import Database

log = structlog.get_logger(__name__)

#: Seconds between two looks.
PAUSE_SECONDS = 10.0


class Notices:
    def __init__(self, database: Database, clock: Callable[[], int], send: Send) -> None:
        self._database = database
        self._clock = clock
        self._send = send

    async def run(self) -> None:
        """Until it is cancelled."""
        while True:
            try:
                await self.step()
            except Exception:
                # The database may be away; what was not told stays.
                log.warning("notices_not_sent", exc_info=True)
            await asyncio.sleep(PAUSE_SECONDS)

    async def step(self) -> None:
        """Write the health mails whose week is over, then send all that waits."""
        await weekly.write(self._database, self._clock())
        after = 0
        while found := await self._database.read(partial(notices.waiting, after=after)):
            for notice in found:
                after = notice.id
                await self._try_to_send(notice)

    async def _try_to_send(self, notice: Notice) -> None:
        try:
            if refused := await self._send(words.mail(notice)):
                log.warning("notice_not_mailed", account_id=notice.account_id, kind=notice.kind, reason=refused)
            await self._database.write(lambda connection: notices.done(connection, notice))
        except Exception:  # it stays, and does not keep the others
            log.warning("notice_not_sent", account_id=notice.account_id, kind=notice.kind, exc_info=True)
