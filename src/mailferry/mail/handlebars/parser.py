"""Builds the syntax tree of a template by the grammar of handlebars.js, refusing what it refuses."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NoReturn

from mailferry.mail.handlebars.errors import Source
from mailferry.mail.handlebars.expression_parser import ExpressionParser, Head
from mailferry.mail.handlebars.nodes import (
    Block,
    Call,
    Comment,
    Content,
    Literal,
    Mustache,
    Param,
    Partial,
    Path,
    Program,
    Statement,
    Strip,
)
from mailferry.mail.handlebars.tokens import Token
from mailferry.mail.handlebars.values import UNDEFINED, Value, is_nothing, number_text
from mailferry.mail.handlebars.whitespace import strip_whitespace

# What handlebars.js takes for one name in brackets, by an accident of its own: see `_block_params`.
_BRACKETED = re.compile(r"\[[^\n\r\u2028\u2029]*\]")
_ENDS_PROGRAM = frozenset(("EOF", "OPEN_ENDBLOCK", "INVERSE", "OPEN_INVERSE_CHAIN"))


@dataclass(frozen=True, slots=True)
class Parsed:
    """A tree, and whether anything in it declares block parameters."""

    program: Program
    named: bool


def parse(source: Source) -> Parsed:
    """The tree of a template, its white space already taken away; raises TemplateError."""
    parser = Parser(source)
    program = parser.template()
    strip_whitespace(program)
    return Parsed(program, parser.named)


class Parser(ExpressionParser):
    """Recursive descent; the depth of blocks and sub-expressions in each other is bounded, so Python's stack is too."""

    def template(self) -> Program:
        program = self._program()
        if self.token.kind != "EOF":
            self._fail_at_stray_tag()
        return program

    def _program(self) -> Program:
        body: list[Statement] = []
        while (kind := self.token.kind) not in _ENDS_PROGRAM:
            body.append(self._statement(kind))
        return Program(body)

    def _statement(self, kind: str) -> Statement:
        if kind == "CONTENT":
            token = self.take()
            return Content(token.text, token.at)
        if kind == "COMMENT":
            token = self.take()
            return Comment(_strip(token, token), token.at)
        if kind in ("OPEN", "OPEN_UNESCAPED"):
            return self._mustache()
        if kind == "OPEN_PARTIAL":
            return self._partial()
        self.enter(self.token.at)
        statement = self._nested(kind)
        self.leave()
        return statement

    def _nested(self, kind: str) -> Statement:
        if kind == "OPEN_BLOCK":
            return self._block()
        if kind == "OPEN_INVERSE":
            return self._inverse_block()
        if kind == "OPEN_PARTIAL_BLOCK":
            return self._partial_block()
        return self._raw_block()

    def _mustache(self) -> Mustache:
        opened = self.take()
        head = self.head()
        closed = self.expect("CLOSE" if opened.kind == "OPEN" else "CLOSE_UNESCAPED")
        escaped = opened.kind == "OPEN" and not opened.text.endswith("&")
        decorator = opened.text.endswith("*")
        return Mustache(head.path, head.params, head.hash, escaped, decorator, _strip(opened, closed), opened.at)

    def _partial(self) -> Partial:
        opened = self.take()
        name, params, pairs = self._partial_head()
        closed = self.expect("CLOSE")
        return Partial(name, params, pairs, _strip(opened, closed), opened.at)

    def _partial_block(self) -> Partial:
        opened = self.take()
        name, params, pairs = self._partial_head()
        strip = _strip(opened, self.expect("CLOSE"))
        program = self._program()
        close_strip = self._close(name, opened)
        return Partial(name, params, pairs, strip, opened.at, program, close_strip)

    def _partial_head(self) -> tuple[Param, tuple[Param, ...], tuple[tuple[str, Param], ...] | None]:
        name: Param = self.call() if self.token.kind == "OPEN_SEXPR" else self.name()
        params, pairs = self.arguments()
        if len(params) > 1:
            self.fail("a partial takes one context at most, all else is written name=value", params[1].at)
        return name, params, pairs

    def _raw_block(self) -> Block:
        opened = self.take()
        head = self.head()
        self.expect("CLOSE_RAW_BLOCK")
        body: list[Statement] = []
        while self.token.kind == "CONTENT":
            token = self.take()
            body.append(Content(token.text, token.at))
        closed = self.expect("END_RAW_BLOCK")
        if not _same(head.path.original, closed.text):
            self._fail_at_close(head.path, opened, closed.at, closed.text)
        strip = Strip()
        return Block(head.path, head.params, head.hash, Program(body), None, strip, strip, strip, opened.at)

    def _block(self) -> Block:
        opened = self.take()
        head, params, strip = self._block_head(opened)
        program = self._program()
        program.block_params = params
        decorator = opened.text.endswith("*")
        if decorator and self.token.kind != "OPEN_ENDBLOCK":
            self.fail("a decorator block has no else", self.token.at)
        inverse, inverse_strip = self._else(opened)
        close_strip = self._close(head.path, opened)
        if inverse and inverse.chained:
            _link(inverse).close_strip = close_strip
        return Block(
            head.path,
            head.params,
            head.hash,
            program,
            inverse,
            strip,
            inverse_strip,
            close_strip,
            opened.at,
            decorator=decorator,
        )

    def _inverse_block(self) -> Block:
        opened = self.take()
        head, params, strip = self._block_head(opened)
        inverse = self._program()
        inverse.block_params = params
        program, inverse_strip = None, Strip()
        if self.token.kind == "INVERSE":
            program, inverse_strip = self._else(opened)
        close_strip = self._close(head.path, opened)
        return Block(head.path, head.params, head.hash, program, inverse, strip, inverse_strip, close_strip, opened.at)

    def _block_head(self, opened: Token) -> tuple[Head, tuple[str, ...], Strip]:
        head = self.head()
        params = self._block_params()
        return head, params, _strip(opened, self.expect("CLOSE"))

    def _block_params(self) -> tuple[str, ...]:
        if self.token.kind != "OPEN_BLOCK_PARAMS":
            return ()
        self.named = True
        at = self.take().at
        names = [self.expect("ID").text]
        while self.token.kind == "ID":
            names.append(self.take().text)
        self.expect("CLOSE_BLOCK_PARAMS")
        # handlebars.js treats the list as one name here and fails if that has brackets around it. Brackets elsewhere
        # stay part of the name.
        if _BRACKETED.fullmatch(",".join(names)):
            self.fail("names between | and | cannot stand in brackets", at)
        return tuple(names)

    def _else(self, opened: Token) -> tuple[Program | None, Strip]:
        """The rest of a block after its first program, up to its closing tag."""
        if self.token.kind == "INVERSE":
            token = self.take()
            return self._program(), _strip(token, token)
        if self.token.kind == "OPEN_INVERSE_CHAIN":
            self.enter(self.token.at)
            chained = self._chain(opened)
            self.leave()
            return chained
        return None, Strip()

    def _chain(self, opened: Token) -> tuple[Program, Strip]:
        """An `else if`: a program that holds one block, whose closing tag is that of the whole chain."""
        token = self.take()
        head, params, strip = self._block_head(token)
        program = self._program()
        program.block_params = params
        inverse, inverse_strip = self._else(opened)
        if inverse and inverse.chained:
            _link(inverse).close_strip = inverse_strip
        # The strip of what follows stands in for that of a closing tag, until the block around it sets the real one.
        block = Block(
            head.path, head.params, head.hash, program, inverse, strip, inverse_strip, inverse_strip, token.at
        )
        return Program([block], chained=True), strip

    def _close(self, name: Param, opened: Token) -> Strip:
        if self.token.kind != "OPEN_ENDBLOCK":
            if self.token.kind == "EOF":
                self.fail(f"{_tag(opened, name)} is never closed", opened.at)
            line, column = self.source.where(opened.at)
            self.fail(f"{_tag(opened, name)} of line {line}, column {column} cannot have an else here", self.token.at)
        start = self.take()
        closing = self.name()
        strip = _strip(start, self.expect("CLOSE"))
        if not _same(name.original, closing.original):
            self._fail_at_close(name, opened, start.at, _shown(closing))
        return strip

    def _fail_at_close(self, name: Param, opened: Token, at: int, closing: str) -> NoReturn:
        line, column = self.source.where(opened.at)
        self.fail(f"{{{{/{closing}}}}} closes {_tag(opened, name)} of line {line}, column {column}", at)

    def _fail_at_stray_tag(self) -> NoReturn:
        kind = self.token.kind
        what = "a closing tag" if kind == "OPEN_ENDBLOCK" else "an else"
        self.fail(f"{what} stands where no block is open for it", self.token.at)


def _strip(opened: Token, closed: Token) -> Strip:
    return Strip(opened.text[2:3] == "~", closed.text[-3:-2] == "~")


def _link(chained: Program) -> Block:
    block = chained.body[0]
    assert isinstance(block, Block)
    return block


def _same(opening: Value, closing: Value) -> bool:
    """=== of names: {{#1}} is closed by {{/1.0}}, not by {{/"1"}}."""
    if is_nothing(opening) or is_nothing(closing):
        return opening is closing
    return isinstance(opening, bool) == isinstance(closing, bool) and bool(opening == closing)


def _tag(opened: Token, name: Param) -> str:
    return f"{opened.text.replace('~', '')}{_shown(name)}{'}' * opened.text.count('{')}"


def _shown(name: Param) -> str:
    if isinstance(name, Path):
        return name.original
    if isinstance(name, Call):
        return "(...)"
    return literal_text(name)


def literal_text(literal: Literal) -> str:
    """A literal that stands where a name is meant: {{12}} prints what the data has under "12"."""
    value = literal.value
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is UNDEFINED:
        return "undefined"
    return "null" if value is None else number_text(value)
