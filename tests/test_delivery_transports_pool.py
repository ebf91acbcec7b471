"""Connections that are kept for the next parcel."""

import asyncio

import pytest

from mailferry.delivery.transports import pool as subject
from mailferry.delivery.transports.pool import Pool
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
    answer = await transport.deliver(parcel())
    assert (answer.code, answer.enhanced) == (0, "4.5.0")
    assert (await transport.deliver(parcel())).code == 250
    assert mx.sessions == 2


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


@pytest.mark.parametrize("step", ["RCPT", "DATA", "DOT"])
async def test_failure_after_the_host_spoke_of_the_recipient_is_the_answer(net, mx, step):
    transport = net.transport()
    await transport.deliver(parcel())
    mx.answers = {step: DROP}
    answer = await transport.deliver(parcel())
    assert (answer.code, answer.stage) == (0, step.lower())
    assert mx.sessions == 1


async def test_nothing_is_remembered_of_a_destination_without_connections(net, mx):
    transport = net.transport(pool=Pool(idle_s=0.02))
    net.mail("down.test", "10 gone.test")
    await transport.deliver(parcel())
    await transport.deliver(parcel("b@down.test"))
    await eventually(lambda: not transport._pool._sites)


async def test_closing_says_goodbye(net, mx):
    transport = net.transport()
    mx.delays = {"DOT": 0.01}
    await asyncio.gather(*(transport.deliver(each) for each in recipients(3)))
    await transport.close()
    await eventually(lambda: mx.open == 0)
    assert mx.commands.count("QUIT") == mx.sessions == 3
