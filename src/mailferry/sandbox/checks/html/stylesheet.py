"""Finds features in style sheets and style attributes: caniemail's slugs with their lines and columns.

tinycss2 parses as browsers do, in time that grows with the text alone. Nothing here recurses: blocks may be nested as
deep as a text is long.
"""

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import tinycss2

from mailferry.sandbox.checks.html import css_rules as rules
from mailferry.sandbox.checks.html.images import formats

#: One of tinycss2, which declares no types.
Node = Any

_FUNCTIONS = rules.words(rules.FUNCTIONS.items())
_KEYWORDS = rules.words(rules.KEYWORDS.items())
_UNITS = rules.words(rules.UNITS.items())
_AT_RULES = rules.words(rules.AT_RULES.items())
_MEDIA = rules.words(rules.MEDIA_FEATURES.items())
_VALUES = rules.values()
_COMBINATORS = {">": rules.CHILD, "+": rules.ADJACENT, "~": rules.SIBLING}
_GROUPS = frozenset({"media", "supports", "layer", "container", "scope", "document", "-moz-document", "starting-style"})
_KEYFRAMES = frozenset({"keyframes", "-webkit-keyframes", "-moz-keyframes", "-o-keyframes"})
#: Their arguments are selectors.
_OF_SELECTORS = frozenset({"not", "is", "where", "has", "matches", "-webkit-any", "-moz-any"})


class Hit(NamedTuple):
    slug: str
    #: Both from 1.
    line: int
    column: int


class Reader:
    """Knows, beside the rules, the properties that a feature is named for: (slug, property) of each."""

    def __init__(self, own_properties: Iterable[tuple[str, str]] = ()) -> None:
        properties = rules.words([*rules.PROPERTIES.items(), *own_properties])
        self._properties = {name: slugs for name, slugs in properties.items() if not name.endswith("*")}
        self._beginnings = [(name[:-1], slugs) for name, slugs in properties.items() if name.endswith("*")]

    def sheet(self, css: str) -> list[Hit]:
        """Of the text of a style element, in their order."""
        return _in_order(self._read(tinycss2.parse_stylesheet(css, skip_whitespace=True)))

    def attribute(self, css: str) -> list[Hit]:
        """Of the text of a style attribute, in their order."""
        return _in_order(self._read(_contents(css)))

    def _read(self, nodes: list[Node]) -> Iterator[Hit]:
        # What is still to be read: nodes, whether they stand in a rule, whether rules among them have selectors.
        rest = [(nodes, False, True)]
        while rest:
            nodes, nested, selectors = rest.pop()
            for node in nodes:
                if node.type == "declaration":
                    yield from self._declaration(node)
                elif node.type == "qualified-rule":
                    if selectors:
                        yield from _selectors(node.prelude)
                    if nested:
                        yield _hit(rules.NESTING, node)
                    rest.append((_contents(node.content), selectors, selectors))
                elif node.type == "at-rule":
                    yield from _at_rule(node, nested)
                    if node.content is not None:
                        rest.append(_inside(node, nested))
                elif node.type == "comment":
                    yield _hit(rules.COMMENTS, node)

    def _declaration(self, node: Node) -> Iterator[Hit]:
        name = node.lower_name
        for slug in self._slugs(name):
            yield _hit(slug, node)
        if node.important:
            yield _hit(rules.IMPORTANT, node)
        for token in _flat(node.value):
            kind = token.type
            if kind == "ident":
                word = token.lower_value
                for slug in _KEYWORDS.get(word, ()) + _VALUES.get((name, word), ()):
                    yield _hit(slug, token)
            elif kind == "dimension":
                for slug in _UNITS.get(token.lower_unit, ()):
                    yield _hit(slug, token)
            elif kind == "percentage":
                yield _hit(rules.PERCENT, token)
            elif kind == "function":
                for slug in _FUNCTIONS.get(token.lower_name, ()):
                    yield _hit(slug, token)
                if token.lower_name == "url" and name != "src":
                    for each in token.arguments:
                        if each.type == "string":
                            yield from (_hit(slug, token) for slug in formats(each.value))
            elif kind == "url" and name != "src":  # of @font-face, whose SVG is no picture
                yield from (_hit(slug, token) for slug in formats(token.value))
            elif kind == "comment":
                yield _hit(rules.COMMENTS, token)

    def _slugs(self, name: str) -> tuple[str, ...]:
        if name.startswith("--"):
            return (rules.VARIABLES,)
        slugs = self._properties.get(name, ())
        for beginning, more in self._beginnings:
            if name.startswith(beginning):
                slugs += more
        return slugs


