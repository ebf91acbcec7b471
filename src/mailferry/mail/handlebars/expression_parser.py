"""The inner part of a tag: names, parameters, name=value pairs and sub-expressions."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, NoReturn

from mailferry.mail.handlebars.errors import Source
from mailferry.mail.handlebars.nodes import Call, Hash, Literal, Param, Path
from mailferry.mail.handlebars.tokens import Token, tokens
from mailferry.mail.handlebars.values import UNDEFINED

MAX_NESTING: Final = 100
"""Blocks, links of an else chain and sub-expressions inside each other. Keeps recursion far from Python's limit."""

_BRACKETS = re.compile(r"\[([^\n\r\u2028\u2029]*)\]")
_STARTS_PARAM = frozenset(("ID", "DATA", "STRING", "NUMBER", "BOOLEAN", "UNDEFINED", "NULL", "OPEN_SEXPR"))
_CONSTANTS = {"true": True, "false": False, "undefined": UNDEFINED, "null": None}

_SHOWN = {
    "CLOSE": "}}",
    "CLOSE_UNESCAPED": "}}}",
    "CLOSE_RAW_BLOCK": "}}}}",
    "CLOSE_SEXPR": ")",
    "CLOSE_BLOCK_PARAMS": "|",
    "ID": "a name",
    "END_RAW_BLOCK": "the end of the raw block",
}


@dataclass(frozen=True, slots=True)
class Head:
    """What a tag says: a name and what it is given."""

    path: Path | Literal
    params: tuple[Param, ...]
    hash: Hash | None


class ExpressionParser:
    """Looks one token ahead."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self._tokens = tokens(source)
        self._depth = 0
        self.named = False
        self.token = next(self._tokens)

    def take(self) -> Token:
        """The token at hand; the next one takes its place."""
        token = self.token
        if token.kind != "EOF":
            self.token = next(self._tokens)
        return token

    def expect(self, kind: str) -> Token:
        """Takes a token of this kind; anything else is an error."""
        if self.token.kind != kind:
            self._fail_at_token(_SHOWN[kind])
        return self.take()

    def fail(self, message: str, at: int) -> NoReturn:
        raise self.source.error(message, at)

    def enter(self, at: int) -> None:
        """One level deeper."""
        self._depth += 1
        if self._depth > MAX_NESTING:
            self.fail(f"more than {MAX_NESTING} blocks or sub-expressions inside each other", at)

    def leave(self) -> None:
        self._depth -= 1

    def head(self) -> Head:
        path = self.name()
        params, pairs = self.arguments()
        return Head(path, params, pairs)

    def name(self) -> Path | Literal:
        """A path, or a literal in the place of one."""
        kind, text, at = self.token
        if kind == "ID":
            return self._path(self.take(), at)
        if kind == "DATA":
            self.take()
            return self._path(self.expect("ID"), at, data=True)
        if kind not in _STARTS_PARAM or kind == "OPEN_SEXPR":
            self._fail_at_token("a name")
        self.take()
        if kind == "STRING":
            return Literal(text, at)
        if kind == "NUMBER":
            return Literal(_number(text), at)
        return Literal(_CONSTANTS[text], at)

    def call(self) -> Call:
        """A sub-expression in parentheses."""
        at = self.expect("OPEN_SEXPR").at
        self.enter(at)
        head = self.head()
        self.expect("CLOSE_SEXPR")
        self.leave()
        return Call(head.path, head.params, head.hash, at)

    def arguments(self) -> tuple[tuple[Param, ...], Hash | None]:
        """Parameters, then name=value pairs; None for the pairs when there are none."""
        params: list[Param] = []
        while self.token.kind in _STARTS_PARAM:
            if self.token.kind != "ID":
                params.append(self._param())
                continue
            first = self.take()
            if self.token.kind == "EQUALS":
                return tuple(params), self._pairs(first)
            params.append(self._path(first, first.at))
        return tuple(params), None

    def _param(self) -> Param:
        return self.call() if self.token.kind == "OPEN_SEXPR" else self.name()

    def _pairs(self, key: Token) -> Hash:
        pairs: list[tuple[str, Param]] = []
        while True:
            if self.token.kind != "EQUALS":
                self.fail(f'after name=value pairs "{key.text}" needs a value of its own: {key.text}=...', key.at)
            self.take()
            if self.token.kind == "EQUALS":
                self.fail("there are no comparisons in Handlebars, compute them into the data", key.at)
            pairs.append((_without_brackets(key.text), self._param()))
            if self.token.kind != "ID":
                return tuple(pairs)
            key = self.take()

    def _path(self, first: Token, at: int, *, data: bool = False) -> Path:
        parts: list[str] = []
        written = ["@"] if data else []
        depth = 0
        separator, segment = "", first
        while True:
            part = _without_brackets(segment.text)
            written += (separator, part)
            if part != segment.text or part not in ("..", ".", "this"):
                parts.append(part)
            elif parts:
                self.fail(f'"{"".join(written)}" is no path: {part} can only stand at its beginning', at)
            elif part == "..":
                depth += 1
            if self.token.kind != "SEP":
                return Path(tuple(parts), "".join(written), at, depth, data)
            separator = self.take().text
            if self.token.kind == "NUMBER":
                self.fail(f"a number at the end of a path is written in brackets: [{self.token.text}]", self.token.at)
            segment = self.expect("ID")

    def _fail_at_token(self, wanted: str) -> NoReturn:
        kind, text, at = self.token
        if kind == "EOF":
            self.fail(f"the template ends where {wanted} is needed", at)
        shown = text if len(text) <= 20 else text[:20] + "..."
        self.fail(f"expected {wanted} instead of {shown!r}", at)


def _without_brackets(text: str) -> str:
    found = _BRACKETS.fullmatch(text)
    return found[1] if found else text


def _number(text: str) -> int | float:
    """Small whole numbers stay ints, which print and compare faster; a double holds them just as well."""
    return int(text) if len(text) <= 15 and "." not in text else float(text)
