"""Connections that are kept for the next parcel."""

import asyncio

import pytest

from mailferry.delivery.transports import pool as subject
from mailferry.delivery.transports import turns
from mailferry.delivery.transports.pool import Pool
from mailferry.net.smtp import Timeouts
from tests.conftest import eventually
from tests.fakes.internet import internet, parcel
from tests.fakes.mx import DROP


@pytest.fixture
async def net(clock):
    async with internet(clock) as made:
        yield made


@pytest.fixture
async def mx(net):
    host = await net.host("mx.y.test")
    net.mail("y.test", "10 mx.y.test")
    return host


def recipients(count):
    return [parcel(f"b{number}@y.test") for number in range(count)]


async def test_one_after_another_use_one_connection(net, mx):
    transport = net.transport()
    for each in recipients(20):
        assert (await transport.deliver(each)).code == 250
    assert mx.sessions == 1
    assert len(mx.transactions) == 20


async def test_many_at_once_use_as_many_connections_as_allowed(net, mx):
    transport = net.transport(pool=Pool(connections=4))
    mx.delays = {"DOT": 0.002}
    answers = await asyncio.gather(*(transport.deliver(each) for each in recipients(60)))
    assert {answer.code for answer in answers} == {250}
    assert (mx.sessions, mx.most_open) == (4, 4)
    assert {taken.recipients[0] for taken in mx.transactions} == {f"b{number}@y.test" for number in range(60)}


async def test_domains_with_the_same_hosts_share_connections(net, mx):
    net.mail("z.test", "50 mx.y.test")
    transport = net.transport()
    assert (await transport.deliver(parcel("b@y.test"))).code == 250
    assert (await transport.deliver(parcel("b@z.test"))).code == 250
    assert mx.sessions == 1


async def test_busy_destination_does_not_hold_up_another(net, mx):
    await net.host("mx.z.test")
    net.mail("z.test", "10 mx.z.test")
    mx.delays = {"DOT": 60}
    transport = net.transport(pool=Pool(connections=1))
    waiting = [asyncio.create_task(transport.deliver(each)) for each in recipients(3)]
    assert (await transport.deliver(parcel("b@z.test"))).code == 250
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)


async def test_who_waits_for_a_busy_host_is_no_attempt_yet(net, mx):
    await net.host("mx.z.test")
    net.mail("z.test", "10 mx.z.test")
    mx.delays = {"DOT": 60}
    transport = net.transport(pool=Pool(connections=2, attempts=3))
    waiting = [asyncio.create_task(transport.deliver(each)) for each in recipients(10)]
    await eventually(lambda: mx.commands.count("DATA") == 2)
    assert (await transport.deliver(parcel("b@z.test"))).code == 250
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)


async def test_attempts_at_once_to_all_sites_are_limited(net, mx):
    other = await net.host("mx.z.test")
    net.mail("z.test", "10 mx.z.test")
    under_way, most = 0, 0

    def begins(_):
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)

    def ends(_):
        nonlocal under_way
        under_way -= 1

    for host in (mx, other):
        host.answers = {"MAIL": begins, "DOT": ends}
        host.delays = {"RCPT": 0.005}
    transport = net.transport(pool=Pool(connections=2, attempts=3))
    parcels = [*recipients(10), *(parcel(f"b{number}@z.test") for number in range(10))]
    assert {answer.code for answer in await asyncio.gather(*map(transport.deliver, parcels))} == {250}
    assert most == 3


async def test_refused_transaction_keeps_the_connection(net, mx):
    transport = net.transport()
    mx.answers = {"RCPT": ["550 5.1.1 no"]}
    assert [(await transport.deliver(each)).code for each in recipients(3)] == [550, 250, 250]
    assert mx.sessions == 1


async def test_transactions_on_one_connection_are_bounded(net, mx):
    transport = net.transport(pool=Pool(transactions=5))
    for each in recipients(11):
        await transport.deliver(each)
    assert mx.sessions == 3
    await eventually(lambda: mx.commands.count("QUIT") == 2)


