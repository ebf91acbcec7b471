"""The edits of one text, HTML or plain, that tracking and unsubscribing need: found once, written for each recipient.

Edited are the values of ``href`` in ``<a>`` and ``<area>`` (http and https only), whose ``ses:`` attributes go, the placeholders
``__unsubscribe_url__`` and ``__tracking_opt_out_url__`` wherever they stand (in mail to a contact list Amazon's own as
well), and the place before the last ``</body>``, where the footer goes, and the pixel if it has no place of its own
(``{{ses:openTracker}}``). Every other octet stays what it was.
"""

import codecs
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from functools import lru_cache

import idna

from mailferry.mail.html_scan import scan

UNSUBSCRIBE = b"__unsubscribe_url__"
OPT_OUT = b"__tracking_opt_out_url__"
LIST_UNSUBSCRIBE = b"{{amazonSESUnsubscribeUrl}}"
#: Amazon's: where the sender wants the pixel.
OPEN_TRACKER = b"{{ses:openTracker}}"

LONGEST_URL = 4000
"""Octets of a target; a longer one is left alone. In a link it grows by a third, and 8 KiB of request line is what most
proxies take."""

# An editor that knows no placeholders puts http:// in front of what stands in its field for a link.
_PLACEHOLDER = re.compile(rb"(?:https?://)?__(?:unsubscribe|tracking_opt_out)_url__")
_LIST_PLACEHOLDER = re.compile(rb"(?:https?://)?" + re.escape(LIST_UNSUBSCRIBE))
# Soft line breaks of quoted-printable stand 70 octets apart: at least one half is whole.
_HALVES = (b"__unsubscr", b"ibe_url__", b"__tracking_opt", b"_out_url__")

_TARGET = re.compile(r"(https?)://([^/?#\\]+)([^\\]*)", re.IGNORECASE)
_NOT_URL = re.compile(r"[^!-~]")
_TAGS = re.compile(r"[ -~]+")
_STRIPPED = "".join(map(chr, range(0x21)))


class What(Enum):
    CLICK = auto()
    UNSUBSCRIBE = auto()
    LIST_UNSUBSCRIBE = auto()
    OPT_OUT = auto()
    FOOTER = auto()
    PIXEL = auto()
    #: Nothing is written in its place.
    SPENT = auto()


@dataclass(frozen=True, slots=True)
class Edit:
    """What stands from ``start`` to ``end`` becomes something else; of a CLICK, a link to ``url``, told apart by ``tags``."""

    start: int
    end: int
    what: What
    url: str = ""
    tags: str = ""


@dataclass(frozen=True, slots=True)
class Wishes:
    opens: bool = False
    clicks: bool = False
    footer: bool = False
    #: It is sent to a contact list, whose placeholder counts.
    listed: bool = False


def may_hold_placeholder(encoded: bytes) -> bool:
    """False only when there is none in a text, encoded in quoted-printable or not at all: four scans, nothing decoded."""
    return any(half in encoded for half in _HALVES)


def has_placeholder(text: bytes, placeholder: bytes = b"") -> bool:
    return (placeholder in text) if placeholder else (UNSUBSCRIBE in text or OPT_OUT in text)


@lru_cache(maxsize=256)
def holds_ascii(charset: str) -> bool:
    """Whether ASCII octets stand for themselves there: only then markup can be read without decoding it."""
    ascii_octets = bytes(range(128)) + b"\x1b$B!!\x1b(B~{!!~}"
    try:
        # Stateful ones (ISO-2022, HZ, UTF-7) and wide ones (UTF-16) give something else, or nothing. CP932's backslash is
        # a yen sign to look at and still a backslash.
        return codecs.lookup(charset).name != "idna" and ascii_octets.decode(charset) == ascii_octets.decode("ascii")
    except (LookupError, UnicodeError, ValueError):
        return False


