"""What colours and sizes the texts of a page have, from attributes, style elements and style attributes (CSS 2.1's cascade).

As much of it as mail uses: selectors of a type, classes and an id; rules inside of @media and the like, which hold only
sometimes, are left out. What cannot be known (a text on a picture) is None.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import tinycss2
from tinycss2 import color4

from mailferry.sandbox.checks.page import Element

MAX_RULES = 300
MAX_TEXTS = 20_000
"""Bound what rules times elements cost."""
MAX_SHEET = 200_000
"""Characters of all style elements."""

_SELECTOR = re.compile(r"\s*([a-z][a-z0-9-]*|\*)?((?:[.#][\w-]+)*)\s*", re.IGNORECASE)
_PARTS = re.compile(r"([.#])([\w-]+)")
_LENGTH = re.compile(r"([0-9]*\.?[0-9]+)(px|pt|em|rem|%)?")
_PIXELS = {"px": 1.0, "": 1.0, "pt": 4 / 3, "rem": 16.0}
_WORDS = {"xx-small": 9, "x-small": 10, "small": 13, "medium": 16, "large": 18, "x-large": 24, "xx-large": 32}
_HTML_SIZES = (10, 13, 16, 18, 24, 32, 48)  # of <font size=1..7>
_HEADINGS = {"h1": 2.0, "h2": 1.5, "h3": 1.17, "h4": 1.0, "h5": 0.83, "h6": 0.67}
_READ = frozenset(
    {"color", "background", "background-color", "background-image"}
    | {"font-size", "font-weight", "font", "display", "visibility"}
)

Colour = tuple[float, float, float]
"""Red, green, blue from 0 to 1."""
Rgba = tuple[Colour, float]
Declarations = dict[str, list[Any]]
WHITE, BLACK, LINK = (1.0, 1.0, 1.0), (0.0, 0.0, 0.0), (0.0, 0.0, 238 / 255)


@dataclass(frozen=True, slots=True)
class Style:
    """`background` is None where something that is no plain colour lies behind. `size` is in CSS pixels."""

    colour: Colour = BLACK
    background: Colour | None = WHITE
    size: float = 16.0
    is_bold: bool = False
    is_hidden: bool = False


@dataclass(frozen=True, slots=True)
class Text:
    """A text that is seen, and the element it stands in."""

    text: str
    element: Element
    style: Style


def texts(root: Element) -> Iterator[Text]:
    """In the order of the document, those that are hidden left out."""
    sheet = _Sheet(root)
    left = MAX_TEXTS
    waiting: list[tuple[Element | str, Element, Style]] = [(root, root, Style())]
    while waiting and left:
        child, parent, style = waiting.pop()
        if isinstance(child, str):
            if child.strip():
                left -= 1
                yield Text(child, parent, style)
            continue
        if child.name in ("style", "script", "title", "head"):
            continue
        style = _computed(child, style, sheet.of(child))
        if not style.is_hidden:
            waiting += [(each, child, style) for each in reversed(child.children)]


@dataclass(slots=True)
class _Rule:
    name: str
    classes: frozenset[str]
    ids: frozenset[str]
    declarations: Declarations
    weight: tuple[int, int, int, int] = (0, 0, 0, 0)


class _Sheet:
    def __init__(self, root: Element) -> None:
        text = "\n".join(
            ["".join([child for child in each.children if isinstance(child, str)]) for each in root.find("style")]
        )[:MAX_SHEET]
        self._rules = sorted(_rules(text), key=lambda rule: rule.weight)
        self._known: dict[tuple[str, str, str], Declarations] = {}

    def of(self, element: Element) -> Declarations:
        """What the style elements say of one, later and heavier rules over others; its own attribute last."""
        key = (element.name, element.attributes.get("class", ""), element.attributes.get("id", ""))
        found = self._known.get(key)
        if found is None:
            found = {}
            classes = set(key[1].split())
            for rule in self._rules:
                if (not rule.name or rule.name == key[0]) and rule.classes <= classes and rule.ids <= {key[2]}:
                    found |= rule.declarations
            self._known[key] = found
        return found | _declarations(element.attributes.get("style", "")[:10_000])


def _rules(text: str) -> Iterator[_Rule]:
    left = MAX_RULES
    for node in tinycss2.parse_stylesheet(
        text.replace("<!--", "").replace("-->", ""), skip_comments=True, skip_whitespace=True
    ):
        if node.type != "qualified-rule" or not left:
            continue
        declarations = _declarations(node.content)
        for selector in tinycss2.serialize(node.prelude).split(","):
            found = _SELECTOR.fullmatch(selector)
            if found is None or not left or not declarations or not selector.strip():
                continue
            left -= 1
            parts = _PARTS.findall(found[2])
            classes = frozenset(name for kind, name in parts if kind == ".")
            ids = frozenset(name for kind, name in parts if kind == "#")
            name = (found[1] or "").lower().removeprefix("*")
            yield _Rule(name, classes, ids, declarations, (len(ids), len(classes), bool(name), MAX_RULES - left))


def _declarations(content: Any) -> Declarations:
    if not content:
        return {}
    found: Declarations = {}
    for node in tinycss2.parse_blocks_contents(content, skip_comments=True, skip_whitespace=True):
        if node.type == "declaration" and node.lower_name in _READ:
            found.pop(node.lower_name, None)  # so that the last one comes last: background and background-color meet
            found[node.lower_name] = [token for token in node.value if token.type not in ("whitespace", "comment")]
    return found


def _computed(element: Element, outer: Style, declared: Declarations) -> Style:
    style = _by_html(element, outer)
    for name, tokens in declared.items():
        if name == "color":
            style = replace(style, colour=_over(_colour(tokens), style.background) or style.colour)
        elif name in ("background", "background-color", "background-image"):
            style = replace(style, background=_background(tokens, style.background, outer.background))
        elif name in ("font-size", "font"):
            style = replace(style, size=_size(tokens, style.size, outer.size))
        if name in ("font-weight", "font"):
            style = replace(style, is_bold=_is_bold(tokens, style.is_bold, whole=name == "font-weight"))
        if name in ("display", "visibility") and _first(tokens) in ("none", "hidden"):
            style = replace(style, is_hidden=True)
    return style if style.size else replace(style, is_hidden=True)


def _by_html(element: Element, outer: Style) -> Style:
    """Attributes and what elements mean by themselves."""
    style, attributes = outer, element.attributes
    if element.name == "a" and "href" in attributes:
        style = replace(style, colour=LINK)
    if element.name in _HEADINGS:
        style = replace(style, size=outer.size * _HEADINGS[element.name], is_bold=True)
    elif element.name in ("b", "strong", "th"):
        style = replace(style, is_bold=True)
    colour = attributes.get("color" if element.name == "font" else "text" if element.name == "body" else "")
    if colour:
        style = replace(style, colour=_legacy(colour) or style.colour)
    if element.name == "font" and (size := attributes.get("size", "")) in {"1", "2", "3", "4", "5", "6", "7"}:
        style = replace(style, size=float(_HTML_SIZES[int(size) - 1]))
    if bgcolor := attributes.get("bgcolor"):
        style = replace(style, background=_legacy(bgcolor) or style.background)
    if attributes.get("background"):
        style = replace(style, background=None)
    return replace(style, is_hidden=True) if "hidden" in attributes else style


def _legacy(text: str) -> Colour | None:
    text = text.strip()[:40]
    if re.fullmatch(r"[0-9a-fA-F]{3}|[0-9a-fA-F]{6}", text):
        text = f"#{text}"
    found = _parsed(text)
    return found[0] if found else None


def _parsed(token: Any) -> Rgba | None:
    found = color4.parse_color(token)
    if found is None or isinstance(found, str):  # "currentcolor"
        return None
    try:
        red, green, blue = (float(each or 0) for each in found.to("srgb").coordinates)
    except NotImplementedError:  # lab() and its like
        return None
    return (red, green, blue), float(found.alpha)


def _colour(tokens: list[Any]) -> Rgba | None:
    """The first token that is a colour."""
    return next((found for token in tokens if (found := _parsed(token))), None)


def _over(rgba: Rgba | None, behind: Colour | None) -> Colour | None:
    """A colour that lets through what is behind it; None where that matters and is not known."""
    if rgba is None or (behind is None and rgba[1] < 1):
        return None
    if behind is None or rgba[1] >= 1:
        return rgba[0]
    red, green, blue = (one * rgba[1] + other * (1 - rgba[1]) for one, other in zip(rgba[0], behind, strict=True))
    return (red, green, blue)


def _background(tokens: list[Any], own: Colour | None, behind: Colour | None) -> Colour | None:
    if any(token.type in ("url", "function") and not color4.parse_color(token) for token in tokens):
        return None
    rgba = _colour(tokens)
    if rgba is None:
        return own
    return behind if rgba[1] <= 0 else _over(rgba, behind)


def _size(tokens: list[Any], own: float, outer: float) -> float:
    for token in tokens:
        text = tinycss2.serialize([token]).strip().lower()
        if text in _WORDS:
            return float(_WORDS[text])
        if text in ("/", "normal") or re.fullmatch(r"[1-9]00", text):  # a weight, in the shorthand
            continue
        if found := _LENGTH.fullmatch(text):
            number, unit = float(found[1]), found[2] or ""
            return min(
                number * _PIXELS[unit] if unit in _PIXELS else number * outer / (100 if unit == "%" else 1), 1000.0
            )
    return own


def _is_bold(tokens: list[Any], own: bool, *, whole: bool) -> bool:
    for token in tokens:
        text = tinycss2.serialize([token]).strip().lower()
        if text in ("bold", "bolder") or re.fullmatch(r"[6-9]00|1000", text):
            return True
        if whole and (text in ("normal", "lighter") or re.fullmatch(r"[1-5]00", text)):
            return False
    return own


def _first(tokens: list[Any]) -> str:
    return tokens[0].lower_value if tokens and tokens[0].type == "ident" else ""


def contrast(one: Colour, other: Colour) -> float:
    """The ratio of WCAG 2.2, from 1 to 21."""
    brighter, darker = sorted([_luminance(one), _luminance(other)], reverse=True)
    return (brighter + 0.05) / (darker + 0.05)


def _luminance(colour: Colour) -> float:
    red, green, blue = (each / 12.92 if each <= 0.04045 else ((each + 0.055) / 1.055) ** 2.4 for each in colour)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def hexadecimal(colour: Colour) -> str:
    return "#" + "".join([f"{round(min(max(each, 0.0), 1.0) * 255):02x}" for each in colour])
