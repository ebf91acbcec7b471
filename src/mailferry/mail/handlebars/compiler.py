"""Turns a syntax tree into programs: one Python function for each tag, chosen once, called at every rendering."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from mailferry.mail.handlebars.blocks import (
    BLOCKS,
    HOOKS,
    INLINE,
    KNOWN,
    Pairs,
    Params,
    refusal,
    section,
    unknown_helper,
)
from mailferry.mail.handlebars.errors import Source
from mailferry.mail.handlebars.frames import Body, Frame, Get, nothing
from mailferry.mail.handlebars.nodes import (
    Block,
    Call,
    Comment,
    Content,
    Hash,
    Literal,
    Mustache,
    Param,
    Partial,
    Path,
    Statement,
)
from mailferry.mail.handlebars.nodes import Program as Tree
from mailferry.mail.handlebars.output import resolved, show, show_raw
from mailferry.mail.handlebars.parser import literal_text
from mailferry.mail.handlebars.partials import PartialCall, inline, refuse_decorator, unknown_decorator
from mailferry.mail.handlebars.paths import Names, compile_path, own_name
from mailferry.mail.handlebars.run import Closure, Code, Decorator, Program
from mailferry.mail.handlebars.values import UNDEFINED

MakeGet: TypeAlias = Callable[[Body, Body], Get]


def compile_tree(tree: Tree, source: Source, *, named: bool) -> Code:
    """The code of a template. `named`: it declares block parameters somewhere, so they must be kept."""
    return Code(source, Compiler(source, named=named).program(tree))


class Compiler:
    def __init__(self, source: Source, *, named: bool) -> None:
        self._source = source
        self._named = named
        self._names = Names()
        # The programs inside the one that is being compiled.
        self._inner: list[Program] = []

    def program(self, tree: Tree) -> Program:
        around, self._inner = self._inner, []
        self._names.enter(tree.block_params)
        program = self._fill(Program(self._source, self._named), tree)
        looks_out = self._names.leave(tree.block_params) or bool(program.decorators)
        for inner in self._inner:
            inner.deep = looks_out
        self._names.looks_out |= looks_out
        self._inner = [*around, program]
        return program

    def _fill(self, program: Program, tree: Tree) -> Program:
        late: list[int] = []
        decorators: list[tuple[Decorator, int]] = []
        texts: list[str] = []
        for statement in tree.body:
            if isinstance(statement, Content):
                texts.append(statement.value)
            elif isinstance(statement, (Mustache, Block)) and statement.decorator:
                decorators.append((self._decorator(statement), statement.at))
                program.cost += 1
            elif not isinstance(statement, Comment):
                _add_text(program, texts)
                if isinstance(statement, Block) and self._kind(as_path(statement.path), statement) == "ambiguous":
                    late.append(len(program.pieces))
                _add_work(program, self._statement(statement), statement)
        _add_text(program, texts)
        program.decorators = tuple(decorators)
        program.late = frozenset(late)
        program.lone = len(program.pieces) == 1 and (not late or len(tree.body) == 1)
        return program

    def _statement(self, statement: Statement) -> Get:
        if isinstance(statement, Mustache):
            return self._mustache(statement)
        if isinstance(statement, Block):
            return self._block(statement)
        assert isinstance(statement, Partial)
        return self._partial(statement)

    def _mustache(self, mustache: Mustache) -> Get:
        path = as_path(mustache.path)
        kind = self._kind(path, mustache)
        if kind == "helper":
            return (show if mustache.escaped else show_raw)(self._helper(path, mustache))
        get = compile_path(path, self._names)
        helper = path.name if kind == "ambiguous" else None
        if mustache.escaped:
            return show(get, path.original, helper, own_name(path, self._names))
        return show_raw(get, path.original, helper)

    def _block(self, block: Block) -> Get:
        program = self.program(block.program) if block.program else None
        inverse = self.program(block.inverse) if block.inverse else None
        path = as_path(block.path)
        kind = self._kind(path, block)
        if kind == "helper":
            if path.name not in BLOCKS:
                value = show_raw(self._helper(path, block))
                return _with_bodies(lambda yes, no: value, program, inverse)
            make, params, pairs = BLOCKS[path.name], self._params(block.params), self._pairs(block.hash)
            return _with_bodies(lambda yes, no: make(params, pairs, yes, no), program, inverse)
        get = compile_path(path, self._names)
        helper = path.name if kind == "ambiguous" else None

        def make_section(yes: Body, no: Body) -> Get:
            return lambda frame: section(frame, resolved(get(frame), frame, helper), yes, no)

        return _with_bodies(make_section, program, inverse)

    def _partial(self, partial: Partial) -> Get:
        program = self.program(partial.program) if partial.program else None
        name, dynamic = None, None
        if isinstance(partial.name, Call):
            dynamic = self._param(partial.name)
        else:
            name = as_path(partial.name).original
        context = self._param(partial.params[0]) if partial.params else (lambda frame: frame.context)
        pairs = None if partial.hash is None else self._pairs(partial.hash)
        return PartialCall(name, dynamic, context, pairs, program, partial.indent, self._named).call

    def _decorator(self, decorator: Mustache | Block) -> Decorator:
        program = None
        if isinstance(decorator, Block) and decorator.program:
            program = self.program(decorator.program)
        name = as_path(decorator.path).original
        if name != "inline":
            return unknown_decorator(name)
        if self._calls_helper(decorator):
            # handlebars.js fails here too: its decorators see no helpers.
            return refuse_decorator("the name of an inline partial cannot be computed by a helper")
        return inline(self._params(decorator.params), self._pairs(decorator.hash), program)

    def _kind(self, path: Path, tag: Mustache | Block | Call) -> str:
        """helper: it has parameters or a known name; ambiguous: a single name; simple: any other path."""
        is_param = path.simple and self._names.find(path) is not None
        if not is_param and (isinstance(tag, Call) or tag.params or tag.hash is not None):
            return "helper"
        if is_param or not path.simple:
            return "simple"
        return "helper" if path.name in KNOWN else "ambiguous"

    def _helper(self, path: Path, tag: Mustache | Block | Call) -> Get:
        params, pairs = self._params(tag.params), self._pairs(tag.hash)
        if path.name in INLINE:
            return INLINE[path.name](params, pairs)
        if path.name in BLOCKS:
            return refusal(f"{path.name} is a block: {{{{#{path.name} ...}}}}...{{{{/{path.name}}}}}")
        if path.name in HOOKS:
            return refusal(f"{path.name} cannot be called")
        return unknown_helper(path.original, compile_path(path, self._names, falsy=True), params, pairs)

    def _calls_helper(self, tag: Mustache | Block | Call) -> bool:
        values = (*tag.params, *(value for _, value in tag.hash or ()))
        path = as_path(tag.path)
        own = isinstance(tag, Call) and self._kind(path, tag) == "helper" and (path.simple or path.name in KNOWN)
        return own or any(isinstance(value, Call) and self._calls_helper(value) for value in values)

    def _params(self, params: tuple[Param, ...]) -> Params:
        return tuple([self._param(param) for param in params])

    def _param(self, param: Param) -> Get:
        if isinstance(param, Literal):
            value = param.value
            return lambda frame: value
        if isinstance(param, Path):
            return compile_path(param, self._names)
        path = as_path(param.path)
        if self._kind(path, param) == "helper":
            return self._helper(path, param)
        get = compile_path(path, self._names)
        return lambda frame: resolved(get(frame), frame, None)

    def _pairs(self, pairs: Hash | None) -> Pairs:
        """name=value pairs as handlebars.js keeps them: from the last to the first, so that of two the first counts."""
        nodes = dict(reversed(pairs or ()))
        return {
            key: self._param(node)
            for key, node in nodes.items()
            if key != "__proto__" and not (isinstance(node, Literal) and node.value is UNDEFINED)
        }


def as_path(name: Path | Literal) -> Path:
    """A literal in the place of a name is a name itself."""
    if isinstance(name, Path):
        return name
    text = literal_text(name)
    return Path((text,), text, name.at)


def _add_text(program: Program, texts: list[str]) -> None:
    """Adds texts between which no tag prints, and empties their list. Only now, as adding each to the last copies both."""
    if text := "".join(texts):
        program.pieces.append(text)
        program.size += len(text)
    texts.clear()


def _add_work(program: Program, get: Get, statement: Mustache | Block | Partial) -> None:
    at = len(program.pieces)
    program.pieces.append(None)
    program.work.append((at, get))
    program.spots[at] = statement.at
    program.cost += _cost(statement)


def _cost(node: Statement | Param) -> int:
    """Steps: one for each name or literal, and one for every few parts of a path."""
    if isinstance(node, Path):
        return 1 + (len(node.parts) + node.depth) // 4
    if isinstance(node, (Content, Comment, Literal)):
        return 1
    name = node.name if isinstance(node, Partial) else node.path
    return _cost(name) + sum(map(_cost, node.params)) + sum(_cost(value) for _, value in node.hash or ())


def _with_bodies(make: MakeGet, program: Program | None, inverse: Program | None) -> Get:
    if not any(body and body.decorators for body in (program, inverse)):
        return make(program.call if program else nothing, inverse.call if inverse else nothing)

    def body(frame: Frame, body: Program | None) -> Body:
        return Closure(body, frame).call if body else nothing

    # Inline partials inside a block belong to one run of it.
    return lambda frame: make(body(frame, program), body(frame, inverse))(frame)
