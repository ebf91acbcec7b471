"""Finds caniemail's features in a document: its markup, its style sheets and its style attributes."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from mailferry.mail.html_scan import resolve_references
from mailferry.sandbox.checks.html import markup_rules as rules
from mailferry.sandbox.checks.html.css_rules import words
from mailferry.sandbox.checks.html.found import Finding, Findings
from mailferry.sandbox.checks.html.images import candidates, formats, of_type
from mailferry.sandbox.checks.html.stylesheet import Hit, Reader
from mailferry.sandbox.checks.markup import Attribute, Comment, Doctype, EndTag, Tag, Token, tokens

#: What is read of a document. A mail that anybody opens is far below all three (Gmail cuts at 102 kB); what these let
#: through is read in two or three seconds.
MAX_CHARACTERS = 2_000_000
MAX_TAGS = 50_000
#: Characters of style sheets and of different style attributes.
MAX_CSS = 250_000

_ELEMENTS = words(rules.ELEMENTS.items())
_ATTRIBUTES = words(rules.ATTRIBUTES.items())
#: Conditions that no Outlook on Windows meets. `!mso 9` is one that all but one meet.
_NOT_FOR_OUTLOOK = re.compile(r"\[if\s*\(?\s*!\s*\(?\s*(?:gte?\s+mso\s+\d|mso\b(?!\s*\d))", re.IGNORECASE)
_END_OF_CONDITION = re.compile(r"<?!?\[endif\]", re.IGNORECASE)
#: These end a picture in whose midst they stand (HTML, 13.2.6.5).
_BREAK_OUT = rules.names(
    """b big blockquote body br center code dd div dl dt em embed h1 h2 h3 h4 h5 h6 head hr i img li listing menu meta
    nobr ol p pre ruby s small span strong strike sub sup table tt u ul var"""
)


@dataclass(frozen=True, slots=True)
class Read:
    findings: dict[str, Finding]
    #: A sentence for each thing that was not read.
    limits: tuple[str, ...]


def read(document: str, reader: Reader, known: frozenset[str]) -> Read:
    reading = _Reading(document, reader, known)
    reading.run()
    return Read(reading.findings.by_slug, tuple(reading.limits))


class _Reading:
    def __init__(self, document: str, reader: Reader, known: frozenset[str]) -> None:
        self.limits: list[str] = []
        if len(document) > MAX_CHARACTERS:
            self.limits.append(f"Only the first {MAX_CHARACTERS:,} of {len(document):,} characters were read.")
        # As browsers do before anything else; in CSS a form feed is a line end, in HTML it is none.
        document = document[:MAX_CHARACTERS].replace("\r\n", "\n").replace("\r", "\n").replace("\f", " ")
        self.document = document
        self.findings = Findings(known)
        self.reader = reader
        self._lines = _Lines(document)
        self._hidden = False
        self._pictures = 0
        self._css_left = MAX_CSS
        self._attributes: dict[str, list[Hit]] = {}

    def run(self) -> None:
        for number, token in enumerate(tokens(self.document)):
            if number == MAX_TAGS:
                self.limits.append(f"Only the first {MAX_TAGS:,} tags and comments were read.")
                return
            self._token(token)

    def _token(self, token: Token) -> None:
        if isinstance(token, Tag):
            self._tag(token)
        elif isinstance(token, EndTag):
            if token.name == "svg":
                self._pictures = max(0, self._pictures - 1)
        elif isinstance(token, Comment):
            self._comment(token)
        elif isinstance(token, Doctype) and token.text[7:].strip().lower() in (
            "html",
            'html system "about:legacy-compat"',
        ):
            self._add(rules.DOCTYPE, token.at)

    def _comment(self, comment: Comment) -> None:
        if self.document.startswith("<!--", comment.at):
            self._add(rules.COMMENTS, comment.at)
        condition = comment.text[:100].lstrip()
        if _NOT_FOR_OUTLOOK.match(condition):
            # What stands inside of the comment itself is hidden from everybody else too.
            self._hidden = "[endif]" not in comment.text
        elif _END_OF_CONDITION.match(condition):
            self._hidden = False

    def _tag(self, tag: Tag) -> None:
        if tag.name in _BREAK_OUT:
            self._pictures = 0
        if not self._pictures:
            for slug in _slugs(tag):
                self._add(slug, tag.at)
        if tag.name == "svg":
            self._pictures += 1
        if style := tag.attributes.get("style"):
            self._style_attribute(style)
        if tag.name == "style" and tag.content:
            self._style_element(*tag.content)

    def _style_attribute(self, style: Attribute) -> None:
        hits = self._attributes.get(style.value)
        if hits is None:
            css = resolve_references(self._css(style.value))
            hits = self._attributes[style.value] = self.reader.attribute(css)
        self._hits(hits, style.value, style.at)

    def _style_element(self, begin: int, end: int) -> None:
        css = self._css(self.document[begin:end])
        self._hits(self.reader.sheet(css), css, begin)

    def _css(self, css: str) -> str:
        """As much of it as may still be read."""
        if len(css) > self._css_left and not any("CSS" in limit for limit in self.limits):
            self.limits.append(f"Only the first {MAX_CSS:,} characters of CSS were read.")
        css = css[: self._css_left]
        self._css_left -= len(css)
        return css

    def _hits(self, hits: list[Hit], css: str, at: int) -> None:
        first = self._lines.at(at)
        lines = css.split("\n")
        for slug, line, column in hits:
            # A reference to a line end (&#10;) begins a line of CSS, and none of the document.
            line = min(line, len(lines))
            self.findings.add(slug, first + line - 1, lines[line - 1], column - 1, hidden_from_outlook=self._hidden)

    def _add(self, slug: str, at: int) -> None:
        self.findings.add(slug, self._lines.at(at), self.document, at, hidden_from_outlook=self._hidden)


class _Lines:
    """The line of an offset, from 1; fast where offsets are asked for in about their order."""

    def __init__(self, document: str) -> None:
        self._document, self._at, self._line = document, 0, 1

    def at(self, offset: int) -> int:
        if offset >= self._at:
            self._line += self._document.count("\n", self._at, offset)
        else:
            self._line -= self._document.count("\n", offset, self._at)
        self._at = offset
        return self._line


# --- one tag ---------------------------------------------------------------------------------------------------------


def _slugs(tag: Tag) -> Iterator[str]:
    yield from _ELEMENTS.get(tag.name, ())
    if tag.name == "svg":
        return  # its width is SVG's, as that of what stands in it
    for name in tag.attributes:
        if name in _ATTRIBUTES and tag.name in rules.ATTRIBUTES_OF.get(name, (tag.name,)):
            yield from _ATTRIBUTES[name]
    match tag.name:
        case "input":
            yield from _input(tag)
        case "button":
            kind = _value(tag, "type").strip().lower() or rules.BUTTON
            if kind != rules.OTHER_BUTTON:
                yield rules.BUTTONS.get(kind, rules.BUTTONS[rules.BUTTON])
        case "a" | "area":
            yield from _link(tag)
        case "meta" if _value(tag, "name").strip().lower() in ("color-scheme", "supported-color-schemes"):
            yield rules.COLOR_SCHEME
        case "html" if "⚡4email" in tag.attributes or "amp4email" in tag.attributes:
            yield rules.AMP
        case "source":
            yield from of_type(_value(tag, "type"))
    if "usemap" in tag.attributes and tag.name in ("img", "object"):
        yield rules.IMAGE_MAPS
    yield from _images(tag)


def _input(tag: Tag) -> Iterator[str]:
    kind = _value(tag, "type").strip().lower() or rules.INPUT
    if kind in rules.INPUTS:
        yield rules.INPUTS[kind]


def _link(tag: Tag) -> Iterator[str]:
    href = _value(tag, "href").strip()
    if href.startswith("#") and len(href) > 1:
        yield rules.ANCHORS
    elif href[:7].lower() == "mailto:":
        yield rules.MAILTO


def _images(tag: Tag) -> Iterator[str]:
    if tag.name == "img" or (tag.name == "input" and _value(tag, "type").strip().lower() == "image"):
        yield from formats(_value(tag, "src"))
    if "background" in tag.attributes and tag.name in rules.ATTRIBUTES_OF["background"]:
        yield from formats(_value(tag, "background"))
    if tag.name == "video":
        yield from formats(_value(tag, "poster"))
    if tag.name in ("img", "source"):
        for address in candidates(_value(tag, "srcset")):
            yield from formats(address)


def _value(tag: Tag, name: str) -> str:
    """Longer ones are cut: data: may be megabytes, and its head says all."""
    attribute = tag.attributes.get(name)
    return resolve_references(attribute.value[:4096]) if attribute else ""
