"""The syntax tree of a template. Every node knows the offset in the source at which it begins.

Two fields of `Content` change after parsing (see whitespace.py); all else stays as the parser made it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TypeAlias

from mailferry.mail.handlebars.values import UNDEFINED, Value

# `this\b` is found anywhere in the path, so {{athis}} is scoped as well; \b of JavaScript knows ASCII alone.
_SCOPED = re.compile(r"^\.|this(?![A-Za-z0-9_])")


@dataclass(frozen=True, slots=True)
class Strip:
    """Whether a tag has a ~ on its left and on its right side."""

    open: bool = False
    close: bool = False


@dataclass(frozen=True, slots=True)
class Path:
    """`../a.[b c]` is depth 1 and two parts; `original` is how it was written, without the brackets."""

    parts: tuple[str, ...]
    original: str
    at: int
    depth: int = 0
    data: bool = False

    @property
    def name(self) -> str:
        """The first part, empty for `this` and `..`."""
        return self.parts[0] if self.parts else ""

    @property
    def scoped(self) -> bool:
        """Starts at a context that it names, so that no helper and no block parameter is meant."""
        return bool(_SCOPED.search(self.original))

    @property
    def simple(self) -> bool:
        """A single name, which may be that of a helper."""
        return len(self.parts) == 1 and not self.depth and not self.scoped


@dataclass(frozen=True, slots=True)
class Literal:
    """A string, number, boolean, null or undefined in a tag."""

    value: Value
    at: int

    @property
    def original(self) -> Value:
        return self.value


@dataclass(frozen=True, slots=True)
class Call:
    """A sub-expression."""

    path: Path | Literal
    params: tuple[Param, ...]
    hash: Hash | None
    at: int

    @property
    def original(self) -> Value:
        """It has no name; {{#> (lookup . "x")}} is closed by {{/undefined}}."""
        return UNDEFINED


Param: TypeAlias = Path | Literal | Call
Hash: TypeAlias = tuple[tuple[str, Param], ...]


@dataclass(slots=True)
class Content:
    """Text between tags: `original` as written, `value` with the white space gone that tags take away."""

    original: str
    at: int
    value: str = ""
    left_stripped: bool = False
    right_stripped: bool = False

    def __post_init__(self) -> None:
        self.value = self.original


@dataclass(frozen=True, slots=True)
class Comment:
    strip: Strip
    at: int


@dataclass(frozen=True, slots=True)
class Mustache:
    """`{{x}}`, `{{{x}}}`, `{{&x}}`; with `decorator` the form `{{*x}}`."""

    path: Path | Literal
    params: tuple[Param, ...]
    hash: Hash | None
    escaped: bool
    decorator: bool
    strip: Strip
    at: int


@dataclass(slots=True)
class Partial:
    """`{{> name}}`, or with a program `{{#> name}}...{{/name}}`; `indent` is set by whitespace.py."""

    name: Param
    params: tuple[Param, ...]
    hash: Hash | None
    strip: Strip
    at: int
    program: Program | None = None
    close_strip: Strip = Strip()
    indent: str = ""


@dataclass(slots=True)
class Block:
    """`{{#x}}`, `{{^x}}`, raw blocks and each link of an else chain; with `decorator` the form `{{#*x}}`."""

    path: Path | Literal
    params: tuple[Param, ...]
    hash: Hash | None
    program: Program | None
    inverse: Program | None
    open_strip: Strip
    inverse_strip: Strip
    close_strip: Strip
    at: int
    decorator: bool = False

    @property
    def body(self) -> Program:
        """The first of its programs; {{^x}} has only the inverse."""
        program = self.program or self.inverse
        assert program is not None
        return program


Statement: TypeAlias = Content | Comment | Mustache | Partial | Block


@dataclass(slots=True)
class Program:
    """Statements in order; `chained` when it is the `else if` of the block before it."""

    body: list[Statement] = field(default_factory=list)
    block_params: tuple[str, ...] = ()
    chained: bool = False
