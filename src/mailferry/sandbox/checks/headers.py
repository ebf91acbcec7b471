"""Whether a message is one by RFC 5322 and what receivers ask beyond it: fields, dates, ids, lines, unsubscribing. Pure."""

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from mailferry.mail.address import BadAddress, parse_mailboxes
from mailferry.mail.reading import HeaderField, Reading
from mailferry.sandbox.checks.finding import Finding, Grade

LONGEST_LINE = 998
WISHED_LINE = 78

_ONCE = ["date", "from", "sender", "reply-to", "to", "cc", "bcc", "message-id", "in-reply-to", "references", "subject"]
_ADDRESSES = ("From", "Sender", "Reply-To", "To", "Cc")
# RFC 5322 3.6.4: id-left "@" id-right; what many programs take is any text without blanks between the brackets.
_MESSAGE_ID = re.compile(r"<[^\s<>@]+@[^\s<>@]+>")
# RFC 5322 3.3, without the obsolete forms: those may be read, and must not be written.
_DATE = re.compile(
    r"(?:(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun), )? ?\d{1,2} (?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) \d{4} "
    r"\d\d:\d\d(?::\d\d)? [+-]\d{4}(?: \([^()]*\))?"
)
_URI = re.compile(r"<\s*([^<>\s]+)\s*>")
_WORD_LIKE = re.compile(r"=\?[A-Za-z0-9_-]+\?[BbQq]\?")


def check(raw: bytes, reading: Reading, now: datetime) -> list[Finding]:
    """In the order in which somebody would look: who, when, which, what, how. `raw` is the message as it came."""
    return [
        *_once(reading),
        *_addresses(reading),
        *_date(reading, now),
        *_message_id(reading),
        *_subject(reading),
        *_bcc(reading),
        *_mime(reading),
        *_lines(raw),
        *_unsubscribing(reading),
        *[
            Finding("mime", "problem", f"{each[:1].upper()}{each[1:]}.", "RFC 2045, RFC 2047")
            for each in reading.problems
        ],
    ]


def _finding(rule: str, source: str) -> Callable[[Grade, str], Finding]:
    return lambda grade, sentence: Finding(rule, grade, sentence, source)


def _once(reading: Reading) -> Iterator[Finding]:
    say = _finding("once", "RFC 5322 3.6")
    for name in _ONCE:
        if (count := len(reading.all(name))) > 1:
            yield say("problem", f"There are {count} {_spelled(name)} fields, and there may be one.")


def _spelled(name: str) -> str:
    return {"message-id": "Message-ID"}.get(name, "-".join(part.capitalize() for part in name.split("-")))


def _addresses(reading: Reading) -> Iterator[Finding]:
    say = _finding("addresses", "RFC 5322 3.6.2")
    if not reading.all("From"):
        yield say("problem", "There is no From field.")
    for name in _ADDRESSES:
        for field in reading.all(name):
            yield from _address_field(name, field)
    if not reading.all("To") and not reading.all("Cc"):
        yield say("warning", "There is neither a To nor a Cc field: filters take that for spam.")
    senders = reading.mailboxes("From")
    if len(senders) > 1 and not reading.all("Sender"):
        yield say("problem", "Several addresses in From need a Sender field that says which of them sent it.")


def _address_field(name: str, field: HeaderField) -> Iterator[Finding]:
    say = _finding("addresses", "RFC 5322 3.4")
    try:
        found = parse_mailboxes(field.raw.partition(b":")[2])
    except (BadAddress, RecursionError) as error:
        yield say("problem", f"The {name} field is no list of addresses: {error}.")
        return
    if not found and name in ("From", "Sender", "Reply-To"):
        yield say("problem", f"The {name} field names nobody.")
    elif name == "From" and len(found) == 1:
        yield say("pass", f"The mail is from {found[0].address}.")


def _date(reading: Reading, now: datetime) -> Iterator[Finding]:
    say = _finding("date", "RFC 5322 3.3")
    text = reading.header("Date").strip()
    if not text:
        yield say("problem", "There is no Date field.")
        return
    try:
        when = parsedate_to_datetime(text[:100])
        away = when.replace(tzinfo=when.tzinfo or UTC) - now
    except (ValueError, TypeError, OverflowError):
        yield say("problem", f"The Date field is no date: {text[:60]!r}.")
        return
    if not _DATE.fullmatch(text):
        yield say("warning", f"The Date field is written in an obsolete form: {text[:60]!r}.")
    if abs(away.total_seconds()) > 86_400:
        yield say("warning", f"The Date field is more than a day in the {'future' if away.days >= 0 else 'past'}.")
    elif _DATE.fullmatch(text):
        yield say("pass", f"The date is {text}.")


def _message_id(reading: Reading) -> Iterator[Finding]:
    say = _finding("message-id", "RFC 5322 3.6.4")
    text = reading.header("Message-ID").strip()
    if not text:
        yield say("warning", "There is no Message-ID field: replies and threads need it, and filters miss it.")
    elif not _MESSAGE_ID.fullmatch(text):
        yield say("problem", f"The Message-ID is not of the form <left@right>: {text[:80]!r}.")
    else:
        yield say("pass", "The Message-ID is well formed.")


