"""Bodies of messages on their way, read from a real store."""

import asyncio

import pytest

from mailferry.delivery import bodies as rooms
from mailferry.delivery.bodies import Bodies
from mailferry.delivery.job import Job
from mailferry.store.content import ContentGone, Place
from tests import delivery_support
from tests.delivery_support import SQLITE, Office

office, engines = delivery_support.office, delivery_support.engines

OCTETS = 400_000


def raw(letter: str, octets: int = OCTETS) -> bytes:
    return f"From: app@sender.test\r\nSubject: {letter}\r\n\r\n".encode() + (letter.encode() * 62 + b"\r\n") * (
        octets // 64
    )


async def claimed(office: Office, *letters: str, recipients: int = 1, octets: int = OCTETS) -> list[Job]:
    for letter in letters:
        await office.accept(*(f"{letter}{n}@dest.test" for n in range(recipients)), raw=raw(letter, octets))
    jobs = await office.claim()
    assert len(jobs) == len(letters) * recipients
    return sorted(jobs, key=lambda job: job.address)


def bodies(office: Office, room: int) -> Bodies:
    return Bodies(office.database, office.content, room)


async def waits(reading: "asyncio.Future[bytes]") -> bool:
    done, _ = await asyncio.wait([reading], timeout=0.3)
    return not done


async def test_recipients_of_one_message_share_its_room(office: Office) -> None:
    one, two = await claimed(office, "a", recipients=2)
    house = bodies(office, OCTETS * 3 // 2)  # room for one of them only
    first, second = house.of(one), house.of(two)
    assert await first.read() == await second.read() == await first.read()
    first.release()
    other = house.of((await claimed(office, "b"))[0])
    waiting = asyncio.ensure_future(other.read())
    assert await waits(waiting), "it is kept as long as anybody has it"
    second.release()
    assert (await waiting).endswith(b"bb\r\n")


@SQLITE
async def test_what_was_handed_over_is_given_once_and_then_read(office: Office) -> None:
    (job,) = await claimed(office, "a")
    job.body = b"from memory"
    body = bodies(office, 1).of(job)
    assert await body.read() == b"from memory" and job.body is None
    assert (await body.read()).endswith(b"aa\r\n")


@SQLITE
async def test_large_messages_wait_for_room_in_their_order(office: Office) -> None:
    jobs = await claimed(office, "a", "b", "c", "d")
    house = bodies(office, OCTETS * 5 // 2)
    first, second, third, fourth = (house.of(job) for job in jobs)
    await first.read()
    await second.read()
    later = [asyncio.ensure_future(body.read()) for body in (third, fourth)]
    assert await waits(later[0]) and await waits(later[1])
    second.release()
    assert (await later[0]).endswith(b"cc\r\n") and await waits(later[1])
    first.release()
    assert (await later[1]).endswith(b"dd\r\n")


@SQLITE
async def test_one_that_is_larger_than_all_the_room_goes_alone(office: Office) -> None:
    jobs = await claimed(office, "a", "b")
    house = bodies(office, OCTETS // 2)
    first, second = house.of(jobs[0]), house.of(jobs[1])
    await first.read()
    later = asyncio.ensure_future(second.read())
    assert await waits(later)
    first.release()
    assert (await later).endswith(b"bb\r\n")


@SQLITE
async def test_small_messages_pass(office: Office) -> None:
    jobs = await claimed(office, "a")
    small = (await claimed(office, "s", octets=rooms.SMALL // 2))[0]
    house = bodies(office, 1)
    large, body = house.of(jobs[0]), house.of(small)
    await large.read()
    assert (await body.read()).endswith(b"ss\r\n")


@SQLITE
async def test_who_gives_up_takes_no_room(office: Office) -> None:
    jobs = await claimed(office, "a", "b", "c")
    house = bodies(office, OCTETS * 3 // 2)
    first, second, third = (house.of(job) for job in jobs)
    await first.read()
    waiting = asyncio.ensure_future(second.read())
    assert await waits(waiting)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    second.release()
    first.release()
    assert (await third.read()).endswith(b"cc\r\n")
    third.release()
    again = house.of(jobs[1])
    assert (await again.read()).endswith(b"bb\r\n"), "all of the room is back"


async def test_what_is_gone_is_said_and_takes_no_room(office: Office) -> None:
    (job,) = await claimed(office, "a")
    house = bodies(office, OCTETS * 3 // 2)
    there = job.place
    job.place = Place(there.segment, there.offset + 10**9, there.size, "01900000-0000-7000-8000-000000000000")
    for _ in range(3):
        body = house.of(job)
        with pytest.raises(ContentGone):
            await body.read()
        body.release()
    job.place = there
    assert (await house.of(job).read()).endswith(b"aa\r\n")