async def test_idle_connection_is_ended_in_order(net, mx):
    transport = net.transport(pool=Pool(idle_s=0.02))
    await transport.deliver(parcel())
    await eventually(lambda: mx.open == 0)
    assert mx.commands[-1] == "QUIT"
    assert (await transport.deliver(parcel())).code == 250
    assert mx.sessions == 2


async def test_idle_connections_are_bounded(net, mx, monkeypatch):
    monkeypatch.setattr(subject, "MAX_IDLE", 2)
    transport = net.transport()
    for name in ("c", "d", "e"):
        await net.host(f"mx.{name}.test")
        net.mail(f"{name}.test", f"10 mx.{name}.test")
    for name in ("y", "c", "d", "e"):
        assert (await transport.deliver(parcel(f"b@{name}.test"))).code == 250
    assert len(transport._pool._idle) == 2
    await eventually(lambda: mx.open == 0)


@pytest.mark.parametrize("ending", ["cut", "said 421", "stopped"])
async def test_connection_that_ended_while_idle_is_replaced_unseen(net, mx, ending):
    transport = net.transport()
    await transport.deliver(parcel())
    if ending == "said 421":
        mx.say("421 4.4.2 idle for too long")
    else:
        mx.cut()
    if ending == "stopped":
        await mx.stop()
        await mx.__aenter__()
    # Not waited for: whether we have noticed by now or will find out at MAIL must not matter.
    assert (await transport.deliver(parcel())).code == 250
    assert mx.sessions == 2


@pytest.mark.parametrize("said", [DROP, "421 4.4.2 idle for too long", "hello?"])
async def test_connection_that_fails_at_mail_when_reused_is_replaced_unseen(net, mx, said):
    transport = net.transport()
    await transport.deliver(parcel())
    mx.answers = {"MAIL": [said]}
    assert (await transport.deliver(parcel())).code == 250
    assert mx.sessions == 2


async def test_host_that_has_lost_the_thread_is_left_with_its_connection(net, mx):
    transport = net.transport()
    await transport.deliver(parcel())
    mx.answers = {"MAIL": ["250 ok\r\n250 ok"]}
    assert (await transport.deliver(parcel())).code == 250
    assert mx.sessions == 2


async def test_late_refusal_of_one_message_bounces_no_other(net, mx):
    transport = net.transport()
    await transport.deliver(parcel())

    def late(_):
        mx.answers = {}
        mx.say("550 5.7.1 that was spam")

    mx.answers = {"MAIL": late}
    assert (await transport.deliver(parcel())).code == 250
    assert mx.sessions == 2


async def test_host_that_speaks_unasked_gets_one_message_a_connection(net, mx):
    transport = net.transport()
    mx.answers = {"DOT": ["250 2.0.0 taken\r\n250 2.0.0 taken"]}
    assert [(await transport.deliver(each)).code for each in recipients(4)] == [250] * 4
    assert [taken.session for taken in mx.transactions] == [1, 2, 3, 4]


async def test_reset_that_is_refused_costs_a_connection_and_no_recipient(net, mx):
    transport = net.transport()
    mx.answers = {"RCPT": ["550 5.1.1 no"], "RSET": "502 5.5.1 not here"}
    assert [(await transport.deliver(each)).code for each in recipients(2)] == [550, 250]
    assert mx.sessions == 2


async def test_replacement_is_tried_once(net, mx):
    transport = net.transport()
    await transport.deliver(parcel())
    mx.answers = {"MAIL": DROP}
    answer = await transport.deliver(parcel())
    assert (answer.code, answer.enhanced, answer.stage) == (0, "4.4.2", "mail")
    assert mx.sessions == 2


@pytest.mark.parametrize("step", ["RCPT", "DATA"])
async def test_connection_that_fails_before_the_message_is_sent_is_replaced_unseen(net, mx, step):
    transport = net.transport()
    await transport.deliver(parcel())
    mx.answers = {step: [DROP]}
    assert (await transport.deliver(parcel())).code == 250
    assert mx.sessions == 2


