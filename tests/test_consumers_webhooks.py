"""A receiver that is away, slow, wrong, or stumbles over one event: each event arrives at least once, in the order of its
message, under a true signature. Real requests, both databases; the clock is the test's."""

import base64
from collections.abc import AsyncIterator

import pytest
from mailtrap.webhooks import verify_signature
from sqlalchemy import Connection, insert
from structlog.testing import capture_logs

from mailferry.consumers.webhooks.places import Places
from mailferry.consumers.webhooks.sender import CONCURRENT
from mailferry.journal import follow
from mailferry.journal.events import Kind
from mailferry.resources import webhooks
from mailferry.resources.webhooks import KINDS
from mailferry.store.database import Database
from mailferry.store.schema import events, webhook_replays
from tests.conftest import Clock, eventually
from tests.fakes.dns import FakeDNS
from tests.fakes.receiver import Receiver, Request
from tests.webhook_house import ACCOUNT, ACTOR, DOMAIN, SEALER, Node, WebhookHouse, house_of

STORY = (Kind.SOFT_BOUNCE, Kind.DELIVERY, Kind.OPEN, Kind.CLICK)
WORDS = ["soft bounce", "delivery", "open", "click"]
QUARTER = 20 * 60  # seconds: longer than the longest back-off
NEVER = 100  # hours


@pytest.fixture
async def house(database: Database, clock: Clock) -> AsyncIterator[WebhookHouse]:
    async for made in house_of(database, clock):
        yield made


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with Receiver() as opened:
        yield opened


def told(receiver: Receiver, message: str) -> list[str]:
    """What was taken of one message, each event once, in the order of its first arrival."""
    seen: dict[str, str] = {}
    for event in receiver.taken:
        if event["message_id"] == message:
            seen.setdefault(event["event_id"], event["event"])
    return list(seen.values())


def signed(house: WebhookHouse, receiver: Receiver) -> bool:
    return all(verify_signature(r.body, r.headers["mailtrap-signature"], house.secret) for r in receiver.requests)


async def three_days(house: WebhookHouse, restart_hours: int) -> tuple[list[str], Node]:
    """A message every hour, to each of which something happens in every hour until it was told whole.

    Every so many hours the process is killed, and another one goes on: what it remembered of the receiver is gone.
    """
    messages: list[str] = []
    node = house.node()
    for hour in range(72):
        if hour and hour % restart_hours == 0:
            await node.die()
            node = house.node()
        messages.append(await house.message())
        for place, kind in enumerate(STORY):
            if place <= hour:
                await house.happen(messages[hour - place], kind)
        await node.work()
        house.clock.forward(hours=1)
    for missing, message in enumerate(messages[: -len(STORY) : -1]):
        await house.happen(message, *STORY[missing + 1 :])
    await node.work()
    return messages, node


@pytest.mark.parametrize("restart_hours", [NEVER, 7])
async def test_down_for_three_days(house: WebhookHouse, receiver: Receiver, restart_hours: int) -> None:
    webhook = await house.add(receiver.url())
    await receiver.close()
    messages, node = await three_days(house, restart_hours)
    assert receiver.requests == [] and set(await house.states(webhook)) == {"waiting"}
    assert len(await house.attempts(webhook)) < 150  # it was asked less and less often
    await receiver.open()
    house.clock.forward(seconds=QUARTER)
    await node.work()
    assert [told(receiver, message) for message in messages] == [WORDS] * len(messages)
    assert signed(house, receiver) and set(await house.states(webhook)) == {"delivered"}


