"""One receiving host, one server that is killed again and again, and the books that must balance in the end."""

import asyncio
import contextlib
import random
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import Connection, func, select

from mailferry.delivery.job import LEASE_MS
from mailferry.store.engines import postgres_engine, sqlite_engine
from mailferry.store.schema import messages, queue, recipients
from tests.crash.leases import grow_old
from tests.crash.sender import Sender, text
from tests.fakes.dns import FakeDNS
from tests.fakes.mx import FakeMX
from tests.server import Mailferry, add_domain, running

#: Longer than a lease, a retry and a start together.
END_SECONDS = LEASE_MS / 1000 + 60
REACH_SECONDS = 60


@dataclass
class Host:
    """An MX that refuses `unknown-...`, puts `later-...` off once, and takes the rest."""

    mx: FakeMX
    _put_off: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.mx.answers["RCPT"] = self._answer

    def taken(self) -> Counter[str]:
        """How often each address was delivered to."""
        return Counter(transaction.recipients[0] for transaction in self.mx.transactions)

    def _answer(self, argument: str) -> str | None:
        address = argument.partition("<")[2].partition(">")[0]
        if address.startswith("unknown-"):
            return "550 5.1.1 unknown user"
        if address.startswith("later-") and address not in self._put_off:
            self._put_off.add(address)
            return "451 4.7.1 come back later"
        return None


@dataclass
class Story:
    server: Mailferry
    host: Host
    sender: Sender
    url: str
    random: random.Random
    kills: int = 0
    #: How often a kill found a recipient between the host's 250 and our commit: so often it may be delivered once more.
    in_flight: Counter[str] = field(default_factory=Counter)
    _seen: Counter[str] = field(default_factory=Counter)

    async def kill_at(self, point: str, nth: int) -> None:
        """Start the server so that it ends itself when the point is reached for the nth time, and wait for that."""
        self.server.extra["MAILFERRY_CRASH"] = f"{point}:{nth}"
        self.server.launch()
        assert self.server.process is not None
        status = await asyncio.to_thread(self.server.process.wait, REACH_SECONDS)
        assert status == -signal.SIGKILL, f"{point}: ended with {status}\n{self.server.log.read_text()[-3000:]}"
        await self._look()

    async def kill_at_random(self) -> None:
        self.server.extra.pop("MAILFERRY_CRASH", None)
        self.server.launch()
        await asyncio.to_thread(self.server.wait_until_healthy)
        await asyncio.sleep(self.random.uniform(0.0, 0.5))
        self.server.kill()
        await self._look()

    async def come_to_rest(self) -> None:
        """A last start, nothing new: everything that was accepted must end by itself."""
        await asyncio.to_thread(self.sender.stop)
        if self.url:
            await asyncio.to_thread(grow_old, self.url)
        self.server.extra.pop("MAILFERRY_CRASH", None)
        await asyncio.to_thread(self.server.start)
        until = time.monotonic() + END_SECONDS
        while waiting := await asyncio.to_thread(self._waiting):
            assert time.monotonic() < until, f"{waiting} recipients are stuck beyond their lease"
            await asyncio.sleep(0.2)
        await asyncio.to_thread(self.server.stop)

    def check(self) -> None:
        """Every yes is kept, everything kept has ended as its host said, and only what was in flight came twice."""
        taken = self.host.taken()
        with self._database() as connection:
            rows = connection.execute(select(recipients.c.address, recipients.c.state)).all()
            assert connection.execute(select(func.count()).select_from(queue)).scalar_one() == 0
        states: dict[str, list[str]] = {}
        for address, state in rows:
            states.setdefault(address, []).append(state)
        kept = {yes.number: [states.get(address, []) for address in yes.recipients] for yes in self.sender.answered}
        assert kept and all(len(found) == 1 for each in kept.values() for found in each), "lost, or accepted twice"
        for address, (state,) in states.items():
            assert state == ("bounced" if address.startswith("unknown-") else "delivered"), (address, state)
            assert bool(taken[address]) == (state == "delivered"), (address, state, taken[address])
        repeated = Counter({address: times - 1 for address, times in taken.items() if times > 1})
        assert repeated <= self.in_flight, f"delivered again, and no kill explains it: {repeated - self.in_flight}"
        self._check_contents()
        assert all(status >= 500 or status == 421 for _, status, _ in self.sender.refused), self.sender.refused

    def counts(self) -> str:
        return (
            f"{self.kills} kills, {len(self.sender.answered)} answered yes "
            f"({sum(yes.way == 'smtp' for yes in self.sender.answered)} by SMTP), "
            f"{self.in_flight.total()} in flight at kills, "
            f"{sum(times - 1 for times in self.host.taken().values())} delivered once more"
        )

    def _check_contents(self) -> None:
        for transaction in self.host.mx.transactions:
            number = int(transaction.recipients[0].partition("-")[2].partition("@")[0])
            body = transaction.content.partition(b"\r\n\r\n")[2]
            assert body == text(number).replace("\n", "\r\n").encode(), f"number {number} came damaged"

    async def _look(self) -> None:
        """At what the kill left: who was taken by the host and is not settled."""
        self.kills += 1
        while self.host.mx.open:  # what was on the wire is still taken
            await asyncio.sleep(0.01)
        taken = self.host.taken()

        def unsettled() -> set[str]:
            with self._database() as connection:
                waiting = select(recipients.c.address).join(queue, queue.c.recipient_id == recipients.c.id)
                return set(connection.execute(waiting).scalars())

        since_last = taken - self._seen
        self.in_flight.update({address: since_last[address] for address in await asyncio.to_thread(unsettled)})
        self._seen = taken

    def _waiting(self) -> int:
        return sum(group["recipients"] for group in self.server.ask("queue.list")["waiting"])

    @contextlib.contextmanager
    def _database(self) -> Iterator[Connection]:
        """The database behind the back of the server, which does not run."""
        path = self.server.data / "mailferry.db"
        engine = postgres_engine(self.url, 1) if self.url else sqlite_engine(path, writer=False)
        try:
            with engine.connect() as connection:
                assert connection.execute(select(func.count()).select_from(messages)).scalar_one() >= 0
                yield connection
        finally:
            engine.dispose()


@contextlib.asynccontextmanager
async def story(tmp_path: Path, url: str, seed: int) -> AsyncIterator[Story]:
    """A furnished server that was killed right away, and a sender that has begun."""
    zone = {"dest.test": {"MX": "10 mx.dest.test"}, "mx.dest.test": {"A": "127.0.0.1"}}
    async with FakeDNS(zone) as dns, FakeMX() as mx, running(tmp_path, dns, smtp_port=mx.port, url=url) as server:
        await add_domain(server, dns)
        sender = Sender(server)
        server.kill()
        with sender:
            yield Story(server, Host(mx), sender, url, random.Random(seed))