async def test_failure_after_the_message_was_sent_is_the_answer(net, mx):
    transport = net.transport()
    await transport.deliver(parcel())
    mx.answers = {"DOT": DROP}
    answer = await transport.deliver(parcel())
    assert (answer.code, answer.stage) == (0, "dot")
    assert mx.sessions == 1


async def test_destinations_remembered_are_bounded(net, mx, monkeypatch):
    monkeypatch.setattr(subject, "MOST_PLACES", 3)
    transport = net.transport()
    for name in ("y", "c", "d", "e", "f"):
        net.mail(f"{name}.test", "10 gone.test" if name != "y" else "10 mx.y.test", f"20 gone.{name}.test")
        await transport.deliver(parcel(f"b@{name}.test"))
    assert len(transport._pool._places) == 3
    await transport.deliver(parcel())
    assert mx.sessions == 1, "one that has a connection stays"


# A host that takes fewer connections than we would make.


def allow(mx, number, step="CONNECT"):
    """The host turns more connections than this away; returns the list of those that it did."""
    turned = []

    def decide(_):
        if mx.open > number:
            turned.append(mx.open)
            return "421 4.7.0 too many connections from you"
        return None

    mx.answers[step] = decide
    return turned


@pytest.mark.parametrize("step", ["CONNECT", "EHLO"])
async def test_parcels_wait_for_a_host_that_takes_few_connections(net, mx, step):
    transport = net.transport()
    turned = allow(mx, 2, step)
    mx.delays = {"DOT": 0.005}
    answers = await asyncio.gather(*(transport.deliver(each) for each in recipients(60)))
    assert {answer.code for answer in answers} == {250}
    assert 0 < len(turned) <= turns.FIRST, "found out once"


async def test_host_that_has_more_room_later_gets_more_connections(net, mx, monkeypatch):
    monkeypatch.setattr(turns, "CALM_S", 0)
    transport = net.transport()
    turned = allow(mx, 2)
    mx.delays = {"DOT": 0.005}
    await asyncio.gather(*(transport.deliver(each) for each in recipients(20)))
    turned.clear()
    mx.answers, mx.most_open = {}, 0
    await asyncio.gather(*(transport.deliver(each) for each in recipients(60)))
    assert mx.most_open > 2


async def test_host_that_takes_nobody_has_answered(net, mx):
    transport = net.transport()
    turned = allow(mx, 0)
    answers = await asyncio.gather(*(transport.deliver(each) for each in recipients(10)))
    assert {(answer.code, answer.stage) for answer in answers} == {(421, "connect")}
    assert len(turned) <= 10 + turns.FIRST


# Hosts that let us wait.


async def test_many_silent_hosts_leave_room_for_those_that_answer(net, mx):
    transport = net.transport(pool=Pool(connections=20, attempts=100), timeouts=Timeouts())
    assert (await transport.deliver(parcel())).code == 250
    silent = []
    for number in range(25):
        silent.append(await net.host(f"mx.s{number}.test"))
        silent[-1].delays = {"CONNECT": 600}
        net.mail(f"s{number}.test", f"10 mx.s{number}.test")
    waiting = [
        asyncio.create_task(transport.deliver(parcel(f"b{each}@s{number}.test")))
        for each in range(20)
        for number in range(25)
    ]
    await eventually(lambda: all(host.sessions for host in silent))
    await net.host("mx.new.test")
    net.mail("new.test", "10 mx.new.test")
    async with asyncio.timeout(60):  # ends a test that would hang
        answers = await asyncio.gather(
            *(transport.deliver(each) for each in [*recipients(40), *(parcel(f"b{n}@new.test") for n in range(40))])
        )
    assert {answer.code for answer in answers} == {250}
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)


async def test_closing_says_goodbye(net, mx):
    transport = net.transport()
    mx.delays = {"DOT": 0.01}
    await asyncio.gather(*(transport.deliver(each) for each in recipients(3)))
    await transport.close()
    await eventually(lambda: mx.open == 0)
    assert mx.commands.count("QUIT") == mx.sessions == turns.FIRST
