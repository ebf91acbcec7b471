"""Finds the links of an HTML document without touching it: tags as a browser's tokenizer sees them (HTML, 13.2.5).

Only offsets come out, so that whoever edits leaves every other octet alone. What cannot be read for sure (foreign
content, scripts with comments in them) is not looked at: a link that is left as it is harms nobody.
"""

import html
import html.entities
import re
from collections.abc import Iterator
from dataclasses import dataclass

#: Attributes of a link that its sender does not want to be followed: ours, Mailtrap's, Amazon's.
NO_TRACK = frozenset({b"data-no-track", b"data-mt-no-track", b"ses:no-track"})
#: Amazon's, by which a link's clicks are told apart.
TAGS = b"ses:tags"
#: Attributes that are for us and not for the reader.
_OURS = frozenset({b"ses:no-track", TAGS})

_WHITE = rb"\t\n\f\r "
_NAME = re.compile(rb"[A-Za-z][^/>" + _WHITE + rb"]*")
_BETWEEN = re.compile(rb"[/" + _WHITE + rb"]*")
#: Behind an attribute: one that is parted from the next, and one without which the next would be the value of the one before.
_PARTED = re.compile(rb"[/>" + _WHITE + rb"]")
_JOINS = re.compile(rb"[/" + _WHITE + rb"]*+=")
_ATTRIBUTE = re.compile(rb"[^/>" + _WHITE + rb"][^/>=" + _WHITE + rb"]*")
_EQUALS = re.compile(rb"[" + _WHITE + rb"]*=[" + _WHITE + rb"]*")
_UNQUOTED = re.compile(rb"[^>" + _WHITE + rb"]*")
_COMMENT_END = re.compile(rb"--!?>")
_ABRUPT = re.compile(rb"<!---?>")

#: Their content is text, up to their end tag.
_RAW = frozenset({b"style", b"xmp", b"iframe", b"noembed", b"noframes", b"script", b"title", b"textarea"})
_FOREIGN = frozenset({b"svg", b"math"})
_LINKS = frozenset({b"a", b"area"})
_RAW_END = {name: re.compile(rb"</" + name + rb"(?=[/>" + _WHITE + rb"])", re.IGNORECASE) for name in _RAW}

# Text, and tags that nobody asks about: most of a document, and read twenty times as fast here as tag by tag. What looks
# odd ends the match, and is looked at by the code below. A group under a possessive repeat is atomic: before Python 3.11.5
# the repeat ends too far on otherwise, behind what its last and futile try had read (gh-106052).
_VALUE = rb"""(?:"[^"]*+"|'[^']*+'|[^>"'""" + _WHITE + rb"][^>" + _WHITE + rb"]*+|(?=>))"
_PAIR = (
    rb"[^/>" + _WHITE + rb"][^/>=" + _WHITE + rb"]*+"
    rb"(?:[" + _WHITE + rb"]*+=[" + _WHITE + rb"]*+" + _VALUE + rb"|(?![" + _WHITE + rb"]*+=))"
)


def _dull(interesting: frozenset[bytes]) -> re.Pattern[bytes]:
    starts, ends = b"|".join(sorted(interesting)), b"|".join(sorted(_FOREIGN | {b"body"}))
    name = rb"(?:(?!(?:%b)[/>%b])|/(?!(?:%b)[/>%b]))[a-z][^/>%b]*+" % (starts, _WHITE, ends, _WHITE, _WHITE)
    tag = rb"<%b(?>[/%b]*+%b)*+[/%b]*+>" % (name, _WHITE, _PAIR, _WHITE)
    return re.compile(rb"(?>[^<]++|%b)*+" % tag, re.IGNORECASE)


_DULL = _dull(_RAW | _FOREIGN | {b"plaintext"})
_DULL_BUT_LINKS = _dull(_RAW | _FOREIGN | _LINKS | {b"plaintext"})

