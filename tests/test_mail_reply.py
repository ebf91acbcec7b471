"""What replies of real servers (tests/data/smtp_replies.txt) and our own synthetic answers come to."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailferry.mail.reply import Answer, Verdict, classify, clean, rule_for
from mailferry.mail.reply_rules import HARD_RULES, SOFT_RULES

CATEGORIES = frozenset(
    [
        "transientfail",
        "greylisting",
        "badsender",
        "block",
        "content",
        "dnsFail",
        "generalfail",
        "other",
        "relayfail",
        "serverfail",
        "spam",
        "verifyfail",
        "serverpolicy",
        "spam_gmail",
        "badrecipient",
        "overquota",
        "timeout",
    ]
)

REPLIES = Path(__file__).with_name("data") / "smtp_replies.txt"
CASES = [
    pytest.param(*(part.strip() for part in line.split("|", 2)), id=str(number))
    for number, line in enumerate(REPLIES.read_text("utf-8").splitlines(), 1)
    if line and not line.startswith("#")
]


def heard(reply: str, stage: str) -> Answer:
    lines = [re.fullmatch(r"(\d{3})[- ]?(?:([245]\.\d{1,3}\.\d{1,3})\b)? ?(.*)", line) for line in reply.split(" / ")]
    code, enhanced = int(lines[0][1]), lines[0][2] or ""
    return Answer(code, enhanced, clean(" ".join(line[0][4:] for line in lines)), stage, "mx")


@pytest.mark.parametrize("expected, stage, reply", CASES)
def test_replies(expected: str, stage: str, reply: str) -> None:
    answer = heard(reply, stage)
    category, _, suppress = expected.partition(" ")
    outcome = "later" if answer.code < 500 else "failed"
    assert classify(answer) == Verdict(outcome, category, suppress == "S")
    # Whether the enhanced code stays in the text as well is the client's choice.
    bare = answer.text.replace(answer.enhanced, "").strip() if answer.enhanced else answer.text
    assert classify(Answer(answer.code, answer.enhanced, bare, stage)).category == category


def test_there_are_enough_of_them() -> None:
    assert len(CASES) >= 120
    assert {case.values[0].split()[0] for case in CASES} == CATEGORIES - {"other"}


@pytest.mark.parametrize("code", [200, 250, 251, 252, 299])
def test_delivered(code: int) -> None:
    assert classify(Answer(code, "2.0.0", "mailbox full? no: queued", "dot")) == Verdict("delivered", "", False)


@pytest.mark.parametrize(
    "enhanced, stage, outcome, category",
    [
        ("4.4.1", "connect", "later", "timeout"),
        ("4.4.2", "dot", "later", "transientfail"),
        ("4.4.3", "dns", "later", "dnsFail"),
        ("5.1.2", "dns", "failed", "dnsFail"),
        ("5.1.10", "dns", "failed", "dnsFail"),
        ("4.7.5", "tls", "later", "serverfail"),
        ("5.4.7", "rcpt", "failed", "timeout"),
        ("5.6.3", "prepare", "failed", "content"),
        ("5.6.7", "prepare", "failed", "content"),
        ("4.3.0", "", "later", "transientfail"),
        ("5.3.0", "", "failed", "generalfail"),
        ("5.1.1", "rcpt", "failed", "generalfail"),
        ("", "", "later", "other"),
    ],
)
def test_without_a_reply(enhanced: str, stage: str, outcome: str, category: str) -> None:
    assert classify(Answer(0, enhanced, "user unknown, mailbox full, timed out", stage)) == Verdict(
        outcome, category, False
    )


@pytest.mark.parametrize("stage", ["connect", "ehlo", "auth", "mail"])
@pytest.mark.parametrize("text", ["5.1.1 user unknown", "5.2.2 mailbox full", "5.4.7 message timed out"])
def test_nobody_is_suppressed_before_a_recipient_was_named(stage: str, text: str) -> None:
    verdict = classify(Answer(550, text[:5], text, stage))
    assert verdict.outcome == "failed" and not verdict.suppress
    assert verdict.category not in ("badrecipient", "overquota")


@pytest.mark.parametrize("code", [100, 354, 399, 600, 999])
def test_codes_without_sense_here_settle_nothing(code: int) -> None:
    assert classify(Answer(code, "", "user unknown", "dot")) == Verdict("later", "other", False)


@given(st.integers(0, 999), st.sampled_from(["", "5.1.1", "4.2.2", "5.7.1", "junk"]), st.text(), st.text(max_size=4))
def test_any_answer_gets_a_known_category(code: int, enhanced: str, text: str, stage: str) -> None:
    verdict = classify(Answer(code, enhanced, clean(text), stage))
    assert verdict.category in CATEGORIES or verdict == Verdict("delivered", "", False)
    assert not verdict.suppress or verdict.outcome == "failed"


@given(st.text() | st.binary())
def test_clean_gives_one_printable_line(text: str | bytes) -> None:
    line = clean(text)
    assert len(line) <= 1000 and line == line.strip()
    assert not re.search("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\ud800-\udfff]", line)
    assert clean(line) == line
    line.encode()


@pytest.mark.parametrize(
    "text, line",
    [
        (b"2.0.0 Ok: queued as 4Z", "2.0.0 Ok: queued as 4Z"),
        (b"a\r\nb\tc\x1b[31m", "a b c [31m"),
        ("Bo\u00eete pleine".encode(), "Bo\u00eete pleine"),
        ("Bo\u00eete pleine".encode("latin-1"), "Bo\u00eete pleine"),
        ("x\u2028y\u202ez", "x y z"),
        (b"x" * 5000, "x" * 1000),
        (b"x" * 999 + b" y", "x" * 999),
        (b"x" * 999 + b"\r\ny", "x" * 999),
        ("\ud800", "\ufffd"),
        (b"", ""),
    ],
)
def test_clean(text: str | bytes, line: str) -> None:
    assert clean(text) == line


def test_every_rule_decides_some_reply() -> None:
    deciding = {id(rule_for(heard(case.values[2], case.values[1]))) for case in CASES}
    assert [rule for rule in {*SOFT_RULES, *HARD_RULES} if id(rule) not in deciding] == []
