"""The HTML of a mail as a tree of elements, for checks that look at what it says and not at its octets.

Close to how browsers read it (HTML, 13.2) where mail depends on that: void elements, raw text, tags that end others. One
pass over the text, whatever it is; sizes are bounded, and `is_cut` says when something was left out. Never raises.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from mailferry.mail.html_scan import resolve_references, unescape
from mailferry.sandbox.checks.markup import EndTag, Tag, tokens

MAX_LENGTH = 1_000_000
"""Characters; Gmail shows the first 102 KB."""
MAX_ELEMENTS = 50_000
MAX_MARKUP = 300_000
"""Tags and comments."""
MAX_DEPTH = 256
"""Elements inside each other. Browsers stop at 512."""

_UNCLOSED = re.compile(r"</?[A-Za-z]")
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
    reader = _Reader(text[:MAX_LENGTH].replace("\r\n", "\n").replace("\r", "\n"))
    reader.read()
    return Page(reader.root, reader.is_cut or len(text) > MAX_LENGTH)


class _Reader:
    def __init__(self, text: str) -> None:
        self.text = text
        self.root = Element("", {}, 1)
        self.open = [self.root]
        self.left = MAX_ELEMENTS
        self.is_cut = False
        self._line, self._counted = 1, 0

    def read(self) -> None:
        at, is_plain = 0, False
        for number, token in enumerate(tokens(self.text)):
            self._add(self.text[at : token.at])
            at, is_plain = token.end, isinstance(token, Tag) and token.name == "plaintext"
            if isinstance(token, Tag):
                self._start(token)
            elif isinstance(token, EndTag):
                self._close(token.name)
            if not self.left or number == MAX_MARKUP:
                self.is_cut = self.is_cut or at < len(self.text)
                return
        # A tag that is not closed is not shown, and nothing behind it.
        rest = None if is_plain else _UNCLOSED.search(self.text, at)
        self._add(self.text[at : rest.start() if rest else len(self.text)])

    def _start(self, tag: Tag) -> None:
        self.left -= 1
        if rule := _ENDS.get(tag.name):
            self._close_implied(*rule)
        attributes = {name: resolve_references(each.value) for name, each in tag.attributes.items()}
        element = Element(tag.name, attributes, self._line_at(tag.at), self.open[-1])
        self.open[-1].children.append(element)
        if tag.content:
            inner = self.text[slice(*tag.content)]
            if inner:
                element.children.append(unescape(inner) if tag.name in ("title", "textarea") else inner)
        if tag.name in VOID:
            return
        if len(self.open) < MAX_DEPTH:
            self.open.append(element)
        else:
            self.is_cut = True

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
        if text := text.replace("</>", ""):  # which is nothing
            self.open[-1].children.append(unescape(text))

    def _line_at(self, at: int) -> int:
        self._line += self.text.count("\n", self._counted, at)
        self._counted = at
        return self._line
