"""What a compiled template is made of, and how it runs.

Each program of a template (the template itself, the inside of a block) is compiled to a `Program`: its text, and one
Python function for each tag, which takes the frame and returns the tag's value.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol

from mailferry.mail.handlebars.errors import Fault, Source
from mailferry.mail.handlebars.frames import NULL_CONTEXT, Data, Frame, Get, Partials, State, below
from mailferry.mail.handlebars.values import UNDEFINED, Value, double, equal


@dataclass(slots=True, eq=False)
class Program:
    """Statements in order. `pieces` holds the text, and the places that `work` fills in; `spots` are their offsets.

    `deep`: contexts around its own are kept, since the program around it reads `../`; `named`: block parameters are.
    `cost` is in steps, `size` the length of the text. `decorators` come with their offsets. `late` names the pieces that
    handlebars.js adds to its buffer one by one, and `lone` says that the program is a single statement: both matter only
    when values are no text.
    """

    source: Source
    named: bool
    deep: bool = False
    pieces: list[Any] = field(default_factory=list)
    work: list[tuple[int, Get]] = field(default_factory=list)
    spots: dict[int, int] = field(default_factory=dict)
    cost: int = 1
    size: int = 0
    late: frozenset[int] = frozenset()
    lone: bool = False
    decorators: tuple[tuple[Decorator, int], ...] = ()

    def call(
        self,
        caller: Frame,
        context: Value,
        data: Data | None = None,
        entry: Value = UNDEFINED,
        home: Frame | None = None,
    ) -> Value:
        """Runs in a new frame; `home` is the frame in which the program stands, when that is not its caller's."""
        level = caller.level
        state = caller.state
        if level >= state.limits.depth:
            raise state.too_deep()
        if home is None:
            home = caller
            if context is caller.context and data is None and self._fits(caller):
                caller.level = level + 1
                value = self.run(caller)
                caller.level = level
                return value
        contexts = home.contexts
        if self.deep:
            around = contexts[0] if contexts else UNDEFINED
            # `../` counts contexts that differ by ==, so {{#with "1"}} inside of 1 is no level of its own.
            if context is not around or type(context) is float:
                both_objects = type(context) is dict and type(around) is dict
                if both_objects or not (equal(context, around, state) or (context is NULL_CONTEXT and around is None)):
                    contexts = (context, *contexts)
        frame = Frame(
            context,
            contexts,
            home.data if data is None else data,
            (entry, *home.params) if self.named else home.params,
            home.box.partials,
            home.box,
            state,
            level + 1,
        )
        return self.run(frame)

    def _fits(self, frame: Frame) -> bool:
        """Whether the frame around it will do as well, as it does for most of #if: nothing in it would be different."""
        # NaN differs from itself, so it is a context of its own each time.
        return not self.named and frame.partials is frame.box.partials and type(frame.context) is not float

    def run(self, frame: Frame) -> Value:
        """The value of the program, nearly always text."""
        state = frame.state
        pieces = self.pieces.copy()
        at = -1
        try:
            state.steps -= self.cost
            if state.steps < 0:
                raise state.no_steps()
            state.room -= self.size
            if state.room < 0:
                raise state.no_room()
            for at, get in self.work:
                pieces[at] = get(frame)
        except Fault as fault:
            if fault.place is None:
                fault.place = self.source, self.spots.get(at, 0)
            raise
        if self.lone:
            return pieces[0]
        try:
            return "".join(pieces)
        except TypeError:
            return _sum(pieces, self.late, state)


class Decorator(Protocol):
    """Runs when a program is made ready: puts an inline partial into `partials`."""

    def __call__(self, frame: Frame, partials: dict[str, object]) -> None: ...


@dataclass(frozen=True, slots=True, eq=False)
class Code:
    """A compiled template."""

    source: Source
    main: Program


class Closure:
    """A program with the frame in which it was written, and the inline partials that it brings."""

    __slots__ = ("home", "partials", "program")

    def __init__(self, program: Program, home: Frame) -> None:
        self.program = program
        self.home = home
        self.partials = inline_partials(program, home)

    def call(self, caller: Frame, context: Value, data: Data | None = None, entry: Value = UNDEFINED) -> Value:
        program, home = self.program, self.home
        if not self.partials:
            return program.call(caller, context, data, entry, home)
        box = home.box
        original = box.partials
        box.partials = home.state.merged(original, self.partials)
        result = program.call(caller, context, data, entry, home)
        box.partials = original
        return result


class PartialBlock:
    """The block that was handed to a partial, and the one that was handed to the partial around it."""

    __slots__ = ("closure", "previous")

    def __init__(self, closure: Closure, previous: Value) -> None:
        self.closure = closure
        self.previous = previous

    def call(self, caller: Frame, context: Value, data: Data | None) -> Value:
        data = below(data)
        data["partial-block"] = self.previous
        return self.closure.call(caller, context, data)


def inline_partials(program: Program, home: Frame) -> dict[str, object]:
    """The inline partials that stand in a program. handlebars.js looks for their names one level too far out."""
    partials: dict[str, object] = {}
    if program.decorators:
        context = home.contexts[0] if home.contexts else UNDEFINED
        outside = Frame(context, home.contexts, home.data, home.params, home.partials, home.box, home.state, home.level)
        for decorate, at in program.decorators:
            try:
                decorate(outside, partials)
            except Fault as fault:
                fault.place = fault.place or (program.source, at)
                raise
    return partials


def enter(code: Code, state: State, level: int, context: Value, data: Data, partials: Partials) -> str:
    """Runs a whole template and returns its text."""
    if level >= state.limits.depth:
        raise state.too_deep()
    box = state.box(id(code))
    box.partials = partials
    main = code.main
    if main.decorators:
        own = inline_partials(main, Frame(UNDEFINED, (), data, (), partials, box, state, level))
        box.partials = state.merged(partials, own)
    result = main.run(Frame(context, (context,), data, (), box.partials, box, state, level + 1))
    if main.decorators:
        box.partials = partials
    return state.text(result)


def _sum(pieces: list[Value], late: frozenset[int], state: State) -> Value:
    """handlebars.js joins pieces with +, which adds numbers until the first text: {{{1}}}{{{2}}} is 3.

    A strict rendering is as Amazon's, which is no JavaScript and adds nothing: without escapes {{1}}{{2}} would be 3, too.
    """
    if state.strict:
        return "".join(map(state.text, pieces))
    addends: list[Value] = []
    run: list[Value] = []
    for at, piece in enumerate(pieces):
        if at not in late:
            run.append(piece)
            continue
        # What stands before such a piece is added up by itself, then to what came before it.
        if run or not addends:
            addends.append(_plus(run, state) if run else "")
            run = []
        addends.append(piece)
    return _plus(addends + run, state)


def _plus(pieces: list[Value], state: State) -> Value:
    total = pieces[0]
    for at, piece in enumerate(pieces[1:], 1):
        if isinstance(total, (int, float)) and isinstance(piece, (int, float)):
            total = double(total) + double(piece)
        else:
            return "".join([state.text(total), *map(state.text, pieces[at:])])
    return total
