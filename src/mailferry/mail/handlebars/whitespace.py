"""Takes away white space around tags: what ~ asks for, and lines on which nothing but a block tag stands.

Follows the WhitespaceControl of handlebars.js step by step, since the steps see each other's results.
"""

from __future__ import annotations

from dataclasses import dataclass

from mailferry.mail.handlebars.nodes import Block, Comment, Content, Mustache, Partial, Program, Statement, Strip
from mailferry.mail.handlebars.values import WHITESPACE


@dataclass(frozen=True, slots=True)
class _Edges:
    """What a statement asks of the text around it."""

    open: bool = False
    close: bool = False
    open_standalone: bool = False
    close_standalone: bool = False
    inline_standalone: bool = False


def strip_whitespace(template: Program) -> None:
    """Changes the `value` of contents and the `indent` of partials in a whole template."""
    _program(template, is_root=True)


def _program(program: Program, *, is_root: bool = False) -> None:
    body = program.body
    for at, statement in enumerate(body):
        edges = _edges(statement)
        if not edges:
            continue
        before = _is_line_start(body, at, is_root=is_root)
        after = _is_line_end(body, at, is_root=is_root)
        if edges.close:
            _omit_right(body, at + 1, all_lines=True)
        if edges.open:
            _omit_left(body, at - 1, all_lines=True)
        if edges.inline_standalone and before and after:
            _omit_right(body, at + 1)
            if _omit_left(body, at - 1) and isinstance(statement, Partial):
                statement.indent = _indent(body[at - 1])
        if edges.open_standalone and before:
            _omit_right(_first_body(statement), 0)
            _omit_left(body, at - 1)
        if edges.close_standalone and after:
            _omit_right(body, at + 1)
            last = _last_body(statement)
            _omit_left(last, len(last) - 1)


def _edges(statement: Statement) -> _Edges | None:
    if isinstance(statement, Content):
        return None
    if isinstance(statement, Mustache):
        return _Edges(statement.strip.open, statement.strip.close)
    if isinstance(statement, Comment):
        return _Edges(statement.strip.open, statement.strip.close, inline_standalone=True)
    if isinstance(statement, Block):
        return _block(statement)
    if statement.program:
        return _partial_block(statement, statement.program)
    return _Edges(statement.strip.open, statement.strip.close, inline_standalone=True)


def _partial_block(partial: Partial, program: Program) -> _Edges:
    _program(program)
    return _lone_program(program, partial.strip, partial.close_strip)


def _block(block: Block) -> _Edges:
    if block.program:
        _program(block.program)
    if block.inverse:
        _program(block.inverse)
    if not (block.program and block.inverse):
        return _lone_program(block.body, block.open_strip, block.close_strip)
    return _two_programs(block, block.program.body, block.inverse)


def _lone_program(program: Program, opened: Strip, closed: Strip) -> _Edges:
    body = program.body
    edges = _Edges(
        opened.open,
        closed.close,
        open_standalone=_is_line_end(body, -1),
        close_standalone=_is_line_start(body, len(body)),
    )
    if opened.close:
        _omit_right(body, 0, all_lines=True)
    if closed.open:
        _omit_left(body, len(body) - 1, all_lines=True)
    return edges


def _two_programs(block: Block, body: list[Statement], inverse: Program) -> _Edges:
    first, last = _ends_of_chain(inverse)
    edges = _Edges(
        block.open_strip.open,
        block.close_strip.close,
        open_standalone=_is_line_end(body, -1),
        close_standalone=_is_line_start(first, len(first)),
    )
    if block.open_strip.close:
        _omit_right(body, 0, all_lines=True)
    if block.inverse_strip.open:
        _omit_left(body, len(body) - 1, all_lines=True)
    if block.inverse_strip.close:
        _omit_right(first, 0, all_lines=True)
    if block.close_strip.open:
        _omit_left(last, len(last) - 1, all_lines=True)
    if _is_line_start(body, len(body)) and _is_line_end(first, -1):
        _omit_left(body, len(body) - 1)
        _omit_right(first, 0)
    return edges


def _ends_of_chain(inverse: Program) -> tuple[list[Statement], list[Statement]]:
    """The statements after the first `else`, and those after the last one of the chain."""
    if not inverse.chained:
        return inverse.body, inverse.body
    first = _chained_program(inverse.body[0])
    last = inverse
    while last.chained:
        last = _chained_program(last.body[-1])
    return first.body, last.body


def _chained_program(block: Statement) -> Program:
    assert isinstance(block, Block) and block.program
    return block.program


def _first_body(statement: Statement) -> list[Statement]:
    assert isinstance(statement, (Block, Partial))
    program = statement.body if isinstance(statement, Block) else statement.program
    assert program is not None
    return program.body


def _last_body(statement: Statement) -> list[Statement]:
    if isinstance(statement, Block) and statement.inverse:
        return statement.inverse.body
    return _first_body(statement)


def _is_line_start(body: list[Statement], at: int, *, is_root: bool = False) -> bool:
    """Whether nothing but white space stands between the statement and the start of its line."""
    if at < 1:
        return is_root
    previous = body[at - 1]
    if not isinstance(previous, Content):
        return False
    text = previous.original
    space = text[len(text.rstrip(WHITESPACE)) :]
    return "\n" in space or (is_root and at == 1 and len(space) == len(text))


def _is_line_end(body: list[Statement], at: int, *, is_root: bool = False) -> bool:
    """Whether nothing but white space stands between the statement and the end of its line."""
    if at + 1 >= len(body):
        return is_root
    following = body[at + 1]
    if not isinstance(following, Content):
        return False
    text = following.original
    space = text[: len(text) - len(text.lstrip(WHITESPACE))]
    return "\n" in space or (is_root and at + 2 == len(body) and len(space) == len(text))


def _omit_right(body: list[Statement], at: int, *, all_lines: bool = False) -> None:
    """Strips the beginning of the content to the right of a tag: the rest of the line, or all white space."""
    content = body[at] if at < len(body) else None
    if not isinstance(content, Content) or (content.right_stripped and not all_lines):
        return
    before = content.value
    if all_lines:
        content.value = before.lstrip(WHITESPACE)
    else:
        content.value = before.lstrip(" \t").removeprefix("\r").removeprefix("\n")
    content.right_stripped = content.value != before


def _omit_left(body: list[Statement], at: int, *, all_lines: bool = False) -> bool:
    """Strips the end of the content to the left of a tag: the indent of the line, or all white space."""
    content = body[at] if 0 <= at < len(body) else None
    if not isinstance(content, Content) or (content.left_stripped and not all_lines):
        return False
    before = content.value
    content.value = before.rstrip(WHITESPACE if all_lines else " \t")
    content.left_stripped = content.value != before
    return content.left_stripped


def _indent(content: Statement) -> str:
    assert isinstance(content, Content)
    return content.original[len(content.original.rstrip(" \t")) :]
