"""All checks of a message together: each gives its answer, and one that fails, hangs or cannot be made takes none along."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Collection
from typing import Any

import pytest

from mailferry.config import load
from mailferry.ending import Ending
from mailferry.mail.reading import Reading
from mailferry.net.dns import Resolver
from mailferry.roles.checks import checker
from mailferry.sandbox import report
from mailferry.sandbox.checks import accessibility, headers, html
from mailferry.sandbox.checks.spam import rspamd, spamd
from mailferry.sandbox.report import NAMES, Checker
from tests.fakes.dns import FakeDNS
from tests.fakes.receiver import Receiver

NOW = 1_795_521_600_000  # 2026-11-24 12:00 UTC
MAIL = (
    b"From: Ann <ann@example.com>\r\nTo: bob@example.org\r\nSubject: Minutes\r\nDate: Tue, 24 Nov 2026 10:00:00 +0000\r\n"
    b"Message-ID: <a1@example.com>\r\nMIME-Version: 1.0\r\nContent-Type: text/html; charset=utf-8\r\n\r\n"
    b"<html lang=en><head><title>Minutes</title><body><p style='color:#ccc'>Some words <a href='%s'>of the meeting</a>"
)
ZONE = {
    "example.com": {"A": "192.0.2.7", "TXT": "v=spf1 -all"},
    "2.0.0.127.bl.test": {"A": "127.0.0.2"},
    "7.2.0.192.bl.test": {"A": "127.0.0.2"},
}


class House:
    """What the checker is built of."""

    def __init__(self, dns: FakeDNS) -> None:
        self.dns = dns
        self.resolver = Resolver([dns.address], clock=lambda: 0, timeout=1.0)
        self.ending = Ending()

    def checker(self, **settings: Any) -> Checker:
        values = {"net.allow_private": True, "sandbox.blocklists": ["bl.test"], **settings}
        config = load(None, {}, {name.replace("__", "."): value for name, value in values.items()})
        return checker(config, self.ending, resolver=self.resolver, own=[], clock=lambda: NOW)


@pytest.fixture
async def house() -> AsyncIterator[House]:
    async with FakeDNS(ZONE) as dns:
        made = House(dns)
        yield made
        await made.ending.close()
        await made.resolver.close()


async def test_all_checks_answer(house: House) -> None:
    async with Receiver() as receiver:
        found = await house.checker().check(MAIL % receiver.url().encode())
    problems = {name: getattr(found, name).problem for name in NAMES}
    assert problems.pop("html") in ("", html.NO_DATA)
    assert set(problems.values()) == {""}
    assert found.spam.value is not None and found.spam.value.engine == "Mailferry built-in rules"
    assert found.links.value is not None and [link.state for link in found.links.value.links] == ["ok"]
    assert found.headers.value is not None and "date" in {
        each.rule for each in found.headers.value if each.grade == "pass"
    }
    assert found.authentication.value is not None and found.authentication.value[0].rule == "spf"
    assert found.blocklists.value is not None and found.blocklists.value.listings[0].state == "listed"
    assert found.accessibility.value is not None and "contrast" in {each.rule for each in found.accessibility.value}


async def test_only_what_is_asked_for_is_done(house: House) -> None:
    found = await house.checker().check(MAIL % b"http://nobody.test/", ["headers"])
    assert found.headers.value and found.spam.problem == report.NOT_ASKED and found.links.value is None
    assert house.dns.asked == []


async def test_a_message_without_html_has_no_checks_of_it(house: House) -> None:
    found = await house.checker().check(b"Subject: x\r\n\r\nplain")
    assert (found.html.problem, found.accessibility.problem) == (report.NO_HTML, report.NO_HTML)
    assert found.spam.value is not None and found.headers.value and found.links.value is not None
    assert found.blocklists.value is not None and found.blocklists.value.result == "error"


@pytest.mark.parametrize(
    "raw", [b"", b"\r\n", b"\xff" * 1000, b"Content-Type: text/html\r\n\r\n" + b"<" * 5000, b"From: @\r\n\r\n"]
)
async def test_any_octets_are_checked(house: House, raw: bytes) -> None:
    found = await house.checker().check(raw)
    problems = {getattr(found, name).problem for name in NAMES}
    assert problems <= {"", report.NO_HTML, html.NO_DATA}


def broken(*_: object) -> Any:
    raise RuntimeError("a fault")


async def test_a_check_that_fails_fails_alone(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(headers, "check", broken)
    found = await house.checker().check(MAIL % b"mailto:a@b.test", ["headers", "spam", "accessibility"])
    assert found.headers.value is None
    assert found.headers.problem == "The check failed (RuntimeError); the server's log has the reason."
    assert found.spam.value is not None and found.accessibility.value is not None


async def test_a_check_that_hangs_has_its_time_and_no_more(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    slow: Callable[[str], list[Any]] = lambda _: time.sleep(0.5) or []  # noqa: E731
    monkeypatch.setattr(accessibility, "check", slow)
    made = house.checker()
    made._seconds = 0.1
    found = await made.check(MAIL % b"mailto:a@b.test", ["accessibility", "headers"])
    assert found.accessibility.problem == "The check took more than 0.1 s." and found.headers.value


async def test_checks_do_not_hold_up_the_event_loop(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """What runs meanwhile is the test's own: it must have its turns while a check works."""
    ticks = 0

    def slow(raw: bytes, reading: Reading, now: object) -> list[Any]:
        seen = ticks
        while ticks < seen + 3:
            time.sleep(0.001)
        return []

    monkeypatch.setattr(headers, "check", slow)
    work = asyncio.create_task(house.checker().check(MAIL % b"mailto:a@b.test", ["headers"]))
    while not work.done():
        ticks += 1
        await asyncio.sleep(0.001)
    assert (await work).headers.value == []


@pytest.mark.parametrize(
    ("settings", "engine"),
    [({"sandbox__spamd": "127.0.0.1:1"}, spamd.ENGINE), ({"sandbox__rspamd": "http://127.0.0.1:1"}, rspamd.ENGINE)],
)
async def test_a_filter_that_is_configured_is_asked_though_private_addresses_are_not_allowed(
    house: House, settings: dict[str, str], engine: str
) -> None:
    names: Collection[str] = ["spam", "links"]
    found = await house.checker(net__allow_private=False, **settings).check(MAIL % b"http://127.0.0.1/", names)
    assert found.spam.value is not None and found.links.value is not None
    assert (found.spam.value.engine, found.spam.value.code) == (engine, 69)
    assert "loopback" not in found.spam.value.message
    assert "loopback" in found.links.value.links[0].problems[-1]
