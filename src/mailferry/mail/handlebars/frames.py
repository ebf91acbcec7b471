"""What programs run in: the state of one rendering, and the frames in it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, Protocol, TypeAlias

from mailferry.mail.handlebars.errors import Fault, TooDeep
from mailferry.mail.handlebars.limits import Limits, Meter
from mailferry.mail.handlebars.objects import NAMES_PER_STEP
from mailferry.mail.handlebars.values import UNDEFINED, Value, text_of

Data: TypeAlias = dict[str, Value]
"""What @names read: a dict that an enclosing #each made, with the one around it under `_parent`."""

Partials: TypeAlias = Mapping[str, object]
"""Names and what they stand for: templates, inline partials, or anything else, which then is no partial."""

NULL_CONTEXT: Final[dict[str, Value]] = {}
"""Stands for `this` in helpers when the context is null. Never written to."""


class State(Meter):
    """One rendering."""

    __slots__ = ("boxes", "escape", "reserved", "strict")

    def __init__(self, limits: Limits, *, escape: bool, strict: bool, reserved: Mapping[str, str]) -> None:
        super().__init__(limits)
        self.escape = escape
        self.strict = strict
        self.reserved = reserved
        self.boxes: dict[int, Box] = {}

    def box(self, template: int) -> Box:
        """The one box that a template, named by its id(), has in this rendering, however often it is used."""
        return self.boxes.setdefault(template, Box())

    def too_deep(self) -> Fault:
        return Fault(f"blocks and partials lie more than {self.limits.depth} levels deep in each other", TooDeep)

    def merged(self, partials: Partials, others: Partials) -> Partials:
        self.spend(len(partials) // NAMES_PER_STEP)
        return {**partials, **others}

    def text(self, value: Value) -> str:
        """The text of a value that becomes part of the output."""
        if isinstance(value, str):
            return value
        text = text_of(value, self)
        self.write(len(text))
        return text


class Box:
    """The partials that programs of one template see at this moment; inline partials change them for a while."""

    __slots__ = ("partials",)

    def __init__(self) -> None:
        self.partials: Partials = {}


class Frame:
    """What a program runs in: its context, the contexts around it, @data, block parameters, partials."""

    __slots__ = ("box", "context", "contexts", "data", "level", "params", "partials", "state")

    def __init__(
        self,
        context: Value,
        contexts: tuple[Value, ...],
        data: Data,
        params: tuple[Value, ...],
        partials: Partials,
        box: Box,
        state: State,
        level: int,
    ) -> None:
        self.context = context
        self.contexts = contexts
        self.data = data
        self.params = params
        self.partials = partials
        self.box = box
        self.state = state
        self.level = level

    @property
    def this(self) -> Value:
        """The context as helpers see it."""
        return NULL_CONTEXT if self.context is None or self.context is UNDEFINED else self.context


Get: TypeAlias = Callable[[Frame], Value]
"""Computes one value."""


class Body(Protocol):
    """A program ready to run: the inside of a block. `entry` is what its block parameters are."""

    def __call__(self, caller: Frame, context: Value, data: Data | None = None, entry: Value = UNDEFINED) -> Value: ...


def nothing(caller: Frame, context: Value, data: Data | None = None, entry: Value = UNDEFINED) -> Value:
    """The inside of a block that has none."""
    return ""


def below(data: Data | None) -> Data:
    """A new level of @data."""
    frame = dict(data) if data is not None else {}
    frame["_parent"] = UNDEFINED if data is None else data
    return frame
