"""The answer to a COMMIT is lost, and what it wrote stands: the group is run again and changes nothing twice."""

from collections.abc import AsyncIterator

import pytest

from mailferry.delivery.job import LEASE_MS
from mailferry.feedback.hits import Hit, Hits
from mailferry.intake.submission import Once
from mailferry.journal.events import Kind
from mailferry.journal.ids import Ids
from mailferry.mail.reply import Answer
from mailferry.store.database import Database
from mailferry.store.engines import postgres_engine
from mailferry.store.schema import messages, queue
from tests import delivery_support
from tests.conftest import Clock
from tests.delivery_support import GREYLISTED, POSTGRES, TAKEN, UNKNOWN, Office
from tests.fakes.line import BreakingLine

office, engines = delivery_support.office, delivery_support.engines
pytestmark = POSTGRES


@pytest.fixture
async def line(office: Office) -> AsyncIterator[BreakingLine]:
    async with BreakingLine(office.database.writer_engine.url.render_as_string(hide_password=False)) as line:
        yield line


@pytest.fixture
async def node(office: Office, line: BreakingLine) -> AsyncIterator[Office]:
    """A node at the end of that line, which is connected already."""
    database = Database("postgresql", postgres_engine(line.url, 1), postgres_engine(line.url, 2), 2)
    behind = Office(database, office.clock, office.content, account=office.account, domain=office.domain)
    yield behind.node(boot=7, handed_over=10)
    await database.close()


async def test_what_is_accepted_is_kept_once(node: Office, line: BreakingLine) -> None:
    await node.accept("a@one.test")
    line.lose = 2
    accepted = await node.accept("b@one.test", "c@two.test")
    assert line.lost == 2
    assert (await node.count(messages), await node.count(queue)) == (2, 3)
    assert [await node.story(recipient) for recipient in accepted] == [["accepted"]] * 2
    # Nobody knows of their leases: they are free, and not only when they end.
    assert [job.address for job in node.jobs] == ["a@one.test"]
    assert node.places() == 9
    assert sorted(job.recipient_id for job in await node.claim()) == sorted(accepted)


async def test_a_request_with_a_key_is_accepted_once(node: Office, line: BreakingLine) -> None:
    await node.accept("a@one.test")
    line.lose = 1
    once = Once(node.account, "send", "key", "hash", lambda results: "the answer")
    (recipient,) = await node.accept("b@one.test", once=once)
    assert (line.lost, await node.count(messages)) == (1, 2)
    assert [job.recipient_id for job in await node.claim()] == [recipient]


@pytest.mark.parametrize(
    ("answer", "kinds", "state"),
    [
        (GREYLISTED, ["accepted", "soft_bounce"], "queued"),
        (UNKNOWN, ["accepted", "bounce"], "bounced"),
        (TAKEN, ["accepted", "delivery"], "delivered"),
    ],
    ids=["4xx", "5xx", "250"],
)
async def test_an_answer_is_written_once(
    node: Office, line: BreakingLine, answer: Answer, kinds: list[str], state: str
) -> None:
    (recipient,) = await node.accept("a@one.test")
    (job,) = node.jobs
    line.lose = 2
    await node.settle(job, answer)
    assert line.lost == 2
    row = await node.recipient(recipient)
    assert (row.state, row.attempts, row.code, row.response) == (state, 1, answer.code, answer.text)
    assert await node.story(recipient) == kinds
    assert len(await node.attempts(recipient)) == 1
    queued = await node.queued(recipient)
    assert (queued.tries if queued else None) == (1 if state == "queued" else None)


async def test_what_is_claimed_is_claimed_again_when_its_lease_ends(
    node: Office, line: BreakingLine, clock: Clock
) -> None:
    node = node.node(boot=8)
    (recipient,) = await node.accept("a@one.test")
    line.lose = 1
    assert await node.claim() == [] and line.lost == 1
    clock.now += LEASE_MS
    (job,) = await node.claim()
    assert (job.recipient_id, job.fence) == (recipient, 2)
    await node.settle(job, TAKEN)
    assert await node.story(recipient) == ["accepted", "delivery"]


@pytest.mark.parametrize("kind", [Kind.OPEN, Kind.CLICK, Kind.UNSUBSCRIBE, Kind.SPAM])
async def test_a_hit_is_counted_once(node: Office, line: BreakingLine, kind: Kind) -> None:
    (recipient,) = await node.accept("a@one.test")
    (job,) = node.jobs
    await node.settle(job, TAKEN)
    hits = Hits(node.database, Ids(node.clock), node.clock)
    line.lose = 2
    await hits.record(Hit(kind, node.domain, recipient, node.clock(), stream="transactional", address="a@one.test"))
    assert line.lost == 2
    assert await node.story(recipient) == ["accepted", "delivery", kind.value]
