"""``mailferry sendmail``: takes the place of /usr/sbin/sendmail, so that what knows no SMTP sends into an inbox of the sandbox.

Options are sendmail's, as far as programs use them (PHP's ``mail()``, cron, git send-email); others are taken and mean
nothing here. Exit statuses are those of sysexits.h, which these programs look at.
"""

import os
import re
import smtplib
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import BinaryIO
from urllib.parse import unquote, urlsplit

from mailferry import credentials
from mailferry.config import Config
from mailferry.mail import address
from mailferry.mail.address import BadAddress
from mailferry.mail.header import Field
from mailferry.mail.parts import Part
from mailferry.sandbox.summary import head_of, mailboxes

OK, USAGE, NO_USER, UNAVAILABLE, TEMPORARY = 0, 64, 67, 69, 75
#: The setting: where to and as whom, smtp://USER:PASSWORD@HOST:PORT, or smtps:// for implicit TLS.
URL = "sendmail.url"
VARIABLE = "MAILFERRY_SENDMAIL_URL"
SECONDS = 60
#: Options whose value may be the next word.
_WITH_VALUE = ("-f", "-r", "-F", "-B", "-C", "-N", "-O", "-R", "-V", "-X", "-L", "-o", "-p", "-q", "-h")

_LINE_END = re.compile(rb"\r\n|\r|\n")


@dataclass(slots=True)
class Order:
    """What the command line asks for."""

    sender: str = ""
    #: -t: of the header's fields To, Cc and Bcc.
    from_header: bool = False
    #: -i: a line with nothing but a dot is one like the others.
    whole_input: bool = False
    recipients: list[str] = field(default_factory=list)


class Wrong(ValueError):
    """The text says what; ``status`` is how the program ends."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


def main(words: Sequence[str], config: Config, given: BinaryIO) -> int:
    try:
        order = read(words)
        _deliver(order, _where(config), given.read())
    except Wrong as wrong:
        print(f"mailferry: {wrong}", file=sys.stderr)
        return wrong.status
    return OK


def read(words: Sequence[str]) -> Order:
    """Values are glued to their option or the next word."""
    order, left = Order(), list(words)
    while left:
        word = left.pop(0)
        if word == "--":
            order.recipients += left
            break
        if not word.startswith("-") or word == "-":
            order.recipients.append(word)
            continue
        option, value = word[:2], word[2:]
        if option in _WITH_VALUE and not value and left:
            value = left.pop(0)
        if option in ("-f", "-r"):
            order.sender = value
        order.from_header = order.from_header or option == "-t"
        order.whole_input = order.whole_input or option == "-i" or (option == "-o" and value == "i")
        # -ti and -it are one word to PHP's users.
        order.from_header = order.from_header or (option == "-i" and "t" in value)
        order.whole_input = order.whole_input or (option == "-t" and "i" in value)
    return order


def message_of(order: Order, given: bytes) -> tuple[bytes, list[str]]:
    """With CRLF line ends and without Bcc, and whom it goes to."""
    text = _LINE_END.sub(b"\r\n", given)
    if not order.whole_input:
        text = re.split(rb"(?m)^\.\r\n", text, maxsplit=1)[0]
    head = head_of(text)
    recipients = list(order.recipients)
    if order.from_header:
        named = [each for each in head.fields if each.lower in (b"to", b"cc", b"bcc")]
        recipients += [box.address for each in named for box in mailboxes(each.value)]
    if not recipients:
        raise Wrong(NO_USER if order.from_header else USAGE, "no recipients: name them, or give -t and a To field")
    kept = [each for each in head.fields if each.lower != b"bcc"]
    if not any(each.lower == b"from" for each in kept):
        kept.insert(0, Field(b"From", f"From: {_sender(order, head)}\r\n".encode()))
    body = text[head.body_at :]
    return b"".join([*(each.raw for each in kept), b"\r\n", body]), list(dict.fromkeys(recipients))


def _sender(order: Order, head: Part) -> str:
    """-f, else the header's From, else whoever runs this."""
    if order.sender.strip("<>"):
        return order.sender.strip("<>")
    found = [box.address for each in head.fields if each.lower == b"from" for box in mailboxes(each.value)]
    return found[0] if found else f"{os.environ.get('USER') or 'nobody'}@localhost"


def _where(config: Config) -> str:
    if url := config[URL]:
        return str(url)
    inbox = credentials.recall(config.data_dir).get("sandbox")
    host, port, tls = credentials.smtp_listener(config)
    if not inbox or not port:
        raise Wrong(
            USAGE, f"where to? Set {VARIABLE}=smtp://USER:PASSWORD@HOST:PORT, with an inbox's user and password"
        )
    return f"{'smtps' if tls else 'smtp'}://{inbox['username']}:{inbox['password']}@{host}:{port}"


def _deliver(order: Order, url: str, given: bytes) -> None:
    text, recipients = message_of(order, given)
    sender = _sender(order, head_of(_LINE_END.sub(b"\r\n", given)))
    try:
        boxes = [address.parse(each) for each in recipients]
    except BadAddress as error:
        raise Wrong(NO_USER, f"an address is none: {error}") from error
    try:
        with _connected(url) as client:
            client.sendmail(sender, boxes, text)
    except Wrong:
        raise
    except smtplib.SMTPAuthenticationError as error:
        raise Wrong(UNAVAILABLE, f"the login was refused: {_said(error.smtp_error)}") from error
    except smtplib.SMTPRecipientsRefused as error:
        code, said = next(iter(error.recipients.values()))
        raise Wrong(_status(code), f"refused: {_said(said)}") from error
    except smtplib.SMTPResponseException as error:
        raise Wrong(_status(error.smtp_code), f"refused: {_said(error.smtp_error)}") from error
    except (smtplib.SMTPException, OSError, ValueError) as error:
        raise Wrong(TEMPORARY, f"{urlsplit(url).hostname} cannot be sent to: {error}") from error


def _connected(url: str) -> smtplib.SMTP:
    found = urlsplit(url)
    host = found.hostname or ""
    if found.scheme not in ("smtp", "smtps") or not host:
        raise Wrong(USAGE, f"{VARIABLE} is no smtp://USER:PASSWORD@HOST:PORT")
    if found.scheme == "smtps":
        client: smtplib.SMTP = smtplib.SMTP_SSL(host, found.port or 465, timeout=SECONDS)
    else:
        client = smtplib.SMTP(host, found.port or 2525, timeout=SECONDS)
    try:
        # Without TLS an inbox's login is a challenge, which tells nobody the password.
        client.login(unquote(found.username or ""), unquote(found.password or ""))
    except BaseException:
        client.close()
        raise
    return client


def _status(code: int) -> int:
    return TEMPORARY if code < 500 else UNAVAILABLE


def _said(text: bytes | str) -> str:
    return text.decode(errors="replace") if isinstance(text, bytes) else text
