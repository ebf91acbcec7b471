"""Which texts may stand in a message and in its header fields (RFC 5322 2.2, RFC 2045 5.1).

One place for every way in, so that a line break cannot slip into a header through one of them.
"""

import re
from collections.abc import Iterator

from mailferry.intake.refusal import Reason, Refusal

#: Written by us, or trace of a way that the message has not gone yet. What each would break if a client wrote it:
RESERVED = frozenset(
    {
        "from",  # the sender rule looks at the from field
        "sender",  # a second sender, which the rule has not seen
        "to",  # the fields to, cc and bcc make these, and the envelope
        "cc",
        "bcc",
        "reply-to",  # the field reply_to makes it
        "subject",
        "date",  # ours, since it is signed as the time of acceptance
        "message-id",  # ours, since the log, bounces and complaints find the message by it
        "mime-version",
        "return-path",  # the host that delivers writes it (RFC 5321 4.4)
        "received",
        "dkim-signature",
        "authentication-results",
        "delivered-to",  # hosts take it for a mail loop
    }
)
#: Content-*: of the parts that we compose. X-MT-*: ours to read and to remove. Resent-* and ARC-*: trace.
RESERVED_PREFIXES = ("content-", "x-mt-", "resent-", "arc-")

#: RFC 5322 3.6.8: ftext. 126 characters leave room for a value on the first line, and are more than anyone needs.
_NAME = re.compile(r"[!-9;-~]{1,126}")

_WORD = r"[!#$%&'*+\-.0-9A-Z^_`a-z{|}~]{1,127}"
_VALUE = rf'(?:{_WORD}|"(?:[ !#-\[\]-~]|\\[ -~])*")'
_MEDIA_TYPE = re.compile(rf"{_WORD}/{_WORD}(?:[ \t]*;[ \t]*{_WORD}={_VALUE})*[ \t]*;?")
_LINE_BREAK = re.compile(r"[\r\n]")
_BLANKS = re.compile(r"[\t-\r]+")
#: PostgreSQL takes no NUL, no database half a surrogate pair, and the other controls would reach somebody's terminal.
_UNKEEPABLE = re.compile(r"[\x00-\x08\x0e-\x1f\x7f\ud800-\udfff]")
#: A NUL spelled in compact JSON; an even number of backslashes in front spells backslashes.
_JSON_NUL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")


def flaw(text: str) -> str:
    """What is wrong with a text of many lines, or nothing."""
    if "\0" in text:
        return "a NUL character"
    if not text.isascii():
        # Half a surrogate pair is no character: UTF-8 cannot carry it (RFC 3629 3).
        try:
            text.encode()
        except UnicodeEncodeError:
            return "half a surrogate pair"
    return ""


def line_flaw(text: str) -> str:
    """What is wrong with a text that goes into one header field, or nothing. Folding is ours to do."""
    if text.isprintable():
        return ""
    return "a line break" if _LINE_BREAK.search(text) else flaw(text)


def json_flaw(text: str) -> str:
    """What is wrong with a JSON object whose names and values are shown as texts, or nothing."""
    return "a NUL character" if "u0000" in text and _JSON_NUL.search(text) else flaw(text)


def kept(text: str) -> str:
    """A decoded text as every database takes it. Encoded words (RFC 2047) can spell any character, and a message that
    came whole is not refused for what they spell: the log shows a mark in its place.
    """
    return text if text.isprintable() else _UNKEEPABLE.sub("\ufffd", text)


def kept_line(text: str) -> str:
    """The same on one line, as the fields of a head are shown."""
    return text if text.isprintable() else kept(_BLANKS.sub(" ", text))


def header(name: str, value: str) -> Iterator[Refusal]:
    """A field that a client wants in the head."""
    if not _NAME.fullmatch(name):
        yield Refusal(Reason.HEADER_NAME_INVALID, "headers", detail=name)
    elif is_reserved(name):
        yield Refusal(Reason.HEADER_RESERVED, "headers", detail=name)
    elif line_flaw(value):
        yield Refusal(Reason.HEADER_VALUE_INVALID, "headers", detail=name)


def is_reserved(name: str) -> bool:
    lower = name.lower()
    return lower in RESERVED or lower.startswith(RESERVED_PREFIXES)


def is_media_type(text: str) -> bool:
    """RFC 2045 5.1, parameters allowed: an invitation needs its ``method=REQUEST``."""
    return len(text) <= 1000 and _MEDIA_TYPE.fullmatch(text) is not None


def octets(text: str) -> int:
    """At most about so many octets does a text take in a header field: B words (RFC 2047 4.1) are 4 for 3, and folded."""
    return len(text) if text.isascii() else len(text.encode(errors="replace")) * 2
