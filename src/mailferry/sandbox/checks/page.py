"""The HTML of a mail as a tree of elements, for checks that look at what it says and not at its octets.

Close to how browsers read it (HTML, 13.2) where mail depends on that: void elements, raw text, tags that end others. One
pass over the text, whatever it is; sizes are bounded, and `is_cut` says when something was left out. Never raises.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from mailferry.mail.html_scan import resolve_references, unescape

MAX_LENGTH = 1_000_000
"""Characters; Gmail shows the first 102 KB."""
MAX_ELEMENTS = 50_000
MAX_MARKUP = 300_000
"""Tags, comments and lone angle brackets."""
MAX_DEPTH = 256
"""Elements inside each other. Browsers stop at 512."""

_TAG = re.compile(r"<(/?)([A-Za-z][^\s/>]*+)")
_ATTRIBUTE = re.compile(r"[\s/]*+([^\s/>][^\s/>=]*+)(?>\s*+=\s*+(?:\"([^\"]*+)\"|'([^']*+)'|(?![\"'])([^\s>]*+)))?+")
_UNCLOSED = re.compile(r"\s*+=\s*+[\"']")
_TAG_END = re.compile(r"[\s/]*+>")
_COMMENT = re.compile(r"<!--(?:-?>|.*?(?:--!?>|\Z))", re.DOTALL)
_BOGUS = re.compile(r"<[!?/][^>]*+(?:>|\Z)")
_CONDITIONAL = re.compile(r"<!\[(?:if|endif)[^>]*+>", re.IGNORECASE)
_LOOKED_UP = 40  # elements that an end tag may end at once: a bound on what each costs

VOID = frozenset(
    ["area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "param", "source", "track", "wbr"]
)
_RAW = frozenset(["script", "style", "title", "textarea", "xmp", "iframe", "noembed", "noframes"])
_RAW_END = {name: re.compile(rf"</{name}(?=[\s/>])", re.IGNORECASE) for name in _RAW}
_BLOCKS = (
    "address article aside blockquote center div dl fieldset footer form h1 h2 h3 h4 h5 h6 header hr main nav ol p pre"
)
#: A start tag ends an open element of these, looking no further up than to one of the second list.
_ENDS: dict[str, tuple[frozenset[str], frozenset[str]]] = {
    name: (frozenset({"p"}), frozenset({"table", "td", "th", "button"})) for name in (*_BLOCKS.split(), "table", "ul")
} | {
    "li": (frozenset({"li"}), frozenset({"ul", "ol"})),
    "td": (frozenset({"td", "th"}), frozenset({"table"})),
    "th": (frozenset({"td", "th"}), frozenset({"table"})),
    "tr": (frozenset({"tr"}), frozenset({"table"})),
    "tbody": (frozenset({"tbody", "thead", "tfoot"}), frozenset({"table"})),
    "a": (frozenset({"a"}), frozenset({"table", "td", "th"})),
    "option": (frozenset({"option"}), frozenset({"select"})),
    "body": (frozenset({"head"}), frozenset()),
}


@dataclass(slots=True, eq=False)
class Element:
    """`attributes` have names in lower case and decoded values; `line` counts from 1."""

    name: str
    attributes: dict[str, str]
    line: int
    parent: "Element | None" = None
    children: list["Element | str"] = field(default_factory=list)

    def walk(self) -> Iterator["Element"]:
        """This element and all inside it, in the order of the document."""
        waiting = [self]
        while waiting:
            element = waiting.pop()
            yield element
            waiting += [child for child in reversed(element.children) if isinstance(child, Element)]

    def find(self, *names: str) -> Iterator["Element"]:
        return (element for element in self.walk() if element.name in names)

    def ancestors(self) -> Iterator["Element"]:
        element = self.parent
        while element is not None:
            yield element
            element = element.parent

    def text(self, *, alt: bool = False, most: int = MAX_LENGTH) -> str:
        """What is read of it, white space as it came; scripts and styles left out. `alt`: with the texts of images.

        Of more than `most` characters the first pieces.
        """
        out: list[str] = []
        waiting: list[Element | str] = [self]
        while waiting and most > 0:
            child = waiting.pop()
            if isinstance(child, str):
                out.append(child)
                most -= len(child)
            elif child.name == "img":
                out += [child.attributes.get("alt", "")] if alt else []
            elif child.name not in ("script", "style", "title", "head") or child is self:
                waiting += reversed(child.children)
        return "".join(out)


@dataclass(frozen=True, slots=True)
class Page:
    root: Element
    is_cut: bool


def read(text: str) -> Page:
    reader = _Reader(text[:MAX_LENGTH])
    reader.read()
    return Page(reader.root, reader.is_cut or len(text) > MAX_LENGTH)


class _Reader:
    def __init__(self, text: str) -> None:
        self.text = text
        self.root = Element("", {}, 1)
        self.open = [self.root]
        self.left = MAX_ELEMENTS
        self.markup_left = MAX_MARKUP
        self.is_cut = False
        self._line, self._counted = 1, 0

    def read(self) -> None:
        at = 0
        while at < len(self.text) and self.left and self.markup_left:
            self.markup_left -= 1
            if (start := self.text.find("<", at)) < 0:
                start = len(self.text)
            self._add(self.text[at:start])
            at = self._markup(start) if start < len(self.text) else start
        self.is_cut = self.is_cut or at < len(self.text)

    def _markup(self, at: int) -> int:
        """What begins with a <, and where it ends."""
        if self.text.startswith("<!--", at):
            found = _COMMENT.match(self.text, at)
        elif (tag := _TAG.match(self.text, at)) is not None:
            return self._tag(tag)
        else:
            found = _CONDITIONAL.match(self.text, at) or _BOGUS.match(self.text, at)
        if found is None:
            self._add("<")
            return at + 1
        return found.end()

    def _tag(self, tag: re.Match[str]) -> int:
        name, at, attributes = tag[2].lower(), tag.end(), dict[str, str]()
        while (end := _TAG_END.match(self.text, at)) is None:
            found = _ATTRIBUTE.match(self.text, at)
            if found is None or (found.group(2, 3, 4) == (None,) * 3 and _UNCLOSED.match(self.text, found.end())):
                return len(self.text)  # a tag that is not closed is not shown, and nothing behind it
            value = next((value for value in found.group(2, 3, 4) if value is not None), "")
            if len(attributes) < 100:
                attributes.setdefault(found[1].lower(), resolve_references(value))
            at = found.end()
        if tag[1]:
            self._close(name)
            return end.end()
        return self._start(Element(name, attributes, self._line_at(tag.start())), end.end())

    def _start(self, element: Element, at: int) -> int:
        self.left -= 1
        if rule := _ENDS.get(element.name):
            self._close_implied(*rule)
        element.parent = self.open[-1]
        element.parent.children.append(element)
        if element.name in _RAW:
            end = _RAW_END[element.name].search(self.text, at)
            inner = self.text[at : end.start() if end else len(self.text)]
            if inner:
                element.children.append(unescape(inner) if element.name in ("title", "textarea") else inner)
            return end.start() if end else len(self.text)
        if element.name not in VOID:
            if len(self.open) < MAX_DEPTH:
                self.open.append(element)
            else:
                self.is_cut = True
        return at

    def _close(self, name: str) -> None:
        for depth in range(len(self.open) - 1, max(len(self.open) - _LOOKED_UP, 0), -1):
            if self.open[depth].name == name:
                del self.open[depth:]
                return
            if self.open[depth].name in ("td", "th", "table") and name not in ("table", "tr", "tbody", "body", "html"):
                return  # a table holds what is in it together

    def _close_implied(self, names: frozenset[str], until: frozenset[str]) -> None:
        for depth in range(len(self.open) - 1, max(len(self.open) - _LOOKED_UP, 0), -1):
            if self.open[depth].name in names:
                del self.open[depth:]
                return
            if self.open[depth].name in until:
                return

    def _add(self, text: str) -> None:
        if text:
            self.open[-1].children.append(unescape(text))

    def _line_at(self, at: int) -> int:
        self._line += self.text.count("\n", self._counted, at)
        self._counted = at
        return self._line