_REFERENCE = re.compile(r"&(#[0-9]+;?|#[xX][0-9a-fA-F]+;?|[^\t\n\f <&#;]{1,32};?)")
_LONG_NUMBER = re.compile(r"&#([0-9]{8,});?")


@dataclass(frozen=True, slots=True)
class Href:
    """The value of a link's href: its octets, and the text they stand for (references resolved)."""

    start: int
    end: int
    value: str
    #: The value of its ``ses:tags``.
    tags: str = ""


@dataclass(frozen=True, slots=True)
class Page:
    hrefs: tuple[Href, ...]
    #: From where to where the attributes of links stand that readers need not see, in their order.
    spent: tuple[tuple[int, int], ...]
    #: Before the last ``</body>``, or the end of the document. None: the document ends inside of something, and what is
    #: put there would not be read as markup.
    end: int | None


class _Lost(Exception):  # not an error: from here on the octets may mean one thing or the other
    pass


@dataclass(frozen=True, slots=True)
class _Tag:
    name: bytes
    end: int
    href: tuple[int, int] | None = None
    no_track: bool = False
    tags: tuple[int, int] | None = None
    spent: tuple[tuple[int, int], ...] = ()


def scan(document: bytes, charset: str = "utf-8", *, links: bool = True) -> Page:
    """The links that may be followed, if they are asked for. In ``charset`` ASCII must stand for itself."""
    hrefs: list[Href] = []
    spent: list[tuple[int, int]] = []
    body_end: int | None = None
    open_pictures = dict.fromkeys(_FOREIGN, 0)
    try:
        for start, tag in _tags(document, _DULL_BUT_LINKS if links else _DULL):
            # Inside of a picture it ends nothing, and what stood before it would break the picture off.
            if tag.name == b"/body" and not any(open_pictures.values()):
                body_end = start
            elif tag.name in _FOREIGN:
                open_pictures[tag.name] += 1
            elif tag.name[1:] in _FOREIGN:
                open_pictures[tag.name[1:]] = max(0, open_pictures[tag.name[1:]] - 1)
            if tag.name not in _LINKS:
                continue
            spent += tag.spent
            if tag.href is not None and not tag.no_track:
                value = _text(document[slice(*tag.href)], charset)
                tags = _text(document[slice(*tag.tags)], charset) if tag.tags else None
                if value is not None:
                    hrefs.append(Href(*tag.href, value, tags or ""))
    except _Lost:
        return Page(tuple(hrefs), tuple(spent), None)
    # Before the last line end: a message ends with one (RFC 5321 4.1.1.4).
    return Page(tuple(hrefs), tuple(spent), len(document.rstrip(b"\r\n")) if body_end is None else body_end)


def _tags(document: bytes, dull: re.Pattern[bytes]) -> Iterator[tuple[int, _Tag]]:
    """Those that matter; an end tag has a slash before its name. Raises :class:`_Lost`."""
    at, foreign = 0, False
    while (at := _end(dull, document, at)) < len(document):
        second = document[at + 1 : at + 2]
        if second == b"!" or second == b"?":
            if document[at : at + 9].upper() == b"<![CDATA[" and foreign:
                raise _Lost
            at = _after_comment(document, at)
        elif second == b"/":
            third = document[at + 2 : at + 3]
            if third.isalpha():
                tag = _tag(document, at + 2)
                yield at, _Tag(b"/" + tag.name, tag.end)
                at = tag.end
            elif third:
                at = _after_comment(document, at)
            else:
                return
        elif second.isalpha():
            tag = _tag(document, at + 1)
            yield at, tag
            at = tag.end
            foreign = foreign or tag.name in _FOREIGN
            if tag.name in _RAW:
                at = _after_raw(document, tag, foreign)
            elif tag.name == b"plaintext":
                raise _Lost
        else:
            at += 1  # a "<" that is text


