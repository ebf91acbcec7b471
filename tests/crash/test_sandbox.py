"""SIGKILL while an inbox catches: what was answered yes is there with its bytes, once, and the counts are right."""

import asyncio
import contextlib
import signal
import smtplib
import threading
import time
from pathlib import Path

from sqlalchemy import func, select

from mailferry.store.captured import SMALL
from mailferry.store.engines import postgres_engine, sqlite_engine
from mailferry.store.schema import inbox_messages, inboxes
from tests.commands import first_run
from tests.fakes.dns import FakeDNS
from tests.server import Mailferry, running

#: Where, and how often it is reached before: a message may be small or large, and a group hold both.
KILLS = (("after_sync", 5), ("after_commit", 9), ("after_sync", 12))
PAUSE = 0.02


class Senders:
    """Three connections that send message after message, and note the id of each that was taken."""

    def __init__(self, server: Mailferry) -> None:
        self.server = server
        self.inbox = first_run(server)["sandbox"]
        self.taken: dict[int, int] = {}
        self._numbers = iter(range(10**6))
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run) for _ in range(3)]

    def __enter__(self) -> "Senders":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _run(self) -> None:
        while not self._stop.is_set():
            with (
                contextlib.suppress(OSError, smtplib.SMTPException),
                smtplib.SMTP("127.0.0.1", self.server.smtp) as client,
            ):
                client.login(self.inbox["username"], self.inbox["password"])
                while not self._stop.is_set():
                    self._send(client, next(self._numbers))
            time.sleep(PAUSE)

    def _send(self, client: smtplib.SMTP, number: int) -> None:
        client.mail("app@a.test")
        client.rcpt("bob@dest.test")
        code, said = client.data(message(number))
        if code == 250:
            self.taken[int(said.rpartition(b" ")[2])] = number


def message(number: int) -> bytes:
    line = b"It works, and works, and works again and again.\r\n"
    return b"Subject: No. %d\r\n\r\n" % number + line * (SMALL // len(line) + 5 if number % 3 == 0 else 3)


async def test_nothing_that_was_caught_is_lost(tmp_path: Path, database_url: str) -> None:
    async with FakeDNS({}) as dns, running(tmp_path, dns, url=database_url) as server:
        server.kill()
        with Senders(server) as senders:
            for point, nth in KILLS:
                server.extra["MAILFERRY_CRASH"] = f"{point}:{nth}"
                server.launch()
                assert server.process is not None
                assert await asyncio.to_thread(server.process.wait, 60) == -signal.SIGKILL
        del server.extra["MAILFERRY_CRASH"]
        await asyncio.to_thread(server.start)
        token, path = first_run(server)["api_token"], f"/api/accounts/1/inboxes/{senders.inbox['inbox_id']}"
        assert len(senders.taken) > 10
        for identity, number in senders.taken.items():
            _, raw = await asyncio.to_thread(text_of, server, f"{path}/messages/{identity}/body.raw", token)
            assert raw == message(number).decode(), number
        _, inbox = await asyncio.to_thread(server.request, "GET", path, token)
    engine = (
        postgres_engine(database_url, 1) if database_url else sqlite_engine(server.data / "mailferry.db", writer=False)
    )
    with engine.connect() as connection:
        held = connection.execute(select(func.count()).select_from(inbox_messages)).scalar_one()
        subjects = connection.execute(select(inbox_messages.c.subject)).scalars().all()
        counted = connection.execute(select(inboxes.c.messages_count, inboxes.c.unread_count)).one()
    engine.dispose()
    assert (inbox["emails_count"], *counted) == (held, held, held)
    assert len(set(subjects)) == len(subjects), "something was caught twice"


def text_of(server: Mailferry, path: str, token: str) -> tuple[int, str]:
    import urllib.request

    request = urllib.request.Request(f"http://127.0.0.1:{server.http}{path}", headers={"Api-Token": token})
    with urllib.request.urlopen(request) as response:
        return response.status, response.read().decode()
