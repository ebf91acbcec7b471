"""Spam reports: of a real SpamAssassin, of rspamd's protocol, and of our own rules; filters that are down, slow or no filters."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable

import pytest

from mailferry.endpoints.mailtrap.sandbox_reports import spam_report
from mailferry.mail.reading import read
from mailferry.net.dns import Resolver
from mailferry.net.guard import Guard
from mailferry.net.http import HttpClient
from mailferry.sandbox.checks.spam import builtin, rspamd, spamd
from mailferry.sandbox.checks.spam.verdict import Verdict
from tests.fakes.dns import FakeDNS
from tests.fakes.receiver import Receiver
from tests.peers.process import free_port
from tests.peers.spamassassin import Spamd as SpamAssassin

CLEAN = (
    b"From: Ann Example <ann@example.com>\r\nTo: bob@example.org\r\nSubject: Minutes of the meeting\r\n"
    b"Date: Tue, 24 Nov 2026 10:00:00 +0000\r\nMessage-ID: <a1@example.com>\r\nMIME-Version: 1.0\r\n"
    b"Content-Type: text/plain; charset=utf-8\r\n\r\nDear Bob,\r\n\r\nplease find the minutes below.\r\n\r\nAnn\r\n"
)
GTUBE = CLEAN.replace(b"please find", builtin.GTUBE.encode())
SPAMMY = (
    b"From: Lottery <x@example.com>\r\nSubject: YOU HAVE WON A MILLION DOLLARS!!!\r\nMIME-Version: 1.0\r\n"
    b"Content-Type: text/html; charset=us-ascii\r\n\r\n<html><body>Dear winner, claim your prize, act now! 100% free viagra. "
    b'<a href="http://203.0.113.9/pay">www.bank.example</a><script>x()</script><img src="http://bit.ly/x.gif"></body></html>\r\n'
)


@contextlib.asynccontextmanager
async def client(port: int, *, seconds: float = 20.0, guard: Guard | None = None) -> AsyncIterator[spamd.Spamd]:
    resolver = Resolver(["127.0.0.1:1"], clock=lambda: 0)
    yield spamd.Spamd("127.0.0.1", port, resolver=resolver, guard=guard or Guard(True, ()), seconds=seconds)
    await resolver.close()


def names(verdict: Verdict) -> set[str]:
    return {symbol.name for symbol in verdict.symbols}


async def test_a_real_spamassassin_judges(spamd: SpamAssassin) -> None:
    async with client(spamd.port) as filter:
        clean, gtube, spammy = [await filter.judge(raw) for raw in (CLEAN, GTUBE, SPAMMY)]
    for verdict in (clean, gtube, spammy):
        assert (verdict.engine, verdict.code, verdict.message, verdict.threshold) == ("SpamAssassin", 0, "EX_OK", 5.0)
        # What the table names adds up to the score, each number rounded to one digit.
        assert abs(sum(symbol.points for symbol in verdict.symbols) - verdict.score) <= 0.1 * len(verdict.symbols)
    assert not clean.is_spam and clean.score < 5
    assert gtube.is_spam and gtube.score > 990 and "GTUBE" in names(gtube)
    assert spammy.score > clean.score and {"MISSING_DATE", "HTML_MESSAGE"} <= names(spammy)
    (told,) = [symbol for symbol in gtube.symbols if symbol.name == "GTUBE"]
    assert (told.points, told.description) == (1000.0, "BODY: Generic Test for Unsolicited Bulk Email")
    report = spam_report(gtube)
    assert {"Pts": "1000.0", "RuleName": "GTUBE", "Description": told.description} in report["Details"]
    assert (report["ResponseCode"], report["ResponseMessage"], report["Spam"]) == (0, "EX_OK", True)


async def test_any_octets_are_judged_by_a_real_spamassassin(spamd: SpamAssassin) -> None:
    async with client(spamd.port) as filter:
        for raw in (b"", b"\r\n", bytes(range(256)) * 4, b"Subject: x\n\nno CRLF\n"):
            assert (await filter.judge(raw)).code == 0


@contextlib.asynccontextmanager
async def answering(answer: Callable[[bytes], bytes | None]) -> AsyncIterator[int]:
    """A spamd that sends back what it is told to (None: nothing, and it waits); its port."""
    held: list[asyncio.StreamWriter] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        held.append(writer)
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.partition(b"Content-length: ")[2].split(b"\r\n")[0])
            said = answer(head + await reader.readexactly(length))
            if said is not None:
                writer.write(said)
                writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    server.close()
    for writer in held:
        writer.close()


async def test_what_is_asked_is_spamc_s_protocol() -> None:
    asked: list[bytes] = []
    async with (
        answering(lambda request: asked.append(request) or b"SPAMD/1.1 0 EX_OK\r\n\r\n") as port,
        client(port) as filter,
    ):  # type: ignore[func-returns-value]
        await filter.judge(b"Subject: x\r\n\r\n\x00\xff")
    assert asked == [b"REPORT SPAMC/1.5\r\nContent-length: 16\r\n\r\nSubject: x\r\n\r\n\x00\xff"]


REPORT = (
    b"Content preview:  ---- ---------------------- --------------------------\r\n   9.9 FAKE   a row in the message\r\n\r\n"
    b" pts rule name              description\r\n"
    b"---- ---------------------- --------------------------------------------------\r\n"
    b" 2.7 MISSING_DATE           Missing Date: header\r\n-0.0 NO_RELAYS              Informational: it was not\r\n"
    b"                            relayed via SMTP\r\n 5 WHOLE_NUMBER x\r\n\r\n 1.0 BEHIND_IT y\r\n"
)


async def test_a_report_is_read_row_by_row() -> None:
    head = b"SPAMD/1.5 0 EX_OK\r\nContent-length: 1\r\nSpam: True ; 7.7 / 5.5\r\n\r\n"
    async with answering(lambda _: head + REPORT) as port, client(port) as filter:
        verdict = await filter.judge(CLEAN)
    assert (verdict.score, verdict.threshold, verdict.is_spam, verdict.version) == (7.7, 5.5, True, "1.5")
    assert [(symbol.points, symbol.name, symbol.description) for symbol in verdict.symbols] == [
        (2.7, "MISSING_DATE", "Missing Date: header"),
        (0.0, "NO_RELAYS", "Informational: it was not relayed via SMTP"),
        (5.0, "WHOLE_NUMBER", "x"),
    ]


GARBAGE = {
    b"": "does not answer as spamd does",
    b"SSH-2.0-OpenSSH_9.2p1\r\n": "does not answer as spamd does",
    b"\xff" * 400_000: "does not answer as spamd does",
    b"SPAMD/1.1 0 EX_OK\r\n": "does not answer as spamd does",
    b"SPAMD/1.1 0 EX_OK\r\n\r\nnothing": "gives no score",
    b"SPAMD/1.1 0 EX_OK\r\nSpam: True ; nan / 5\r\n\r\n": "gives no score",
    b"SPAMD/1.0 76 EX_PROTOCOL\r\n\r\n": "says 76 EX_PROTOCOL",
}


@pytest.mark.parametrize("answer", GARBAGE, ids=lambda answer: repr(answer[:30]))
async def test_garbage_is_a_report_that_says_so(answer: bytes) -> None:
    async with answering(lambda _: answer) as port, client(port) as filter:
        verdict = await filter.judge(CLEAN)
    assert (verdict.code, verdict.message) == (76, f"EX_PROTOCOL: spamd at 127.0.0.1:{port} {GARBAGE[answer]}")
    assert spam_report(verdict)["ResponseCode"] == 76 and not verdict.is_spam and verdict.symbols == ()


async def test_a_slow_spamd_is_waited_for_within_its_time() -> None:
    async with answering(lambda _: None) as port, client(port, seconds=0.05) as filter:
        verdict = await filter.judge(CLEAN)
    assert (verdict.code, verdict.message) == (
        75,
        f"EX_TEMPFAIL: spamd at 127.0.0.1:{port} did not answer within 0.05 s",
    )


async def test_a_spamd_that_is_down_is_a_report_that_says_so() -> None:
    port = free_port()
    async with client(port) as filter:
        verdict = await filter.judge(CLEAN)
    assert verdict.code == 69
    assert verdict.message.startswith(f"EX_UNAVAILABLE: spamd at 127.0.0.1:{port} takes no connection: ")


async def test_a_spamd_that_the_guard_refuses_is_not_connected_to() -> None:
    async with answering(lambda _: b"") as port, client(port, guard=Guard(True, [("127.0.0.1", port)])) as filter:
        verdict = await filter.judge(CLEAN)
    assert (verdict.code, verdict.message) == (69, f"EX_UNAVAILABLE: 127.0.0.1 port {port} is a listener of our own")


async def test_what_is_too_large_is_not_sent() -> None:
    async with client(1) as filter:
        verdict = await filter.judge(b"x" * (spamd.LARGEST + 1))
    assert verdict.code == 65 and "larger than 512000 octets" in verdict.message


# --- rspamd -----------------------------------------------------------------------------------------------------------

ANSWER = {
    "is_skipped": False,
    "score": 6.5,
    "required_score": 15.0,
    "action": "add header",
    "symbols": {
        "MISSING_MID": {"name": "MISSING_MID", "score": 2.5, "description": "Message id is missing"},
        "R_PARTS_DIFFER": {"score": 4.0, "options": ["94.7%"]},
    },
}


async def asked_of_rspamd(receiver: Receiver, raw: bytes = CLEAN, *, seconds: float = 20.0) -> Verdict:
    async with FakeDNS({}) as dns:
        resolver = Resolver([dns.address], clock=lambda: 0)
        http = HttpClient(resolver, Guard(True, ()))
        try:
            return await rspamd.Rspamd(receiver.url("/", "127.0.0.1"), http, seconds=seconds).judge(raw)
        finally:
            await http.close()
            await resolver.close()


async def test_rspamd_judges() -> None:
    async with Receiver() as receiver:
        receiver.body = json.dumps(ANSWER).encode()
        verdict = await asked_of_rspamd(receiver)
        (request,) = receiver.requests
    assert (request.path, request.body) == ("/checkv2", CLEAN)
    # What it would mark is spam to its reader, though it would not be refused.
    assert (verdict.engine, verdict.score, verdict.threshold, verdict.is_spam) == ("rspamd", 6.5, 15.0, True)
    assert [(each.points, each.name, each.description) for each in verdict.symbols] == [
        (2.5, "MISSING_MID", "Message id is missing"),
        (4.0, "R_PARTS_DIFFER", "[94.7%]"),
    ]


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"{}", b"\xff", b'{"score": NaN}', json.dumps({**ANSWER, "symbols": [1]}).encode(), b"[" * 100_000],
)
async def test_garbage_for_rspamd_is_a_report_that_says_so(body: bytes) -> None:
    async with Receiver() as receiver:
        receiver.body = body
        verdict = await asked_of_rspamd(receiver)
    assert verdict.code == 76 and verdict.message.endswith("does not answer as rspamd does")


async def test_rspamd_that_is_down_or_slow_or_unwilling_is_a_report_that_says_so() -> None:
    async with Receiver() as receiver:
        receiver.answer = lambda request: 403
        assert (await asked_of_rspamd(receiver)).message.endswith("answers with status 403")
        receiver.delay = 5.0
        slow = await asked_of_rspamd(receiver, seconds=0.05)
        assert slow.code == 75 and "no whole answer within 0.05 s" in slow.message
    assert (await asked_of_rspamd(receiver)).code == 69


# --- our own rules ----------------------------------------------------------------------------------------------------


def judged(raw: bytes) -> Verdict:
    return builtin.judge(read(raw))


def test_our_own_rules_say_that_they_are_ours() -> None:
    report = spam_report(judged(CLEAN))
    assert (
        report["Engine"] == "Mailferry built-in rules"
        and report["ResponseMessage"] == "EX_OK: Mailferry built-in rules"
    )
    assert all(rule.name.startswith("MF_") for rule in builtin.RULES)


def test_a_clean_mail_meets_none_of_our_rules_and_spam_many() -> None:
    assert judged(CLEAN).symbols == () and judged(CLEAN).score == 0
    assert judged(GTUBE).is_spam and names(judged(GTUBE)) == {"MF_GTUBE"}
    assert judged(SPAMMY).is_spam


def html(text: str, head: bytes = CLEAN.partition(b"\r\n\r\n")[0]) -> bytes:
    return head.replace(b"text/plain", b"text/html") + b"\r\n\r\n" + text.encode()


def without(name: bytes) -> bytes:
    return b"\r\n".join([line for line in CLEAN.split(b"\r\n") if not line.startswith(name)])


LINK = "<p>Some words.</p><a href='{}'>{}</a>"
ATTACHED = (
    CLEAN.replace(b"text/plain; charset=utf-8", b"multipart/mixed; boundary=x")
    + b"--x\r\n\r\nwords\r\n--x\r\nContent-Disposition: attachment; filename=run.exe\r\n\r\nMZ\r\n--x--\r\n"
)
MET = {
    "MF_MISSING_FROM": without(b"From"),
    "MF_BAD_FROM": CLEAN.replace(b"From: Ann Example <ann@example.com>", b"From: a@b.test, c@d.test"),
    "MF_MISSING_DATE": without(b"Date"),
    "MF_BAD_DATE": CLEAN.replace(b"Tue, 24 Nov 2026", b"yesterday"),
    "MF_MISSING_MID": without(b"Message-ID"),
    "MF_MISSING_TO": without(b"To"),
    "MF_MISSING_SUBJECT": without(b"Subject"),
    "MF_FIELD_TWICE": b"Subject: another\r\n" + CLEAN,
    "MF_SUBJECT_SHOUTS": CLEAN.replace(b"Minutes of the meeting", b"BUY ALL OF IT"),
    "MF_SUBJECT_MARKS": CLEAN.replace(b"Minutes of the meeting", b"Buy it!!"),
    "MF_SPAM_PHRASES": CLEAN.replace(b"Dear Bob", b"Dear friend"),
    "MF_MANY_SPAM_PHRASES": CLEAN.replace(b"Dear Bob", b"Dear friend, act now"),
    "MF_BODY_SHOUTS": CLEAN.partition(b"\r\n\r\n")[0] + b"\r\n\r\nBUY ALL OF THIS TODAY",
    "MF_NO_TEXT_PART": html("<p>Some words.</p>"),
    "MF_IMAGE_ONLY": html("<img src=x>"),
    "MF_EMPTY": CLEAN.partition(b"\r\n\r\n")[0] + b"\r\n\r\n \r\n",
    "MF_LINK_TO_ADDRESS": html(LINK.format("http://203.0.113.9/", "here")),
    "MF_LINK_LIES": html(LINK.format("https://evil.example/", "https://www.bank.com/login")),
    "MF_SHORT_LINK": html(LINK.format("https://bit.ly/x", "here")),
    "MF_SCRIPT": html("<p>Some words.</p><script>1</script>"),
    "MF_FORM": html("<p>Some words.</p><form></form>"),
    "MF_HIDDEN_TEXT": html(f"<p>Some words.</p><div style='DISPLAY : none'>{'word ' * 61}</div>"),
    "MF_PROGRAM": ATTACHED,
    "MF_BROKEN_MIME": CLEAN.replace(b"\r\n", b"\n"),
    "MF_LIST_UNSUBSCRIBE": b"List-Unsubscribe: <https://example.com/u>\r\n" + CLEAN,
    "MF_GTUBE": GTUBE,
}


@pytest.mark.parametrize("rule", builtin.RULES, ids=lambda rule: rule.name)
def test_each_rule_is_met_by_its_mail_and_by_no_clean_one(rule: "builtin._Rule") -> None:
    met = names(judged(MET[rule.name]))
    # What is HTML alone meets that rule too.
    assert met - {"MF_NO_TEXT_PART", "MF_IMAGE_ONLY"} | {rule.name} == {rule.name} | (met & {rule.name})
    assert rule.name in met


def test_what_only_looks_like_it_meets_no_rule() -> None:
    for text in (
        LINK.format("https://www.bank.com/x", "bank.com"),
        LINK.format("mailto:a@bank.com", "a@bank.com"),
        LINK.format("https://track.example/x", "Read more..."),
        "<p>Some words.</p><div style='display:none'>A preheader of a few words</div>",
    ):
        assert names(judged(html(text))) == {"MF_NO_TEXT_PART"}, text
    assert judged(CLEAN.replace(b"Minutes of the meeting", b"FYI")).symbols == ()
    assert (
        judged(CLEAN.replace(b"Minutes of the meeting", b"=?utf-8?b?5pel5pys6Kqe44Gu5Lu25ZCN44Gn44GZ?=")).symbols == ()
    )
