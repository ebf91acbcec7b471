"""The helpers that every template has: if, unless, each, with, lookup, log; and what a block of any other name does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeAlias

from mailferry.mail.handlebars.errors import Fault
from mailferry.mail.handlebars.frames import Body, Frame, Get, below
from mailferry.mail.handlebars.objects import keys, member
from mailferry.mail.handlebars.run import PartialBlock
from mailferry.mail.handlebars.values import UNDEFINED, Value, is_empty, is_nothing, is_true, text_of

# Types whose values are true or false for JavaScript as they are for Python.
_PLAIN = frozenset((bool, str, int, type(None)))

Params: TypeAlias = tuple[Get, ...]
Pairs: TypeAlias = dict[str, Get]
MakeBlock: TypeAlias = Callable[[Params, Pairs, Body, Body], Get]
MakeInline: TypeAlias = Callable[[Params, Pairs], Get]


def called(value: Value, frame: Frame) -> Value:
    """A value, or what it gives if it is a partial block."""
    return value.call(frame, UNDEFINED, None) if isinstance(value, PartialBlock) else value


def computed(pairs: Pairs, frame: Frame) -> dict[str, Value]:
    """The values of name=value pairs, of which helpers look at few; the others may fail all the same."""
    return {name: get(frame) for name, get in pairs.items()}


def make_if(params: Params, pairs: Pairs, yes: Body, no: Body) -> Get:
    if len(params) != 1:
        return refusal("#if takes exactly one parameter")
    condition = params[0]

    def block(frame: Frame) -> Value:
        value = condition(frame)
        if type(value) in _PLAIN and not pairs:
            return (yes if value else no)(frame, frame.this)
        value = called(value, frame)
        if pairs and is_true(computed(pairs, frame).get("includeZero")):
            chosen = no if is_empty(value) else yes
        else:
            chosen = yes if is_true(value) and not (isinstance(value, list) and not value) else no
        return chosen(frame, frame.this)

    return block


def make_unless(params: Params, pairs: Pairs, yes: Body, no: Body) -> Get:
    if len(params) != 1:
        return refusal("#unless takes exactly one parameter")
    return make_if(params, pairs, no, yes)


def make_with(params: Params, pairs: Pairs, yes: Body, no: Body) -> Get:
    if len(params) != 1:
        return refusal("#with takes exactly one parameter")
    subject = params[0]

    def block(frame: Frame) -> Value:
        value = called(subject(frame), frame)
        computed(pairs, frame)
        if is_empty(value):
            return no(frame, frame.this)
        return yes(frame, value, frame.data, [value])

    return block


def make_each(params: Params, pairs: Pairs, yes: Body, no: Body) -> Get:
    if len(params) != 1:
        return refusal("#each takes exactly one parameter")
    subject = params[0]

    def block(frame: Frame) -> Value:
        value = called(subject(frame), frame)
        computed(pairs, frame)
        return each(frame, value, yes, no)

    return block


def each(frame: Frame, value: Value, yes: Body, no: Body) -> Value:
    """Runs `yes` for each item of a list or an object, else `no` once."""
    names: list[str] | range
    if isinstance(value, list):
        names = range(len(value))
    elif isinstance(value, dict):
        names = keys(value, frame.state)
    else:
        names = []
    if not names:
        return no(frame, frame.this)
    state = frame.state
    data = below(frame.data)
    last = len(names) - 1
    pieces = []
    for at, name in enumerate(names):
        item = value[name]
        data["key"] = name
        data["index"] = at
        data["first"] = at == 0
        data["last"] = at == last
        piece = yes(frame, item, data, [item, name])
        pieces.append(piece if type(piece) is str else state.text(piece))
    return "".join(pieces)


def section(frame: Frame, value: Value, yes: Body, no: Body) -> Value:
    """{{#x}} for an x that is no helper: once for true, for each item of a list, else with x as the context.

    Zero and "" count as contexts here, unlike in #if.
    """
    if value is True:
        return yes(frame, frame.context)
    if value is False or is_nothing(value) or (isinstance(value, list) and not value):
        return no(frame, frame.context)
    if isinstance(value, list):
        return each(frame, value, yes, no)
    # handlebars.js hands on its own options here, and with them the block parameters of the outer blocks.
    return yes(frame, value, None, list(frame.params))


def make_lookup(params: Params, pairs: Pairs) -> Get:
    """{{lookup x name}}: the item of that name. With other numbers of parameters it works on a false x alone."""
    if not params:
        return refusal("lookup takes an object and a name")

    def get(frame: Frame) -> Value:
        subject, *rest = [param(frame) for param in params]
        computed(pairs, frame)
        if not is_true(subject):
            return subject
        if len(rest) != 1:
            raise Fault("lookup takes an object and a name")
        return member(subject, text_of(rest[0], frame.state), frame.state)

    return get


def make_log(params: Params, pairs: Pairs) -> Get:
    """{{log x}} prints nothing, and there is no console that a sender of mail could look at."""

    def get(frame: Frame) -> Value:
        for param in params:
            param(frame)
        level = computed(pairs, frame).get("level")
        if not is_nothing(level):
            text_of(level, frame.state)
        return UNDEFINED

    return get


def unknown_helper(name: str, target: Get, params: Params, pairs: Pairs) -> Get:
    """{{x y}} or (x) for an x that is no helper: an error, or undefined if it has no parameters and x is false."""

    def get(frame: Frame) -> Value:
        value = target(frame)
        values = [param(frame) for param in params]
        computed(pairs, frame)
        if isinstance(value, PartialBlock) and len(values) == 1:
            return value.call(frame, values[0], frame.data)
        if is_true(value):
            raise Fault(f'"{name}" is a value and no helper, it takes no parameters')
        if params:
            raise Fault(f'there is no helper "{name}"')
        return UNDEFINED

    return get


def refusal(message: str) -> Get:
    """Computes nothing but an error."""

    def get(frame: Frame) -> Value:
        raise Fault(message)

    return get


BLOCKS: Final[dict[str, MakeBlock]] = {"if": make_if, "unless": make_unless, "with": make_with, "each": make_each}
INLINE: Final[dict[str, MakeInline]] = {"lookup": make_lookup, "log": make_log}
HOOKS: Final = frozenset(("helperMissing", "blockHelperMissing"))
"""Names that handlebars.js knows as helpers and does not let a template call."""
KNOWN: Final = frozenset((*BLOCKS, *INLINE, *HOOKS))
