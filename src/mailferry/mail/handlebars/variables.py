"""What a template reads, found without data: for a form of test data, or to say what a template needs."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final, TypeAlias

from mailferry.mail.handlebars.blocks import BLOCKS, KNOWN
from mailferry.mail.handlebars.compiler import as_path
from mailferry.mail.handlebars.errors import Source
from mailferry.mail.handlebars.nodes import Block, Call, Comment, Content, Literal, Mustache, Param, Partial, Path
from mailferry.mail.handlebars.nodes import Program as Tree
from mailferry.mail.handlebars.parser import parse
from mailferry.mail.handlebars.template import Template

MAX_VISITS: Final = 20_000
"""Statements looked at. Partials that call each other twice would take time without end; what is found by then counts."""

Place: TypeAlias = tuple[str, ...] | None
"""Where in the data a value comes from, as names from the root on; None when that cannot be told."""


def variables(template: Template) -> frozenset[str]:
    """The paths from the root of the data that a template reads, its partials included.

    `{{user.name}}` gives "user.name"; `{{#each items}}{{price}}{{/each}}` gives "items" and "items[].price". A section
    `{{#x}}{{y}}{{/x}}` may be about a list or an object and gives "x" and "x.y".
    """
    reader = _Reader(template)
    # A chain of very many partials may end the search early; then too, what was found counts.
    with contextlib.suppress(RecursionError):
        reader.program(parse(Source(template.source)).program, _Scope((_Context(()),)))
    return frozenset(reader.found)


@dataclass(frozen=True, slots=True)
class _Context:
    """A context; `given` are the names that a partial's name=value pairs lay over it."""

    place: Place
    given: Mapping[str, Place] = field(default_factory=dict)

    def at(self, parts: tuple[str, ...]) -> Place:
        if parts and parts[0] in self.given:
            start = self.given[parts[0]]
            return None if start is None else start + parts[1:]
        return None if self.place is None else self.place + parts


@dataclass(frozen=True, slots=True)
class _Scope:
    """The contexts, the inner first, and the block parameters and partials that a place in the template knows."""

    contexts: tuple[_Context, ...]
    names: Mapping[str, Place] = field(default_factory=dict)
    partials: _Partials | None = None

    def inside(self, place: Place) -> _Scope:
        return replace(self, contexts=(_Context(place), *self.contexts))

    def naming(self, params: tuple[str, ...], *places: Place) -> _Scope:
        found = [*places, *[None] * len(params)]
        return replace(self, names={**self.names, **dict(zip(params, found, strict=False))}) if params else self


@dataclass(frozen=True, slots=True)
class _Definition:
    """A partial that is written in the template, and where."""

    tree: Tree
    scope: _Scope


@dataclass(frozen=True, slots=True)
class _Partials:
    """The partials that one program or call adds to those around it."""

    own: Mapping[str, _Definition]
    around: _Partials | None

    def find(self, name: str) -> _Definition | None:
        known: _Partials | None = self
        while known and name not in known.own:
            known = known.around
        return known.own[name] if known else None


