"""What test-suites ask of an inbox: waiting, finding, asserting and deleting by query, on both databases."""

import asyncio
from typing import Any
from urllib.parse import urlencode

import pytest

from mailferry.journal.ids import Ids
from mailferry.sandbox import arrivals
from mailferry.sandbox.arrivals import Arrivals
from mailferry.sandbox.capture import Capture, Sandbox
from tests.asgi import Answer, call
from tests.conftest import eventually
from tests.delivery_support import SQLITE
from tests.working_house import WorkingHouse, engines, working

__all__ = ["engines", "working"]

MULTIPART = b"""From: Shop <shop@a.test>\r
To: Ann <ann@x.test>, Bob <bob@x.test>\r
Subject: Your order 17\r
X-Order: Number 17\r
MIME-Version: 1.0\r
Content-Type: multipart/mixed; boundary=b\r
\r
--b\r
Content-Type: text/plain; charset=utf-8\r
Content-Transfer-Encoding: quoted-printable\r
\r
Thank you for=\r
 your\r
order.\r
--b\r
Content-Type: text/html\r
\r
<a href="https://a.test/17">Track it</a>\r
--b\r
Content-Type: text/csv\r
Content-Disposition: attachment; filename=a.csv\r
\r
1,2\r
--b--\r
"""
PLAIN = b"From: news@b.test\r\nTo: Cy <cy@y.test>\r\nSubject: News\r\n\r\nNothing new.\r\n"


class Suite:
    """A house with an inbox, seen as a test-suite sees it."""

    def __init__(self, house: WorkingHouse) -> None:
        self.house = house
        self.at = f"inboxes/{house.inbox}/messages"

    async def catch(self, message: bytes, *to: str, sender: str = "bounce@a.test") -> int:
        given = Capture(self.house.inbox, message, "smtp", sender, to or ("ann@x.test", "hidden@z.test"))
        (found,) = await self.house.deps.sandbox.capture([given])
        return found

    async def ask(self, path: str, method: str = "GET", **query: Any) -> Answer:
        return await self.house.ask(method, f"{self.at}{path}?{urlencode(query)}")

    async def ids(self, **query: Any) -> list[int]:
        found = await self.ask("/search", **query)
        assert found.status == 200, found.body
        return [each["id"] for each in found.json]

    async def check(self, **body: Any) -> Answer:
        return await self.house.ask("POST", f"{self.at}/assert", body)


@pytest.fixture
async def suite(working: WorkingHouse) -> Suite:
    return Suite(working)


FOUND: list[dict[str, str]] = [
    {"to": "ann@x.test"},
    {"to": "ANN@X.TEST"},
    {"to": "bob@x.test"},
    {"to": "hidden@z.test"},
    {"to": "@z.test"},
    {"to": "bob"},
    {"from": "shop@a.test"},
    {"from": "bounce@a.test"},
    {"from": "SHOP@A.test"},
    {"from": "Bounce@a.test"},
    {"from": "@A.test"},
    {"from": "Shop"},
    {"subject": "ORDER 17"},
    {"text": "thank you for your order."},
    {"html": 'href="https://a.test/17"'},
    {"header[X-Order]": "number"},
    {"header[x-order]": ""},
    {"has_attachment": "true"},
    {"to": "ann@x.test", "text": "order", "header[X-Order]": "17", "since": "2027-01-15T08:00:00Z"},
]


async def test_a_query_finds_what_answers_it_and_nothing_else(suite: Suite) -> None:
    order = await suite.catch(MULTIPART)
    news = await suite.catch(PLAIN, "cy@y.test", sender="news@b.test")
    for query in FOUND:
        assert await suite.ids(**query) == [order], query
    assert (await suite.ask("/latest", **query)).json["id"] == order
    assert (await suite.ask("", "DELETE", **query)).json == {"deleted": 1}
    assert (await suite.ask("/latest", **query)).status == 404
    assert await suite.ids() == [news]
    inbox = (await suite.house.ask("GET", f"inboxes/{suite.house.inbox}")).json
    assert (inbox["emails_count"], inbox["emails_unread_count"]) == (1, 1)


