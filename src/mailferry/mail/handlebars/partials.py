"""Calls of partials: {{> name}}, {{#> name}}...{{/name}}, {{> (lookup . "name")}}, {{> @partial-block}}."""

from __future__ import annotations

from dataclasses import dataclass

from mailferry.mail.handlebars.blocks import Pairs, Params
from mailferry.mail.handlebars.errors import Fault
from mailferry.mail.handlebars.frames import Frame, Get, below
from mailferry.mail.handlebars.objects import spread
from mailferry.mail.handlebars.run import Closure, Code, Decorator, PartialBlock, Program, enter
from mailferry.mail.handlebars.values import PER_STEP, UNDEFINED, Value, is_true, text_of


@dataclass(frozen=True, slots=True)
class PartialCall:
    """A compiled call. `name` is what the template writes, or None when `dynamic` computes it."""

    name: str | None
    dynamic: Get | None
    context: Get
    pairs: Pairs | None
    program: Program | None
    indent: str
    named: bool

    def call(self, frame: Frame) -> Value:
        found: Value = UNDEFINED
        if self.dynamic:
            found = self.dynamic(frame)
        elif self.name is not None:
            found = frame.partials.get(self.name, UNDEFINED)
        context = self.context(frame)
        if self.pairs is not None:
            context = self._with_pairs(context, frame)
        name, found = self._resolve(found, frame)
        result = self._invoke(name, found, context, frame)
        return _indented(result, self.indent, frame) if self.indent else result

    def _with_pairs(self, context: Value, frame: Frame) -> Value:
        assert self.pairs is not None
        context = spread(context, frame.state)
        for key, get in self.pairs.items():
            context[key] = get(frame)
        return context

    def _resolve(self, found: Value, frame: Frame) -> tuple[str, Value]:
        if isinstance(found, (Code, Closure, PartialBlock)):
            return self.name or "", found
        if self.name == "@partial-block":
            return self.name, frame.data.get("partial-block", UNDEFINED)
        name = self.name
        if name is None:
            # A false value counts as no name at all, and no name is called "undefined" in JavaScript.
            name = text_of(found if is_true(found) else UNDEFINED, frame.state)
        return name, frame.partials.get(name, UNDEFINED)

    def _invoke(self, name: str, found: Value, context: Value, frame: Frame) -> Value:
        data = frame.data
        partials = frame.partials
        if self.program:
            block = Closure(self.program, frame)
            data = below(data)
            found_block = data["partial-block"] = PartialBlock(block, frame.data.get("partial-block", UNDEFINED))
            if block.partials:
                partials = frame.state.merged(partials, block.partials)
            found = found_block if found is UNDEFINED else found
        if isinstance(found, Code):
            return enter(found, frame.state, frame.level, context, data, partials)
        if isinstance(found, PartialBlock):
            return found.call(frame, context, data)
        if isinstance(found, Closure):
            return found.call(frame, context, data, list(frame.params) if self.named else UNDEFINED)
        raise Fault(f'there is no partial "{name}"')


def inline(params: Params, pairs: Pairs, program: Program | None) -> Decorator:
    """{{#*inline "name"}}: what stands inside is a partial for the program around it, before and after this place."""

    def decorate(frame: Frame, partials: dict[str, object]) -> None:
        values = [get(frame) for get in (*params, *pairs.values())]
        name = text_of(values[0] if params else UNDEFINED, frame.state)
        if name != "__proto__":
            partials[name] = Closure(program, frame) if program else UNDEFINED

    return decorate


def unknown_decorator(name: str) -> Decorator:
    return refuse_decorator(f'there is no decorator "{name}", only inline')


def refuse_decorator(message: str) -> Decorator:
    def decorate(frame: Frame, partials: dict[str, object]) -> None:
        raise Fault(message)

    return decorate


def _indented(result: Value, indent: str, frame: Frame) -> str:
    """A partial that stands alone on its line is indented as its tag is."""
    if not isinstance(result, str):
        raise Fault("a partial on a line of its own must print text, this one gave a bare value")
    state = frame.state
    lines = result.split("\n")
    # A line end at the very end starts no line of its own.
    count = len(lines) - (not lines[-1])
    state.spend(len(result) // PER_STEP)
    state.write(count * len(indent))
    if count < len(lines):
        return "".join([f"{indent}{line}\n" for line in lines[:-1]])
    return indent + f"\n{indent}".join(lines)