def _at_rule(node: Node, nested: bool) -> Iterator[Hit]:
    name = node.lower_at_keyword
    for slug in _AT_RULES.get(name, ()):
        yield _hit(slug, node)
    if nested:
        yield _hit(rules.NESTING, node)
    for token in _flat(node.prelude):
        if token.type == "comment":
            yield _hit(rules.COMMENTS, token)
        elif token.type == "ident" and name == "media":
            for slug in _MEDIA.get(token.lower_value, ()):
                yield _hit(slug, token)


def _inside(node: Node, nested: bool) -> tuple[list[Node], bool, bool]:
    name = node.lower_at_keyword
    if name in _KEYFRAMES:  # from, to and 50% are no selectors
        return tinycss2.parse_rule_list(node.content, skip_whitespace=True), False, False
    if name in _GROUPS and not nested:
        return tinycss2.parse_rule_list(node.content, skip_whitespace=True), False, True
    return _contents(node.content), nested, name in _GROUPS


def _contents(tokens: list[Node] | str) -> list[Node]:
    parsed: list[Node] = tinycss2.parse_blocks_contents(tokens, skip_whitespace=True)
    return parsed


def _selectors(prelude: list[Node]) -> Iterator[Hit]:
    rest = [prelude]
    while rest:
        yield from _selector_list(rest.pop(), rest)


def _selector_list(tokens: list[Node], rest: list[list[Node]]) -> Iterator[Hit]:
    """What the arguments of pseudo-classes hold is put into `rest`."""
    between: str | None = None  # the combinator before the simple selector that is read next
    compound = 0  # simple selectors of the compound that is being read
    classes = colons = 0
    dot = False
    for token in tokens:
        kind = token.type
        if kind == "whitespace":
            if compound and between is None:
                between = rules.DESCENDANT
            continue
        if kind == "comment":
            yield _hit(rules.COMMENTS, token)
            continue
        value = token.value if kind == "literal" else ""
        if kind == "literal":
            if value == ",":
                yield _hit(rules.GROUPING, token)
                between, compound, classes = None, 0, 0
            elif value in _COMBINATORS:
                between = _COMBINATORS[value]
            elif value == ":":
                colons += 1
            elif value == ".":
                dot = True
            if value not in ("*", "&"):
                continue
        if between is not None:
            yield _hit(between, token)
            between, compound, classes = None, 0, 0
        compound += 1
        if kind == "literal":
            yield _hit(rules.UNIVERSAL if value == "*" else rules.NESTING, token)
        elif kind == "hash":
            yield _hit(rules.ID, token)
        elif kind == "[] block":
            yield _hit(rules.ATTRIBUTE, token)
        elif kind == "ident" and dot:
            classes += 1
            yield _hit(rules.CLASS, token)
            if classes == 2:
                yield _hit(rules.CHAINING, token)
        elif kind in ("ident", "function") and colons:
            name = token.lower_value if kind == "ident" else token.lower_name
            yield _hit(_pseudo(name, colons), token)
            if kind == "function" and name in _OF_SELECTORS:
                rest.append(token.arguments)
        elif kind == "ident":
            yield _hit(rules.TYPE, token)
        dot, colons = False, 0


def _pseudo(name: str, colons: int) -> str:
    if colons > 1 or name in rules.OLD_PSEUDO_ELEMENTS:
        return rules.PSEUDO_ELEMENTS + name
    return rules.PSEUDO_CLASSES + name


def _flat(tokens: list[Node]) -> Iterator[Node]:
    """All tokens, those in brackets and in functions too."""
    rest = [iter(tokens)]
    while rest:
        for token in rest[-1]:
            yield token
            inner = getattr(token, "arguments", None) if token.type == "function" else getattr(token, "content", None)
            if inner:
                rest.append(iter(inner))
                break
        else:
            rest.pop()


def _hit(slug: str, node: Node) -> Hit:
    return Hit(slug, node.source_line, node.source_column)


def _in_order(hits: Iterable[Hit]) -> list[Hit]:
    return sorted(set(hits), key=lambda hit: hit[1:])
