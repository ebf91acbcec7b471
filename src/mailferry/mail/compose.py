"""A message composed from its parts, as seven-bit octets (RFC 5322, RFC 2045, RFC 2046, RFC 2387, RFC 2183).

By hand, because the standard library's EmailMessage takes more time than all the rest of accepting a message, and
folds a long List-Unsubscribe URL into encoded words that no reader takes for a URL.
"""

import hashlib
import re
import time
from dataclasses import dataclass
from typing import Literal
from urllib.parse import quote

from mailferry.mail.address import Mailbox
from mailferry.mail.encode import encode_field, encode_mailboxes
from mailferry.mail.parameters import file_name
from mailferry.mail.transfer import base64_lines, quoted_printable_text
from mailferry.mail.words import refuse_line_breaks

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")

_WORD = r"[!#$%&'*+\-.0-9A-Z^_`a-z{|}~]+"
_BARE_TYPE = re.compile(rf"{_WORD}/{_WORD}(?=[ \t]*(?:;|\Z))")
_PARAMETERS = re.compile(rf'(?:[ \t]*;[ \t]*{_WORD}=(?:{_WORD}|"(?:[ !#-\[\]-~]|\\[ -~])*"))*')
_MAX_MEDIA_TYPE = 500  # it stands on one line
_DEFAULT_TYPE = "application/octet-stream"
_MAX_CONTENT_ID = 500
_IN_CONTENT_ID = "!#$%&'*+-/=?^_`{|}~@.:"  # what a msg-id (RFC 5322 section 3.6.4) and a cid: URL both can hold


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file sent along; `content_id` (with or without angle brackets) is what `cid:` links in the HTML name."""

    filename: str
    content: bytes
    content_type: str = _DEFAULT_TYPE
    disposition: Literal["attachment", "inline"] = "attachment"
    content_id: str = ""


@dataclass(frozen=True, slots=True)
class Content:
    """What a sender says, before it is a message. `headers` are added behind ours, in their order."""

    sender: Mailbox
    to: tuple[Mailbox, ...] = ()
    cc: tuple[Mailbox, ...] = ()
    reply_to: tuple[Mailbox, ...] = ()
    subject: str = ""
    text: str | None = None
    html: str | None = None
    attachments: tuple[Attachment, ...] = ()
    headers: tuple[tuple[str, str], ...] = ()


def compose(content: Content, *, message_id: str, date_ms: int) -> bytes:
    """The whole message with CRLF line ends; seven-bit but for local parts that are UTF-8 (RFC 6532).

    `message_id` is without angle brackets, `date_ms` Unix milliseconds. The same input gives the same octets. Without
    text and HTML the body is empty text. An attachment's type that is none, or that may not be base64, becomes
    application/octet-stream. Raises `BadHeader` for CR, LF or NUL in anything that goes into a header, and for a
    header name or address that is none.
    """
    top = _top_part(content, message_id)
    out = [
        f"Date: {format_date(date_ms)}\r\n".encode(),
        encode_field("Message-ID", f"<{message_id}>"),
        encode_mailboxes("From", (content.sender,)),
        *_recipient_fields(content),
        encode_field("Subject", content.subject),
        b"MIME-Version: 1.0\r\n",
        top.head,
        *[encode_field(name, value) for name, value in content.headers],
        b"\r\n",
        top.body,
    ]
    if not top.body.endswith(b"\r\n"):  # RFC 5321 section 4.1.1.4: the last line of a message has its line end
        out.append(b"\r\n")
    return b"".join(out)


def format_date(date_ms: int) -> str:
    """Unix milliseconds as RFC 5322 section 3.3 writes a date, in UTC."""
    now = time.gmtime(date_ms // 1000)
    day, month = _DAYS[now.tm_wday], _MONTHS[now.tm_mon - 1]
    clock = f"{now.tm_hour:02d}:{now.tm_min:02d}:{now.tm_sec:02d}"
    return f"{day}, {now.tm_mday:02d} {month} {now.tm_year:04d} {clock} +0000"


def _recipient_fields(content: Content) -> list[bytes]:
    fields = []
    if content.to:
        fields.append(encode_mailboxes("To", content.to))
    elif not content.cc:
        # A message to hidden recipients alone: spam filters count a missing To against it (RFC 5322 section 3.6.3
        # allows none, A.1.3 shows this group).
        fields.append(b"To: undisclosed-recipients:;\r\n")
    if content.cc:
        fields.append(encode_mailboxes("Cc", content.cc))
    if content.reply_to:
        fields.append(encode_mailboxes("Reply-To", content.reply_to))
    return fields


@dataclass(frozen=True, slots=True)
class _Part:
    head: bytes  # MIME fields, each with its CRLF
    body: bytes  # without the CRLF that belongs to a delimiter behind it


def _top_part(content: Content, message_id: str) -> _Part:
    """mixed(alternative(text, related(html, inline files)), files): each container only where it is needed."""
    files = list(content.attachments)
    bodies = []
    if content.text is not None or content.html is None:
        bodies.append(_text_part("plain", content.text or ""))
    if content.html is not None:
        html = _text_part("html", content.html)
        if related := [file for file in files if file.disposition == "inline"]:
            files = [file for file in files if file.disposition != "inline"]
            html = _multipart("related", message_id, [html, *map(_file_part, related)])
        bodies.append(html)
    body = _multipart("alternative", message_id, bodies) if len(bodies) > 1 else bodies[0]
    return _multipart("mixed", message_id, [body, *map(_file_part, files)]) if files else body


def _text_part(subtype: str, text: str) -> _Part:
    head = f"Content-Type: text/{subtype}; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n"
    return _Part(head.encode(), quoted_printable_text(text))


def _file_part(file: Attachment) -> _Part:
    head = [
        f"Content-Type: {_media_type(file.content_type)}\r\n".encode(),
        b"Content-Transfer-Encoding: base64\r\n",
        _disposition(file),
    ]
    if file.content_id:
        head.append(f"Content-ID: <{_content_id(file.content_id)}>\r\n".encode())
    return _Part(b"".join(head), base64_lines(file.content).removesuffix(b"\r\n"))


def _disposition(file: Attachment) -> bytes:
    kind = b"inline" if file.disposition == "inline" else b"attachment"
    if not file.filename:
        return b"Content-Disposition: " + kind + b"\r\n"
    return b"Content-Disposition: " + kind + b";\r\n " + file_name(file.filename) + b"\r\n"


def _media_type(given: str) -> str:
    refuse_line_breaks(given)
    given = given.strip()
    bare = _BARE_TYPE.match(given)
    # RFC 2045 section 6.4, RFC 2046 section 5.2.1: these must not be base64; the file's name tells what it is.
    if bare is None or len(given) > _MAX_MEDIA_TYPE or given.lower().startswith(("multipart/", "message/")):
        return _DEFAULT_TYPE
    return given if _PARAMETERS.fullmatch(given, bare.end()) else bare[0]


def _content_id(given: str) -> str:
    refuse_line_breaks(given)
    return quote(given.strip(" ").removeprefix("<").removesuffix(">")[:_MAX_CONTENT_ID], safe=_IN_CONTENT_ID)


def _multipart(subtype: Literal["mixed", "alternative", "related"], message_id: str, parts: list[_Part]) -> _Part:
    # "=_" can occur neither in quoted-printable nor in base64 (RFC 2045 section 6.7), and every part is one of them.
    # One container of a kind is in a message, and no boundary is the start of another.
    unique = hashlib.blake2b(message_id.encode("utf-8", "replace"), digest_size=12).hexdigest()
    boundary = f"=_{subtype[0]}_{unique}"
    kind = '; type="text/html"' if subtype == "related" else ""  # RFC 2387 section 3.1
    head = f'Content-Type: multipart/{subtype}{kind};\r\n boundary="{boundary}"\r\n'
    out = []
    for part in parts:
        out += [b"--", boundary.encode(), b"\r\n", part.head, b"\r\n", part.body, b"\r\n"]
    out += [b"--", boundary.encode(), b"--\r\n"]
    return _Part(head.encode(), b"".join(out))