ALIKE: list[dict[str, str]] = [
    {"to": "nn@x.test"},
    {"to": "@test"},
    {"from": "ann@x.test"},
    {"subject": "order  17"},
    {"text": "Track it"},
    {"html": "Thank you"},
    {"header[X-Other]": ""},
    {"has_attachment": "false"},
    {"since": "2027-01-15T08:00:01Z"},
]


@SQLITE
async def test_a_query_does_not_find_what_is_only_alike(suite: Suite) -> None:
    await suite.catch(MULTIPART)
    for query in ALIKE:
        assert await suite.ids(**query) == [], query


async def test_what_the_database_cannot_decide_is_decided_by_the_message(suite: Suite) -> None:
    """Long lists of recipients and other than ASCII letters: what stands in the row to be searched is cut."""
    many = ", ".join(f"person-{n}@example.test" for n in range(40))
    long = b"From: a@a.test\r\nTo: " + many.encode() + b"\r\nSubject: =?utf-8?q?Gr=C3=BC=C3=9Fe?= " + b"x" * 290
    last = await suite.catch(long + b" END\r\n\r\nHi\r\n", "person-39@example.test", "jörg@example.test")
    assert await suite.ids(to="person-39@example.test", subject="x END") == [last]
    assert await suite.ids(to="JÖRG@example.test", subject="GRÜSSE"[:3]) == [last]
    assert await suite.ids(to="person-40@example.test") == []


async def test_the_newest_come_first_and_no_more_than_are_asked_for(suite: Suite) -> None:
    found = [await suite.catch(PLAIN) for _ in range(14)]
    assert await suite.ids(limit=12) == found[:1:-1]
    assert await suite.ids(after=found[-3], text="nothing") == found[:-3:-1]
    assert (await suite.ask("/latest")).json["id"] == found[-1]
    assert (await suite.ask("", "DELETE", after=found[2], text="nothing")).json == {"deleted": 11}
    assert await suite.ids() == found[2::-1]


async def test_who_waits_is_answered_by_what_comes_and_by_nothing_else(suite: Suite) -> None:
    await suite.catch(PLAIN)
    waiting = asyncio.ensure_future(suite.ask("/wait", to="bob@x.test", timeout=60))
    await eventually(lambda: suite.house.arrivals.waiting == 1)
    await suite.catch(PLAIN)
    assert not waiting.done()
    order = await suite.catch(MULTIPART)
    assert (await waiting).json["id"] == order
    assert (await suite.ask("/wait", to="bob@x.test", timeout=60)).json["id"] == order
    assert suite.house.arrivals.waiting == 0


@SQLITE
async def test_behind_a_message_they_are_waited_for_one_by_one(suite: Suite) -> None:
    first, second, third = [await suite.catch(PLAIN) for _ in range(3)]
    assert (await suite.ask("/wait")).json["id"] == third
    assert (await suite.ask("/wait", after=first)).json["id"] == second
    assert (await suite.ask("/wait", after=second)).json["id"] == third


@SQLITE
async def test_what_did_not_come_is_told_with_what_came_instead(suite: Suite) -> None:
    await suite.catch(PLAIN, "cy@y.test")
    order = await suite.catch(MULTIPART)
    answer = await suite.ask("/wait", to="ann@x.test", subject="Order 18", text="thank", timeout=0)
    assert answer.status == 422
    assert answer.json["errors"] == {"base": ["expected at least 1 of the messages to answer the query, found 0"]}
    nearest, other = answer.json["nearest"]
    assert nearest["message"]["id"] == order
    assert nearest["differences"] == [{"condition": "subject", "wanted": "Order 18", "found": "Your order 17"}]
    assert [(each["condition"], each["found"]) for each in other["differences"]] == [
        ("to", ["cy@y.test"]),
        ("subject", "News"),
        ("text", "Nothing new.\r\n"),
    ]