@pytest.mark.parametrize("restart_hours", [NEVER, 7])
async def test_answering_500_for_three_days(house: WebhookHouse, receiver: Receiver, restart_hours: int) -> None:
    webhook = await house.add(receiver.url())
    receiver.answer = lambda request: 500
    messages, node = await three_days(house, restart_hours)
    assert set(await house.states(webhook)) == {"waiting"}  # nothing is parked while nothing at all is taken
    assert len(receiver.requests) < 300
    receiver.answer = lambda request: 200
    for _ in range(3):
        house.clock.forward(seconds=QUARTER)
        await node.work()
    assert [told(receiver, message) for message in messages] == [WORDS] * len(messages)
    assert signed(house, receiver) and set(await house.states(webhook)) == {"delivered"}


async def test_only_200_says_yes(house: WebhookHouse, receiver: Receiver) -> None:
    webhook, node = await house.add(receiver.url()), house.node()
    (message,) = await house.messages(1, *STORY)
    for status in (201, 204, 202, 404, 503):
        receiver.answer = lambda request, status=status: status  # type: ignore[misc]
        house.clock.forward(seconds=QUARTER)
        await node.work()
    assert {attempt.status for attempt in await house.attempts(webhook)} >= {201, 204, 202, 404, 503}
    receiver.answer = lambda request: 200
    for _ in range(3):
        house.clock.forward(seconds=QUARTER)
        await node.work()
    assert told(receiver, message) == WORDS


async def test_redirects_are_not_followed(house: WebhookHouse, receiver: Receiver) -> None:
    async with Receiver() as other:
        webhook, node = await house.add(receiver.url()), house.node()
        receiver.answer, receiver.headers = lambda request: 302, f"Location: {other.url()}\r\n"
        (message,) = await house.messages(1, *STORY)
        await node.work()
        assert other.requests == [] and len(receiver.requests) == 1
        (attempt,) = await house.attempts(webhook)
        assert attempt.status == 302 and "redirects are not followed" in attempt.error
        receiver.answer = lambda request: 200
        house.clock.forward(seconds=QUARTER)
        await node.work()
        assert told(receiver, message) == WORDS and other.requests == [] and signed(house, receiver)


async def test_a_private_address_is_not_called(house: WebhookHouse, receiver: Receiver) -> None:
    async with FakeDNS({"hook.test": {"A": "127.0.0.1"}}) as dns:
        webhook = await house.add(receiver.url(host="hook.test"))
        (message,) = await house.messages(1, *STORY)
        strict = house.node(allow_private=False, nameserver=dns.address)
        await strict.work()
        (attempt,) = await house.attempts(webhook)
        assert attempt.status == 0 and "loopback" in attempt.error and receiver.requests == []
        await strict.close()
        house.clock.forward(seconds=QUARTER)
        await house.node(nameserver=dns.address).work()
        assert told(receiver, message) == WORDS and receiver.requests[0].headers["host"].startswith("hook.test:")
        assert signed(house, receiver)


async def test_a_slow_receiver_gets_everything_when_it_is_quicker(house: WebhookHouse, receiver: Receiver) -> None:
    webhook, node = await house.add(receiver.url()), house.node(seconds=0.2)
    receiver.delay = 0.6
    messages = await house.messages(20, *STORY)
    for _ in range(8):
        await node.work()
        house.clock.forward(seconds=QUARTER)
    assert set(await house.states(webhook)) == {"waiting"}
    assert "no whole answer within" in (await house.attempts(webhook))[0].error
    receiver.delay = 0
    receiver.requests.clear()
    for _ in range(3):
        await node.work()
        house.clock.forward(seconds=QUARTER)
    assert [told(receiver, message) for message in messages] == [WORDS] * 20 and signed(house, receiver)