def _after_comment(document: bytes, at: int) -> int:
    """Behind a comment (conditional ones too), a doctype, or what is read as a comment."""
    if not document.startswith(b"<!--", at):
        end = document.find(b">", at)
        if end < 0:
            raise _Lost
        return end + 1
    closed = _ABRUPT.match(document, at) or _COMMENT_END.search(document, at + 4)
    if closed is None:
        raise _Lost
    return closed.end()


def _after_raw(document: bytes, tag: _Tag, foreign: bool) -> int:
    """At the end tag of an element whose content is text."""
    closing = _RAW_END[tag.name].search(document, tag.end)
    if closing is None or foreign:  # inside of SVG they are elements like others
        raise _Lost
    if tag.name == b"script" and document.find(b"<!--", tag.end, closing.start()) >= 0:
        raise _Lost  # 13.2.5.17: a script may hold another one then
    return closing.start()


def _tag(document: bytes, at: int) -> _Tag:
    name = _NAME.match(document, at)
    assert name is not None
    at, href, no_track, seen_href, tags = name.end(), None, False, False, None
    spent: list[tuple[int, int]] = []
    while True:
        before = at
        at = _end(_BETWEEN, document, at)
        attribute = _ATTRIBUTE.match(document, at)
        if attribute is None:
            if not document.startswith(b">", at):
                raise _Lost
            return _Tag(name[0].lower(), at + 1, href, no_track, tags, tuple(spent))
        at = attribute.end()
        value = None
        if equals := _EQUALS.match(document, at):
            value, at = _value(document, equals.end())
        key = attribute[0].lower()
        if key == b"href" and not seen_href:  # of two, a browser takes the first
            seen_href, href = True, value
        no_track = no_track or key in NO_TRACK
        if key == TAGS and tags is None:
            tags = value
        if key in _OURS and not _JOINS.match(document, at):
            # With what stands before it, unless that is all that stands between its neighbours.
            spent.append((before if _PARTED.match(document, at) else attribute.start(), at))


def _value(document: bytes, at: int) -> tuple[tuple[int, int] | None, int]:
    quote = document[at : at + 1]
    if quote in (b'"', b"'"):
        end = document.find(quote, at + 1)
        if end < 0:
            raise _Lost
        return (at + 1, end), end + 1
    end = _end(_UNQUOTED, document, at)
    return ((at, end) if end > at else None), end


def _end(pattern: re.Pattern[bytes], document: bytes, at: int) -> int:
    found = pattern.match(document, at)
    return found.end() if found else at


# --- values --------------------------------------------------------------------------------------------------------


def _text(value: bytes, charset: str) -> str | None:
    """None where the charset would have to be known better than we do: browsers write queries in it."""
    if not value.isascii() and charset.lower() not in ("utf-8", "utf8"):
        return None
    try:
        text = value.decode("utf-8")
    except UnicodeDecodeError:
        return None
    return resolve_references(text)


def resolve_references(text: str) -> str:
    """The text that an attribute's value stands for."""
    return _REFERENCE.sub(_resolve, text) if "&" in text else text


def unescape(text: str) -> str:
    """Of text between tags, as html.unescape; which raises for numbers of more digits than Python reads (4300)."""
    return html.unescape(_LONG_NUMBER.sub(_shorter, text) if "&#" in text else text)


def _shorter(found: re.Match[str]) -> str:
    digits = found[1].lstrip("0") or "0"
    return "\ufffd" if len(digits) > 7 else f"&#{digits};"  # Unicode ends at seven


def _resolve(found: re.Match[str]) -> str:
    """13.2.5.73: in an attribute, ``&copy=1`` is no copyright sign but a parameter."""
    name = found[1]
    if name.startswith("#"):
        return unescape(found[0])
    for length in range(len(name), 1, -1):
        if (text := html.entities.html5.get(name[:length])) is None:
            continue
        follows = name[length : length + 1]
        if name[length - 1] != ";" and (follows == "=" or (follows.isascii() and follows.isalnum())):
            return found[0]
        return text + name[length:]
    return found[0]
