"""Tags, comments and style sheets of a document with their offsets, as a browser's tokenizer sees them (HTML, 13.2.5).

No tree is made: what mail clients take away or leave are tags and attributes, whatever they stand in. Each character is
looked at once or twice, however broken the document is.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

#: Attributes of one tag that are looked at; no honest tag comes near it.
MAX_ATTRIBUTES = 100

_NAME = re.compile(r"[A-Za-z][^\t\n\f />]*")
_ATTRIBUTE = re.compile(r"[\t\n\f /]*+([^\t\n\f />][^\t\n\f />=]*)([\t\n\f ]*=[\t\n\f ]*)?")
_BETWEEN = re.compile(r"[\t\n\f /]*")
_UNQUOTED = re.compile(r"[^\t\n\f >]*")
_COMMENT_END = re.compile(r"--!?>")
_ABRUPT = re.compile(r"<!---?>")

#: Their content is text, up to their end tag.
_RAW = frozenset({"style", "xmp", "iframe", "noembed", "noframes", "script", "title", "textarea"})
_RAW_END = {name: re.compile(rf"</{name}(?=[/>\t\n\f ])", re.IGNORECASE) for name in _RAW}


@dataclass(frozen=True, slots=True)
class Attribute:
    #: As it is written, character references unresolved.
    value: str
    #: Of the value.
    at: int


@dataclass(frozen=True, slots=True)
class Tag:
    """`end` is behind its ``>``; behind its content where that is no markup."""

    at: int
    end: int
    name: str
    attributes: dict[str, Attribute] = field(default_factory=dict)
    #: Of an element whose content is text (a style, a script, a title): where that begins and ends.
    content: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class EndTag:
    at: int
    end: int
    name: str


@dataclass(frozen=True, slots=True)
class Comment:
    """Also what is read as one: ``<![endif]>``, ``<?php ?>``."""

    at: int
    end: int
    text: str


@dataclass(frozen=True, slots=True)
class Doctype:
    at: int
    end: int
    text: str


Token = Tag | EndTag | Comment | Doctype


def tokens(document: str) -> Iterator[Token]:
    """In their order. Line ends must be ``\\n`` alone. A tag that never ends is none, and nothing follows it."""
    at = 0
    while (at := document.find("<", at)) >= 0:
        second = document[at + 1 : at + 2]
        if second.isascii() and second.isalpha():
            tag, end = _tag(document, at)
            if tag is None:
                return
            if tag.name in _RAW:
                end, tag = _raw(document, tag, end)
            yield tag
            if tag.name == "plaintext":
                return
        elif second == "/" and _NAME.match(document, at + 2):
            tag, end = _tag(document, at + 1)
            if tag is None:
                return
            yield EndTag(at, end, tag.name)
        elif second in ("!", "?", "/") and second:
            token, end = _comment(document, at)
            if token is not None:
                yield token
        else:
            end = at + 1  # text
        at = end


def _tag(document: str, at: int) -> tuple[Tag | None, int]:
    name = _NAME.match(document, at + 1)
    assert name is not None
    attributes: dict[str, Attribute] = {}
    end = name.end()
    while found := _ATTRIBUTE.match(document, end):
        end, value, begin = found.end(), "", found.end()
        if found[2] is not None:
            quote = document[end : end + 1]
            if quote in ('"', "'") and quote:
                begin = end + 1
                if (end := document.find(quote, begin)) < 0:
                    return None, len(document)
                value, end = document[begin:end], end + 1
            elif unquoted := _UNQUOTED.match(document, end):
                value, end = unquoted[0], unquoted.end()
        key = found[1].lower()
        if key not in attributes and len(attributes) < MAX_ATTRIBUTES:  # of two, a browser takes the first
            attributes[key] = Attribute(value, begin)
    between = _BETWEEN.match(document, end)
    assert between is not None
    if not document.startswith(">", between.end()):
        return None, len(document)
    return Tag(at, between.end() + 1, name[0].lower(), attributes), between.end() + 1


def _raw(document: str, tag: Tag, begin: int) -> tuple[int, Tag]:
    closing = _RAW_END[tag.name].search(document, begin)
    end = closing.start() if closing else len(document)
    return end, Tag(tag.at, end, tag.name, tag.attributes, (begin, end))


def _comment(document: str, at: int) -> tuple[Token | None, int]:
    if document.startswith("<!--", at):
        if abrupt := _ABRUPT.match(document, at):
            return Comment(at, abrupt.end(), ""), abrupt.end()
        closed = _COMMENT_END.search(document, at + 4)
        begin, inner, end = (at + 4, closed.start(), closed.end()) if closed else (at + 4, len(document), len(document))
        return Comment(at, end, document[begin:inner]), end
    inner = document.find(">", at)
    inner = inner if inner >= 0 else len(document)
    text = document[at + 2 : inner]
    if document[at + 1] == "!" and text[:7].lower() == "doctype":
        return Doctype(at, inner + 1, text), inner + 1
    # "</>" is nothing at all.
    return (Comment(at, inner + 1, text) if text or document[at + 1] != "/" else None), inner + 1