async def test_receivers_of_one_customer_that_hang_leave_room_for_anothers(
    house: WebhookHouse, receiver: Receiver
) -> None:
    async with Receiver() as hangs:
        hangs.delay = 600
        for number in range(webhooks.MOST):  # more lanes than there are places
            await house.add(hangs.url(f"/{number}"))
        await house.add(receiver.url(), account_id=8)
        node = house.node(seconds=600)
        await house.messages(16, Kind.DELIVERY)
        await node.service.step()
        await eventually(lambda: hangs.most_at_once == CONCURRENT // 2)
        (message,) = await house.messages(1, Kind.DELIVERY, account_id=8)
        await node.service.step()
        await eventually(lambda: told(receiver, message) == ["delivery"])


@pytest.mark.parametrize("deed", ["pause", "delete"])
async def test_a_webhook_that_is_stopped_while_it_waits_for_a_place_sends_nothing(
    house: WebhookHouse, receiver: Receiver, deed: str
) -> None:
    webhook, node = await house.add(receiver.url()), house.node()
    node.service.sender._places = Places(1)
    await house.messages(3, Kind.DELIVERY)
    async with node.service.sender._places.one(8):
        await node.service.step()
        if deed == "pause":
            await house.change(webhook, active=False)
        else:
            await house.database.write(lambda c: webhooks.remove(c, webhook, ACTOR, house.clock()))
        await node.service.step()
    await node.service.sender.idle()
    assert receiver.requests == [] and await house.states(webhook) == {"waiting": 3}


async def test_lanes_that_wait_for_a_place_do_not_go_on_when_one_has_failed(
    house: WebhookHouse, receiver: Receiver
) -> None:
    await house.add(receiver.url())
    node = house.node()
    node.service.sender._places = Places(1)
    receiver.answer = lambda request: 503
    await house.messages(40, Kind.DELIVERY)
    await node.service.step()
    await node.service.sender.idle()
    assert len(receiver.requests) == 1


async def test_a_server_that_dies_between_sending_and_writing_sends_again(
    house: WebhookHouse, receiver: Receiver
) -> None:
    webhook, node = await house.add(receiver.url()), house.node()
    messages = await house.messages(30, *STORY[:2])

    async def dies(*_: object) -> None:
        raise RuntimeError("killed before it is written down")

    node.service.sender._taken = dies  # type: ignore[method-assign]
    await node.work()
    assert len(receiver.taken) == 60
    await node.die()
    for message in messages:
        await house.happen(message, *STORY[2:])
    house.clock.forward(seconds=31)  # its lease
    await house.node().work()
    assert [told(receiver, message) for message in messages] == [WORDS] * 30 and signed(house, receiver)
    again = len(receiver.taken) - len({event["event_id"] for event in receiver.taken})
    assert again > 0 and set(await house.states(webhook)) == {"delivered"}
    # What is sent again as it was has the id that it had.
    ids = [request.headers["webhook-id"] for request in receiver.requests]
    bodies = [request.body for request in receiver.requests]
    assert len(set(zip(ids, bodies, strict=True))) == len(set(ids))


async def test_one_node_serves_at_a_time(house: WebhookHouse, receiver: Receiver) -> None:
    await house.add(receiver.url())
    one, other = house.node(), house.node()
    (first,) = await house.messages(1, *STORY)
    await one.work()
    await other.work()
    (second,) = await house.messages(1, *STORY)
    await other.work()
    assert told(receiver, first) == WORDS and told(receiver, second) == []
    await one.die()
    house.clock.forward(seconds=31)
    await other.work()
    assert told(receiver, second) == WORDS and len(receiver.taken) == 8
    # One that was frozen meanwhile and comes back writes nothing and leaves the work to the other.
    await house.messages(1, *STORY)
    await one.service.step()
    assert one.service._held is None and len(receiver.taken) == 8


# --- one event that fails --------------------------------------------------------------------------------------------


def refuse(*messages: str) -> "Refusing":
    return Refusing(frozenset(messages))


class Refusing:
    """Answers 500 to whatever holds one of these messages."""

    def __init__(self, messages: frozenset[str]) -> None:
        self.messages = messages

    def __call__(self, request: Request) -> int:
        return 500 if any(event["message_id"] in self.messages for event in request.events) else 200


async def pass_time(house: WebhookHouse, node: Node, minutes: int) -> None:
    """In steps of five seconds, as the service would look."""
    for _ in range(minutes * 12):
        house.clock.forward(seconds=5)
        await node.work()


async def test_one_event_is_parked_and_holds_up_its_message_alone(house: WebhookHouse, receiver: Receiver) -> None:
    webhook, node = await house.add(receiver.url()), house.node()
    messages = await house.messages(100, *STORY[:2])
    bad = messages[50]
    receiver.answer = refuse(bad)
    await node.work()
    await pass_time(house, node, 1)
    for message in messages:
        await house.happen(message, *STORY[2:])
    await pass_time(house, node, 1)
    assert all(told(receiver, message) == WORDS for message in messages if message != bad)
    later = await house.message()
    for _ in range(5):  # others are taken while it fails
        await house.happen(later, Kind.OPEN)
        await pass_time(house, node, 1)
    assert await house.states(webhook) == {"delivered": 99 * 4 + 5, "parked": 1, "waiting": 3}
    assert told(receiver, bad) == []
    assert await house.unpark(webhook) == 1
    receiver.answer = lambda request: 200
    await pass_time(house, node, 1)
    assert told(receiver, bad) == WORDS
    assert set(await house.states(webhook)) == {"delivered"}


async def test_a_parked_event_is_tried_again_by_itself(house: WebhookHouse, receiver: Receiver) -> None:
    webhook, node = await house.add(receiver.url()), house.node()
    bad, *_ = await house.messages(5, *STORY)
    receiver.answer = refuse(bad)
    for _ in range(6):
        await house.messages(1, Kind.DELIVERY)
        await pass_time(house, node, 1)
    assert (await house.states(webhook))["parked"] == 1
    receiver.answer = lambda request: 200
    house.clock.forward(hours=2)
    await node.work()
    assert told(receiver, bad) == WORDS


async def test_what_fails_while_nothing_is_taken_is_no_events_fault(house: WebhookHouse, receiver: Receiver) -> None:
    webhook, node = await house.add(receiver.url()), house.node()
    (message,) = await house.messages(1, *STORY)
    receiver.answer = lambda request: 500
    for _ in range(100):
        house.clock.forward(seconds=QUARTER)
        await node.work()
    assert set(await house.states(webhook)) == {"waiting"}
    receiver.answer = lambda request: 200
    house.clock.forward(seconds=QUARTER)
    await node.work()
    assert told(receiver, message) == WORDS


# --- batches, formats, what is wanted --------------------------------------------------------------------------------


async def test_batches_have_500_events_at_most_and_lanes_run_beside_each_other(
    house: WebhookHouse, receiver: Receiver
) -> None:
    await house.add(receiver.url())
    receiver.delay = 0.05
    messages = await house.messages(1200, *STORY)
    await house.node().work()
    sizes = [len(request.events) for request in receiver.requests]
    assert sum(sizes) == 4800 and max(sizes) == 500
    assert 1 < receiver.most_at_once <= 8
    for message in messages[::50]:
        assert told(receiver, message) == WORDS


async def test_json_lines(house: WebhookHouse, receiver: Receiver) -> None:
    await house.add(receiver.url(), payload_format="jsonlines")
    (message,) = await house.messages(1, *STORY)
    await house.node().work()
    (request,) = receiver.requests
    assert request.headers["content-type"] == "application/jsonl" and not request.body.endswith(b"\n")
    assert told(receiver, message) == WORDS and signed(house, receiver)


async def test_user_and_password_of_the_url(house: WebhookHouse, receiver: Receiver) -> None:
    webhook = await house.add(receiver.url().replace("//", "//us%40er:p%3Ass@"))
    assert "us" not in webhook.url
    await house.messages(1, Kind.DELIVERY)
    await house.node().work()
    value = receiver.requests[0].headers["authorization"].removeprefix("Basic ")
    assert base64.b64decode(value) == b"us@er:p:ss"


async def test_only_what_is_wanted_is_told(house: WebhookHouse, receiver: Receiver) -> None:
    before = await house.message()
    await house.happen(before, Kind.DELIVERY)
    await house.add(receiver.url("/some"), kinds=(Kind.BOUNCE,), domain_id=DOMAIN)
    await house.add(receiver.url("/bulk"), stream="bulk")
    await house.add(receiver.url("/other"), domain_id=DOMAIN + 1)
    await house.happen(before, Kind.BOUNCE)
    await house.happen(await house.message(stream="bulk"), Kind.DELIVERY)
    foreign = await house.message(account_id=ACCOUNT + 1)
    await house.database.write(
        lambda c: c.execute(
            insert(events).values(
                kind="bounce", at=house.clock(), account_id=ACCOUNT + 1, message_id="", recipient_id=foreign
            )
        )
    )
    await house.node().work()
    found = sorted((request.path, event["event"]) for request in receiver.requests for event in request.events)
    assert found == [("/bulk", "delivery"), ("/some", "bounce")]


async def test_payloads_have_the_members_of_their_kind(house: WebhookHouse, receiver: Receiver) -> None:
    await house.add(receiver.url())
    message = await house.message(category="welcome", custom_variables='{"order":7}')
    facts = {"response": "no", "code": 451, "category": "greylisting", "reason": "why", "ip": "192.0.2.1"}
    for kind in KINDS:
        await house.happen(message, kind, **facts, user_agent="UA", url="https://a.test/", host="mx.test")
    await house.node().work()
    extra = {
        event["event"]: sorted(
            set(event)
            - {"event", "timestamp", "sending_stream", "category", "custom_variables", "message_id", "email"}
            - {"event_id", "sending_domain_name"}
        )
        for event in receiver.taken
    }
    failure = ["bounce_category", "response", "response_code"]
    assert extra == {
        "delivery": [],
        "soft bounce": failure,
        "bounce": failure,
        "suspension": ["reason"],
        "reject": ["reason"],
        "unsubscribe": ["ip", "user_agent"],
        "open": ["ip", "user_agent"],
        "click": ["ip", "url", "user_agent"],
        "spam": [],
    }
    (first, *_) = receiver.taken
    assert first["timestamp"] == house.clock() // 1000 and first["custom_variables"] == {"order": 7}
    assert first["email"] == "bob@example.net" and first["sending_domain_name"] == "shop.example"


# --- pause, replay, the end ------------------------------------------------------------------------------------------


async def test_what_happens_during_a_pause_is_told_after_it(house: WebhookHouse, receiver: Receiver) -> None:
    webhook, node = await house.add(receiver.url()), house.node()
    (message,) = await house.messages(1, *STORY[:2])
    webhook = await house.change(webhook, active=False)
    await house.happen(message, *STORY[2:])
    await node.work()
    assert receiver.requests == [] and await house.states(webhook) == {"waiting": 4}
    await house.change(webhook, active=True)
    await node.work()
    assert told(receiver, message) == WORDS


async def test_a_replay_of_a_range(house: WebhookHouse, receiver: Receiver) -> None:
    webhook, node = await house.add(receiver.url()), house.node()
    ids = []
    for _ in range(6):
        ids += await house.messages(1, *STORY)
        house.clock.forward(hours=1)
    start = house.clock() - 6 * 3_600_000
    await node.work()
    before = {event["event_id"]: event for event in receiver.taken}
    receiver.requests.clear()
    await house.replay(webhook, start + 2 * 3_600_000, start + 3 * 3_600_000)
    await node.work()
    assert [told(receiver, message) for message in ids] == [[], [], WORDS, WORDS, [], []]
    assert all(before[event["event_id"]] == event for event in receiver.taken)  # to the letter
    (row,) = await house.rows(webhook_replays)
    assert row.queued == 8 and row.done_at


async def test_a_replay_tells_what_happened_before_there_was_a_webhook(house: WebhookHouse, receiver: Receiver) -> None:
    messages = await house.messages(2500, Kind.DELIVERY)
    webhook, node = await house.add(receiver.url()), house.node()
    await node.work()
    assert receiver.requests == []
    await house.replay(webhook, house.clock(), house.clock())
    await node.work()
    assert sorted(event["message_id"] for event in receiver.taken) == sorted(messages)


async def test_a_changed_secret_signs_what_is_sent_from_then_on(house: WebhookHouse, receiver: Receiver) -> None:
    webhook, node = await house.add(receiver.url()), house.node()
    await house.messages(1, *STORY)
    made = await house.database.write(lambda c: webhooks.reset_secret(c, SEALER, webhook, ACTOR, house.clock()))
    assert made is not None
    _, house.secret = made
    await node.work()
    assert receiver.requests and signed(house, receiver)


@pytest.mark.parametrize("status", [429, 503])
async def test_a_receiver_may_ask_for_time(house: WebhookHouse, receiver: Receiver, status: int) -> None:
    await house.add(receiver.url())
    node = house.node()
    (message,) = await house.messages(1, *STORY)
    receiver.answer, receiver.headers = lambda request: status, "Retry-After: 1800\r\n"
    await node.work()
    receiver.answer = lambda request: 200
    house.clock.forward(seconds=1700)
    await node.work()
    assert len(receiver.requests) == 1
    house.clock.forward(seconds=101)
    await node.work()
    assert told(receiver, message) == WORDS


async def test_what_could_not_be_sent_while_the_log_is_kept_ends_and_says_so(
    house: WebhookHouse, receiver: Receiver
) -> None:
    webhook, node = await house.add(receiver.url()), house.node()
    await receiver.close()
    await house.messages(3, Kind.DELIVERY)
    with capture_logs() as logged:
        await node.work()
        house.clock.forward(hours=31 * 24)
        await node.work()
    assert await house.states(webhook) == {"expired": 3}
    assert [e["events"] for e in logged if e["event"] == "webhook_events_expired"] == [3]
    house.clock.forward(hours=31 * 24)
    await node.work()
    assert await house.states(webhook) == {}


async def test_a_deleted_webhook_is_told_nothing_and_forgotten(house: WebhookHouse, receiver: Receiver) -> None:
    webhook, node = await house.add(receiver.url()), house.node()
    await house.change(webhook, active=False)
    await house.messages(3, Kind.DELIVERY)
    await node.work()
    assert await house.states(webhook) == {"waiting": 3}
    await house.database.write(lambda c: webhooks.remove(c, webhook, ACTOR, house.clock()))
    house.clock.forward(hours=2)
    await node.work()
    assert receiver.requests == [] and await house.states(webhook) == {}
    assert await house.database.read(follow.every) == []  # the journal is not kept for anybody


async def test_a_database_that_was_moved_to_another_postgresql(house: WebhookHouse, receiver: Receiver) -> None:
    """Its transactions have lower numbers there than what came along: what is new must be told nevertheless."""
    if house.database.dialect != "postgresql":
        pytest.skip("there are no such numbers on SQLite")
    await house.add(receiver.url())
    told_before = await house.messages(2, Kind.DELIVERY)
    first = house.node()
    await first.work()
    await first.close()
    unread = await house.messages(2, Kind.DELIVERY)

    def move(connection: Connection) -> None:
        for table, column in (("events", "xact"), ("cursors", "xact"), ("webhooks", "from_xact")):
            connection.exec_driver_sql(f"UPDATE {table} SET {column} = {column} + 1000000000")

    await house.database.write(move)
    receiver.requests.clear()
    new = await house.messages(2, Kind.DELIVERY)
    node = house.node()
    await node.work()
    assert {event["message_id"] for event in receiver.taken} == {*unread, *new}
    await house.messages(1, Kind.DELIVERY)
    await node.work()
    assert len(receiver.taken) == 5 and told_before