COUNTS: list[tuple[Any, bool]] = [
    (None, True),
    (2, True),
    ("2", True),
    (1, False),
    (3, False),
    ({"at_least": 2}, True),
    ({"at_least": 3}, False),
    ({"at_most": 2}, True),
    ({"at_most": 1}, False),
    ({"at_least": 1, "at_most": 3}, True),
    ({"exactly": 0}, False),
]


@SQLITE
async def test_an_assertion_counts(suite: Suite) -> None:
    for message in (PLAIN, MULTIPART, PLAIN):
        await suite.catch(message, "cy@y.test")
    for count, holds in COUNTS:
        answer = await suite.check(query={"subject": "news"}, count=count)
        assert answer.status == (200 if holds else 422), count
        assert not holds or {each["subject"] for each in answer.json["messages"]} == {"News"}


@SQLITE
async def test_an_assertion_may_be_given_time(suite: Suite) -> None:
    waiting = asyncio.ensure_future(suite.check(query={"subject": "news"}, count=2, timeout=60))
    await eventually(lambda: suite.house.arrivals.waiting == 1)
    await suite.catch(PLAIN)
    await suite.catch(PLAIN)
    assert (await waiting).json["matched"] == 2
    # More than there may be is no matter of time.
    answer = await suite.check(query={"subject": "news"}, count=1, timeout=60)
    assert answer.json["errors"]["base"][0].endswith("found more than one may")


async def test_events_come_as_they_are_caught_and_go_on_where_they_were(suite: Suite) -> None:
    stream = asyncio.ensure_future(suite.ask("/events", subject="news", timeout=1))
    await eventually(lambda: suite.house.arrivals.waiting == 1)
    first = await suite.catch(PLAIN)
    await suite.catch(MULTIPART)
    second = await suite.catch(PLAIN)
    told = (await stream).body.decode()
    assert told.startswith(": listening\nretry: 1000\n\n")
    assert [line for line in told.splitlines() if line.startswith("id:")] == [f"id: {first}", f"id: {second}"]
    headers = {"Authorization": f"Bearer {suite.house.admin}", "Last-Event-ID": str(first)}
    target = f"/api/sandboxes/{suite.house.inbox}/messages/events?timeout=0"
    again = (await suite.house.call("GET", target, headers=headers)).body.decode()
    assert f"id: {second}\n" in again and f"id: {first}\n" not in again and '"sandbox_id":' in again


@SQLITE
async def test_a_stream_ends_with_the_token_that_began_it(suite: Suite) -> None:
    stream = asyncio.ensure_future(suite.ask("/events", timeout=60))
    await eventually(lambda: suite.house.arrivals.waiting == 1)
    made = (await suite.house.ask("GET", "api_tokens")).json
    await suite.house.ask("DELETE", f"api_tokens/{made[0]['id']}")
    suite.house.credentials.forget()
    await suite.catch(PLAIN)
    assert b"data:" not in (await stream).body


WRONG = [
    ({"form": "a"}, "'form' is unknown"),
    ({"to": " "}, "'to' must not be empty"),
    ({"to": "a" * 1001}, "too long"),
    ({"after": "x"}, "'after' must be the id"),
    ({"since": "now"}, "'since' must be an ISO 8601 time"),
    ({"has_attachment": "maybe"}, "'has_attachment' must be a boolean"),
    ({"header[a b]": "x"}, "'header' must be names"),
    ({"timeout": "121"}, "'timeout' must be seconds, 120 at most"),
    ({"timeout": "inf"}, "'timeout' must be seconds"),
]


@SQLITE
async def test_what_is_wrong_with_a_query_is_told(suite: Suite) -> None:
    for query, text in WRONG:
        answer = await suite.ask("/wait", **query)
        assert answer.status == 400 and text in answer.json["error"], query


