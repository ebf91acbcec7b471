"""A message that arrives holds its octets of what all sessions share, and gives them back however it ends."""

import pytest

from mailferry.endpoints.smtp.data import Kind
from mailferry.endpoints.smtp.incoming import Faulty, Incoming
from mailferry.endpoints.smtp.limits import Budget, Limits

LIMITS = Limits(message=100, budget=60)


@pytest.fixture
def budget() -> Budget:
    return Budget(LIMITS.budget)


@pytest.fixture
def incoming(budget: Budget) -> Incoming:
    made = Incoming(LIMITS, budget)
    made.begin()
    return made


def test_it_is_held_while_it_arrives_and_until_it_was_handed_over(incoming: Incoming, budget: Budget) -> None:
    buffer = bytearray(b"a" * 20)
    assert incoming.take(buffer) is None and incoming.arriving
    assert budget.left == LIMITS.budget - len(buffer)
    buffer += b"\r\n.\r\nQUIT\r\n"
    message = incoming.take(buffer)
    assert message == b"a" * 20 + b"\r\n" and not incoming.arriving and buffer == b"QUIT\r\n"
    assert budget.left == LIMITS.budget - len(message)
    incoming.release()
    assert budget.left == LIMITS.budget


def test_a_fault_frees_what_was_held_before_the_message_ends(incoming: Incoming, budget: Budget) -> None:
    buffer = bytearray(b"a" * 20)
    incoming.take(buffer)
    buffer += b"\n.\nMAIL FROM:<b@x>\r\n"
    assert incoming.take(buffer) is None and incoming.fault is not None
    assert budget.left == LIMITS.budget
    buffer += b".\r\n"
    found = incoming.take(buffer)
    assert isinstance(found, Faulty)
    assert (found.fault.kind, found.fault.line, found.ambiguous) == (Kind.BARE_LF, 1, True)
    assert budget.left == LIMITS.budget and not incoming.arriving


def test_a_fault_that_comes_with_the_end_frees_it_too(incoming: Incoming, budget: Budget) -> None:
    buffer = bytearray(b"a" * 20)
    incoming.take(buffer)
    buffer += b"\n\r\n.\r\n"
    assert isinstance(incoming.take(buffer), Faulty) and budget.left == LIMITS.budget


def test_what_finds_no_more_room_is_dropped_and_read_to_its_end(incoming: Incoming, budget: Budget) -> None:
    assert incoming.has_room(50)
    budget.take(30)
    assert not incoming.has_room(50)
    buffer = bytearray(b"a" * 20)
    assert incoming.take(buffer) is None and budget.left == 10 - len(b"\r\n")
    buffer += b"a" * 20
    assert incoming.take(buffer) is None
    assert budget.left == 30 and len(buffer) < len(b"\r\n.\r\n"), "nothing of it stays"
    buffer += b"\r\n.\r\n"
    found = incoming.take(buffer)
    assert isinstance(found, Faulty) and found.fault.kind is Kind.NO_MEMORY and not found.ambiguous
    assert budget.left == 30


def test_what_comes_at_once_finds_no_room_either(incoming: Incoming, budget: Budget) -> None:
    found = incoming.take(bytearray(b"a" * 70 + b"\r\n.\r\n"))
    assert isinstance(found, Faulty) and found.fault.kind is Kind.NO_MEMORY
    assert budget.left == LIMITS.budget


def test_the_next_one_begins_anew(incoming: Incoming) -> None:
    assert isinstance(incoming.take(bytearray(b"a\nb\r\n.\r\n")), Faulty)
    assert not incoming.arriving and incoming.fault is None
    incoming.begin()
    assert incoming.take(bytearray(b"b\r\n.\r\n")) == b"b\r\n"