def _subject(reading: Reading) -> Iterator[Finding]:
    say = _finding("subject", "RFC 5322 3.6.5")
    if not reading.subject.strip():
        yield say("warning", "There is no subject.")
    elif _WORD_LIKE.search(reading.subject):
        yield Finding(
            "subject", "problem", "An encoded word of the subject is broken, and readers see its code.", "RFC 2047 2"
        )
    elif len(reading.subject) > 150:
        yield say("note", f"The subject has {len(reading.subject)} characters; lists show some 40 to 70.")


def _bcc(reading: Reading) -> Iterator[Finding]:
    if reading.all("Bcc"):
        sentence = "There is a Bcc field: where it is not removed, each recipient sees the others."
        yield Finding("bcc", "warning", sentence, "RFC 5322 3.6.3")


def _mime(reading: Reading) -> Iterator[Finding]:
    say = _finding("mime-version", "RFC 2045 4")
    version = reading.header("MIME-Version").partition("(")[0].strip()
    if any(reading.all(name) for name in ("Content-Type", "Content-Transfer-Encoding")):
        if not version:
            yield say("warning", "There is no MIME-Version field, so strict readers take the content for plain text.")
        elif version != "1.0":
            yield say("problem", f"The MIME-Version is {version[:20]!r}; there is only 1.0.")
    for node in reading.tree.walk():
        if node.children and node.encoding not in ("", "7bit", "8bit", "binary"):
            sentence = f"Part {node.path} holds parts and is in {node.encoding[:30]}, which is not allowed."
            yield Finding("mime-encoding", "problem", sentence, "RFC 2045 6.4")


def _lines(raw: bytes) -> Iterator[Finding]:
    head, _, body = raw.partition(b"\r\n\r\n")
    if not head.isascii():
        sentence = "The header holds octets that are not ASCII: it needs SMTPUTF8, which not all servers have."
        yield Finding("seven-bit", "warning", sentence, "RFC 6532")
    if not body.isascii():
        sentence = "The body has eight-bit octets: it needs 8BITMIME, and some servers encode it anew, which breaks signatures."
        yield Finding("seven-bit", "note", sentence, "RFC 6152")
    if head.isascii() and body.isascii():
        yield Finding("seven-bit", "pass", "The message is of seven bits, which every server takes.", "RFC 5322 2.1")
    if b"\0" in raw:
        yield Finding("control", "problem", "The message holds a NUL.", "RFC 5322 2.2")
    pairs = raw.count(b"\r\n")
    if raw.count(b"\n") != pairs or raw.count(b"\r") != pairs:
        sentence = "A CR or LF stands alone: servers refuse that, because two of them could read two messages."
        yield Finding("line-ends", "problem", sentence, "RFC 5322 2.3")
    yield from _line_lengths(head, raw)


def _line_lengths(head: bytes, raw: bytes) -> Iterator[Finding]:
    longest = max([len(line) for line in raw.split(b"\r\n")])
    say = _finding("line-length", "RFC 5322 2.1.1")
    if longest > LONGEST_LINE:
        yield say(
            "problem",
            f"A line has {longest} octets; {LONGEST_LINE} is the most, and servers cut or refuse what is longer.",
        )
    elif (in_head := max([len(line) for line in head.split(b"\r\n")])) > WISHED_LINE:
        yield say("note", f"A line of the header has {in_head} octets; {WISHED_LINE} are wished for.")
    else:
        yield say("pass", f"No line has more than {LONGEST_LINE} octets.")


def _unsubscribing(reading: Reading) -> Iterator[Finding]:
    say = _finding("list-unsubscribe", "RFC 2369 3.2, RFC 8058")
    text = reading.header("List-Unsubscribe").strip()
    post = reading.header("List-Unsubscribe-Post").strip()
    if not text:
        if post:
            yield say(
                "problem", "There is a List-Unsubscribe-Post field and no List-Unsubscribe that it could be about."
            )
        else:
            yield say("note", "There is no List-Unsubscribe field; Gmail and Yahoo ask for one in mail to many.")
        return
    uris = _URI.findall(text)
    if not uris:
        yield say("problem", "The List-Unsubscribe field holds no URI in angle brackets.")
        return
    over_https = any(uri.lower().startswith("https:") for uri in uris)
    if not post:
        yield say("warning", "There is no List-Unsubscribe-Post field, so nobody offers to unsubscribe with one click.")
    elif post.replace(" ", "") != "List-Unsubscribe=One-Click":
        yield say("problem", f"List-Unsubscribe-Post must be List-Unsubscribe=One-Click, not {post[:60]!r}.")
    elif not over_https:
        yield say("problem", "One click needs an https URI in List-Unsubscribe.")
    else:
        yield say("pass", "It can be unsubscribed from with one click.")