def html_edits(document: bytes, charset: str, wishes: Wishes, own: str) -> tuple[Edit, ...]:
    """In the order of the document. ``own``: what our links begin with; they are not followed a second time."""
    placeholders = list(_placeholders(document, wishes.listed))
    if not (wishes.opens or wishes.clicks or wishes.footer):
        return tuple(placeholders)
    page = scan(document, charset, links=wishes.clicks)
    trackers = list(_trackers(document)) if wishes.opens else []
    edits = [*placeholders, *trackers]
    if wishes.clicks:
        taken = [(edit.start, edit.end) for edit in edits]
        for href in page.hrefs:
            url = target(href.value)
            if url is None or url.startswith(own) or _overlaps(taken, href.start, href.end):
                continue
            tags = href.tags if may_be_tags(href.tags) and len(url) + len(href.tags) < LONGEST_URL else ""
            edits.append(Edit(href.start, href.end, What.CLICK, url, tags))
        edits += (Edit(*each, What.SPENT) for each in page.spent if not _overlaps(taken, *each))
    at = len(document) if page.end is None else page.end
    if wishes.footer:
        edits.append(Edit(at, at, What.FOOTER))
    if wishes.opens and not trackers and page.end is not None:
        edits.append(Edit(at, at, What.PIXEL))
    return tuple(sorted(edits, key=lambda edit: (edit.start, edit.what.value)))


def text_edits(text: bytes, *, footer: bool, listed: bool = False) -> tuple[Edit, ...]:
    edits = list(_placeholders(text, listed))
    if footer:
        edits.append(Edit(len(text), len(text), What.FOOTER))
    return tuple(edits)


def fill(text: bytes, edits: Sequence[Edit], write: Callable[[Edit], bytes]) -> bytes:
    """The text with every edit made. ``write`` may give back the octets that were there."""
    out: list[bytes] = []
    at = 0
    for edit in edits:
        out += (text[at : edit.start], write(edit))
        at = edit.end
    out.append(text[at:])
    return b"".join(out)


def target(value: str) -> str | None:
    """The URL that a browser would ask for, in ASCII; None when it is not http or https, or not plainly a URL."""
    value = value.strip(_STRIPPED).translate({9: None, 10: None, 13: None})  # as the URL standard, 4.4
    found = _TARGET.fullmatch(value)
    if found is None or any(character < " " for character in value):
        return None
    scheme, authority, rest = found.groups()
    if not authority.isascii():
        try:
            authority = idna.encode(authority, uts46=True).decode("ascii")
        except idna.IDNAError:
            return None
    if _NOT_URL.search(authority):
        return None
    url = f"{scheme}://{authority}{_NOT_URL.sub(_percent, rest)}"
    return url if len(url) <= LONGEST_URL else None


def may_be_tags(value: str) -> bool:
    """Whether a link can hold them."""
    return _TAGS.fullmatch(value) is not None


def link_tags(value: str) -> dict[str, list[str]]:
    """What ``name:value;name:value`` says; what has no name or no value is left out."""
    found: dict[str, list[str]] = {}
    for pair in value.split(";"):
        name, colon, said = (each.strip() for each in pair.partition(":"))
        if name and colon and said:
            found.setdefault(name, []).append(said)
    return found


def _percent(found: re.Match[str]) -> str:
    return "".join(f"%{octet:02X}" for octet in found[0].encode("utf-8", "replace"))


def _placeholders(text: bytes, listed: bool) -> Iterator[Edit]:
    """In their order."""
    found = _ours(text) if has_placeholder(text) else iter(())
    if listed and LIST_UNSUBSCRIBE in text:
        theirs = (Edit(each.start(), each.end(), What.LIST_UNSUBSCRIBE) for each in _LIST_PLACEHOLDER.finditer(text))
        found = iter(sorted([*found, *theirs], key=lambda edit: edit.start))
    return found


def _trackers(document: bytes) -> Iterator[Edit]:
    """One pixel, at the first of them."""
    at = document.find(OPEN_TRACKER)
    what = What.PIXEL
    while at >= 0:
        yield Edit(at, at + len(OPEN_TRACKER), what)
        at, what = document.find(OPEN_TRACKER, at + len(OPEN_TRACKER)), What.SPENT


def _ours(text: bytes) -> Iterator[Edit]:
    for found in _PLACEHOLDER.finditer(text):
        what = What.UNSUBSCRIBE if found[0].endswith(UNSUBSCRIBE) else What.OPT_OUT
        yield Edit(found.start(), found.end(), what)


def _overlaps(taken: Sequence[tuple[int, int]], start: int, end: int) -> bool:
    return any(begin < end and start < stop for begin, stop in taken)
