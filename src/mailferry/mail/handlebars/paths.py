"""Names in a template compiled to functions that look them up: in the context, in @data, among block parameters."""

from __future__ import annotations

from mailferry.mail.handlebars.errors import Fault
from mailferry.mail.handlebars.frames import Frame, Get
from mailferry.mail.handlebars.nodes import Path
from mailferry.mail.handlebars.objects import member
from mailferry.mail.handlebars.values import UNDEFINED, Value, is_nothing, is_true


class Names:
    """The block parameters that are known at a place of the template.

    `looks_out` tells whether the program at hand, or one inside it, has read `../` until now.
    """

    def __init__(self) -> None:
        self.looks_out = False
        self._around: list[bool] = []
        self._known: dict[str, list[tuple[int, int]]] = {}

    def enter(self, params: tuple[str, ...]) -> None:
        """Into a program with these block parameters; of two with the same name the first counts."""
        self._around.append(self.looks_out)
        self.looks_out = False
        for at, name in reversed(list(enumerate(params))):
            self._known.setdefault(name, []).append((len(self._around), at))

    def leave(self, params: tuple[str, ...]) -> bool:
        """Out of it again; whether it looks out."""
        for name in params:
            self._known[name].pop()
        inside, self.looks_out = self.looks_out, self._around.pop()
        return inside

    def find(self, path: Path) -> tuple[int, int] | None:
        """How many programs further out the path's first name is declared, and as which parameter."""
        if path.depth or path.scoped or not self._known.get(path.name):
            return None
        depth, at = self._known[path.name][-1]
        return len(self._around) - depth, at


def compile_path(path: Path, names: Names, *, falsy: bool = False) -> Get:
    """Looks a path up. With `falsy` the lookup ends at any false value, else at null and undefined alone."""
    names.looks_out |= path.depth > 0
    if name := own_name(path, names):
        return _walk(_context(0), path.parts, falsy=falsy) if falsy else _from_context(name)
    if found := names.find(path):
        return _from_block_param(*found, path.parts[1:])
    if not path.name:
        return _context(path.depth)
    if path.data:
        return _from_data(path.depth, path.parts)
    if path.depth:
        return _walk(_context(path.depth), path.parts, falsy=falsy)
    return _walk(_context(0), path.parts, falsy=falsy)


def own_name(path: Path, names: Names) -> str | None:
    """The name, if the path is one name of the current context and nothing else."""
    own = len(path.parts) == 1 and not path.data and not path.depth and names.find(path) is None
    return path.name or None if own else None


def _from_context(name: str) -> Get:
    def get(frame: Frame) -> Value:
        context = frame.context
        if type(context) is dict:
            return context.get(name, UNDEFINED)
        return context if is_nothing(context) else member(context, name, frame.state)

    return get


def _context(depth: int) -> Get:
    def around(frame: Frame) -> Value:
        contexts = frame.contexts
        return contexts[depth] if depth < len(contexts) else UNDEFINED

    def own(frame: Frame) -> Value:
        return frame.context

    return around if depth else own


def _walk(start: Get, parts: tuple[str, ...], *, falsy: bool = False) -> Get:
    def get(frame: Frame) -> Value:
        value = start(frame)
        for name in parts:
            if type(value) is dict and value:
                value = value.get(name, UNDEFINED)
            elif is_nothing(value) or (falsy and not is_true(value)):
                return value
            else:
                value = member(value, name, frame.state)
        return value

    return get


def _from_data(depth: int, parts: tuple[str, ...]) -> Get:
    def start(frame: Frame) -> Value:
        data: Value = frame.data
        for _ in range(depth):
            if not is_true(data):
                break
            data = member(data, "_parent", frame.state)
        return data

    return _walk(start, parts, falsy=True)


def _from_block_param(depth: int, at: int, parts: tuple[str, ...]) -> Get:
    def start(frame: Frame) -> Value:
        entry = frame.params[depth] if depth < len(frame.params) else UNDEFINED
        if not isinstance(entry, list):
            raise Fault("this block gives its names between | and | no values; only #each and #with do")
        return entry[at] if at < len(entry) else UNDEFINED

    return _walk(start, parts) if parts else start