class _Reader:
    def __init__(self, template: Template) -> None:
        self.found: set[str] = set()
        self._partials = template.partials
        self._parsed: dict[str, Tree] = {}
        self._running: list[Tree] = []
        self._visits = 0

    def program(self, tree: Tree | None, scope: _Scope) -> None:
        # A partial that calls itself reads the same names one level further down.
        if tree is None or any(running is tree for running in self._running):
            return
        self._running.append(tree)
        scope = self._with_inline_partials(tree, scope)
        for statement in tree.body:
            self._visits += 1
            if self._visits > MAX_VISITS:
                break
            if isinstance(statement, (Content, Comment)) or getattr(statement, "decorator", False):
                continue
            if isinstance(statement, Partial):
                self._partial(statement, scope)
            elif isinstance(statement, Block):
                self._block(statement, scope)
            elif isinstance(statement, Mustache):
                self._tag(statement, scope)
        self._running.pop()

    def _with_inline_partials(self, tree: Tree, scope: _Scope) -> _Scope:
        partials: dict[str, _Definition] = {}
        for statement in tree.body:
            if isinstance(statement, Block) and statement.decorator and statement.program:
                name = statement.params[0] if statement.params else None
                if isinstance(name, Literal):
                    partials[as_path(name).original] = _Definition(statement.program, scope)
        return replace(scope, partials=_Partials(partials, scope.partials)) if partials else scope

    def _block(self, block: Block, scope: _Scope) -> None:
        place = self._tag(block, scope)
        name = as_path(block.path).name
        inner = scope
        if block.program:
            if name not in KNOWN and not block.params and block.hash is None:
                inner = scope.inside(place)
            elif name == "with":
                inner = scope.inside(place).naming(block.program.block_params, place)
            elif name == "each":
                item = None if place is None else _item(place)
                inner = scope.inside(item).naming(block.program.block_params, item)
            else:
                inner = scope.naming(block.program.block_params)
        self.program(block.program, inner)
        self.program(block.inverse, scope)

    def _tag(self, tag: Mustache | Block | Call, scope: _Scope) -> Place:
        """Reads what a tag reads; the place of its value, or of the value that a block is about."""
        path = as_path(tag.path)
        places = [self._param(param, scope) for param in tag.params]
        for _, value in tag.hash or ():
            self._param(value, scope)
        if path.name in BLOCKS and places:
            return places[0]
        if path.name == "lookup" and len(places) == 2 and places[0] is not None:
            key = tag.params[1]
            return self._read((*places[0], as_path(key).original)) if isinstance(key, Literal) else None
        return None if path.name in KNOWN else self._path(path, scope)

    def _param(self, param: Param, scope: _Scope) -> Place:
        if isinstance(param, Literal):
            return None
        return self._path(param, scope) if isinstance(param, Path) else self._tag(param, scope)

    def _path(self, path: Path, scope: _Scope) -> Place:
        if not path.depth and not path.scoped and path.name in scope.names:
            start = scope.names[path.name]
            return None if start is None else self._read(start + path.parts[1:])
        if path.data:
            return self._read(path.parts[1:]) if path.name == "root" else None
        if path.depth >= len(scope.contexts):
            return None
        place = scope.contexts[path.depth].at(path.parts)
        return None if place is None else self._read(place)

    def _read(self, place: tuple[str, ...]) -> Place:
        if place:
            self.found.add(".".join(place))
        return place

    def _partial(self, partial: Partial, scope: _Scope) -> None:
        if isinstance(partial.name, Call):
            self._tag(partial.name, scope)
        context = scope.contexts[0]
        if partial.params:
            context = _Context(self._param(partial.params[0], scope))
        if partial.hash:
            given = {key: self._param(value, scope) for key, value in partial.hash}
            context = _Context(context.place, {**context.given, **given})
        name = "" if isinstance(partial.name, Call) else as_path(partial.name).original
        partials = scope.partials
        if partial.program:
            block = {"@partial-block": _Definition(partial.program, scope)}
            partials = _Partials(block, self._with_inline_partials(partial.program, scope).partials)
        self._call(name, context, partials)

    def _call(self, name: str, context: _Context, partials: _Partials | None) -> None:
        definition = partials.find(name) if partials else None
        if not definition and name not in self._partials and partials:
            definition = partials.find("@partial-block")
        if definition:
            contexts = (context, *definition.scope.contexts)
            # An inline partial sees the partials of its caller, a block those of the place where it stands.
            known = definition.scope.partials if name == "@partial-block" else partials
            self.program(definition.tree, replace(definition.scope, contexts=contexts, partials=known))
        elif name in self._partials:
            if name not in self._parsed:
                self._parsed[name] = parse(Source(self._partials[name].source)).program
            self.program(self._parsed[name], _Scope((context,), partials=partials))


def _item(place: tuple[str, ...]) -> Place:
    return (*place[:-1], f"{place[-1]}[]") if place else ("[]",)