@SQLITE
async def test_what_is_wrong_with_an_assertion_is_told(suite: Suite) -> None:
    wrong = {"query": {"form": "a", "to": 1, "header": {"X": 1}}, "count": {"at_last": 1}, "timeout": -1, "more": 1}
    errors = (await suite.check(**wrong)).json["errors"]
    assert errors["query"][0].startswith("'form' is unknown")
    assert errors["query"][1:] == ["'to' must be a string", "'header' must be names with texts: header[X-Name]=part"]
    assert set(errors) == {"query", "count", "timeout", "more"}
    for count in (-1, 1001, "x", True, [1], {"exactly": 1, "at_least": 1}, {"at_least": 2, "at_most": 1}):
        assert (await suite.check(count=count)).json["errors"].keys() == {"count"}, count


@SQLITE
async def test_all_messages_are_not_deleted_by_a_query_that_says_nothing(suite: Suite) -> None:
    await suite.catch(PLAIN)
    assert (await suite.ask("", "DELETE")).status == 400
    assert len(await suite.ids()) == 1


@SQLITE
async def test_no_request_reads_a_whole_inbox(suite: Suite, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mailferry.endpoints.mailtrap.inbox_finding.MOST_READ", 3)
    for _ in range(5):
        await suite.catch(PLAIN)
    answer = await suite.ask("/search", text="other")
    assert answer.status == 422 and "to be read" in answer.json["errors"]["query"][0]
    assert await suite.ids(text="other", subject="order") == []


# --- the wait itself -----------------------------------------------------------------------------------------------


@SQLITE
async def test_the_end_of_the_process_ends_all_waits(suite: Suite) -> None:
    asked = [suite.ask("/wait", timeout=60), suite.ask("/events", timeout=60), suite.check(timeout=60)]
    running = [asyncio.ensure_future(each) for each in asked]
    await eventually(lambda: suite.house.arrivals.waiting == 3)
    await suite.house.arrivals.close()
    waited, stream, asserted = await asyncio.gather(*running)
    assert (waited.status, stream.status, asserted.status) == (503, 200, 503)
    late = await asyncio.wait_for(suite.ask("/wait", timeout=60), 30)  # or it would hold up the end
    assert late.status == 503


@SQLITE
async def test_who_hangs_up_waits_no_more(suite: Suite) -> None:
    gone = asyncio.Event()
    path = f"/api/inboxes/{suite.house.inbox}/messages/wait".replace("/inboxes/", "/sandboxes/")
    scope_of = {"headers": {"Authorization": f"Bearer {suite.house.admin}"}}

    async def app(scope: Any, receive: Any, send: Any) -> None:
        async def hang_up() -> Any:
            await gone.wait()
            return {"type": "http.disconnect"}

        await suite.house.app(scope, hang_up, send)
        await send({"type": "http.response.start", "status": 499, "headers": []})

    waiting = asyncio.ensure_future(call(app, "GET", path, **scope_of))
    await eventually(lambda: suite.house.arrivals.waiting == 1)
    gone.set()
    assert (await waiting).status == 499  # nobody was answered
    assert suite.house.arrivals.waiting == 0


@SQLITE
async def test_not_more_may_wait_than_there_is_room_for(suite: Suite, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrivals, "MOST_OF_ACCOUNT", 1)
    waiting = asyncio.ensure_future(suite.ask("/wait", timeout=60))
    await eventually(lambda: suite.house.arrivals.waiting == 1)
    for refused in (await suite.ask("/wait", timeout=60), await suite.ask("/events"), await suite.check()):
        assert refused.status == 429
    await suite.catch(PLAIN)
    assert (await waiting).status == 200


async def test_what_another_process_catches_is_found_by_looking(suite: Suite, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrivals, "LOOK_SECONDS", 0.01)
    house = suite.house
    looking = Arrivals(house.database)
    other = Sandbox(house.database, house.deps.captured, Ids(house.clock), house.clock)
    with looking.watch(1, house.inbox) as watch:
        assert await watch.wait(10)  # once, for what came before
        waiting = asyncio.ensure_future(watch.wait(10))
        await other.capture([Capture(house.inbox, PLAIN, "smtp")])
        assert await waiting
    assert looking.waiting == 0 and not looking.looks
