"""`mailferry sendmail`: what programs ask of sendmail, and what becomes of it."""

import asyncio
import io
from pathlib import Path
from typing import Any

import pytest

from mailferry.cli import sendmail
from mailferry.cli.sendmail import NO_USER, OK, TEMPORARY, UNAVAILABLE, URL, USAGE, VARIABLE, Order, message_of, read
from mailferry.config import Config, load
from tests.endpoints_smtp_support import PASSWORD, USER, MemoryBackend, Reply, serving

MAIL = b"To: Bob <bob@dest.test>, eve@dest.test\nBcc: hid@dest.test\nSubject: Hi\n\n.dot\nbody\n"


@pytest.mark.parametrize(
    ("words", "order"),
    [
        ("-t -i", Order(from_header=True, whole_input=True)),
        ("-ti", Order(from_header=True, whole_input=True)),
        ("-oi -t -fapp@a.test", Order("app@a.test", from_header=True, whole_input=True)),
        ("-f app@a.test -F Name bob@dest.test", Order("app@a.test", recipients=["bob@dest.test"])),
        ("-bm -odb -- -x@dest.test", Order(recipients=["-x@dest.test"])),
        ("-o i a@b.test", Order(whole_input=True, recipients=["a@b.test"])),
    ],
)
def test_options_are_sendmail_s(words: str, order: Order) -> None:
    assert read(words.split()) == order


def test_recipients_come_from_the_header_and_bcc_leaves_it() -> None:
    text, recipients = message_of(Order("app@a.test", from_header=True, whole_input=True), MAIL)
    assert recipients == ["bob@dest.test", "eve@dest.test", "hid@dest.test"]
    assert text == (
        b"From: app@a.test\r\nTo: Bob <bob@dest.test>, eve@dest.test\r\nSubject: Hi\r\n\r\n.dot\r\nbody\r\n"
    )


def test_a_lone_dot_ends_the_input_unless_it_is_told_not_to() -> None:
    given = b"From: a@b.test\n\none\n.\ntwo\n"
    assert message_of(Order(recipients=["a@b.test"]), given)[0].endswith(b"\r\n\r\none\r\n")
    assert message_of(Order(recipients=["a@b.test"], whole_input=True), given)[0].endswith(b"one\r\n.\r\ntwo\r\n")


def configured(tmp_path: Path, url: str) -> Config:
    return load(None, {}, {"server.data_dir": str(tmp_path), URL: url})


async def run(tmp_path: Path, backend: MemoryBackend, words: str, given: bytes = MAIL, password: str = PASSWORD) -> int:
    async with serving(backend=backend) as running:
        config = configured(tmp_path, f"smtp://{USER}:{password}@127.0.0.1:{running.port}")
        return await asyncio.to_thread(sendmail.main, words.split(), config, io.BytesIO(given))


async def test_it_is_sent_with_its_envelope(tmp_path: Path) -> None:
    backend = MemoryBackend()
    assert await run(tmp_path, backend, "-t -i -f app@a.test") == OK
    ((envelope, message),) = backend.messages
    assert envelope.sender == "app@a.test" and "hid@dest.test" in envelope.recipients
    assert message.endswith(b"\r\n\r\n.dot\r\nbody\r\n") and b"Bcc" not in message


@pytest.mark.parametrize(
    ("words", "answers", "password", "status"),
    [
        ("", {}, PASSWORD, USAGE),
        ("-t", {"rcpt": Reply(550, "5.1.1", "no")}, PASSWORD, UNAVAILABLE),
        ("-t", {"data": Reply(451, "4.3.0", "later")}, PASSWORD, TEMPORARY),
        ("-t", {"data": Reply(554, "5.5.1", "never")}, PASSWORD, UNAVAILABLE),
        ("-t", {}, "wrong", UNAVAILABLE),
        ("no@@address", {}, PASSWORD, NO_USER),
    ],
)
async def test_it_ends_as_sysexits_has_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: str, answers: dict[str, Any], password: str, status: int
) -> None:
    backend = MemoryBackend()
    backend.answers = answers
    assert await run(tmp_path, backend, words, password=password) == status
    assert capsys.readouterr().err.startswith("mailferry: ")


def test_without_an_inbox_it_says_what_is_missing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for url, status in (("", USAGE), ("http://x", USAGE), ("smtp://a:b@127.0.0.1:1", TEMPORARY)):
        assert sendmail.main(["-t"], configured(tmp_path, url), io.BytesIO(MAIL)) == status
        told = capsys.readouterr().err
        assert VARIABLE in told or status == TEMPORARY
