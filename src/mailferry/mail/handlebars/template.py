"""Templates ready to be rendered."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from mailferry.mail.handlebars.compiler import compile_tree
from mailferry.mail.handlebars.errors import Fault, OutputTooLong, RenderError, Source, TemplateError, TooDeep
from mailferry.mail.handlebars.frames import State
from mailferry.mail.handlebars.limits import Limits
from mailferry.mail.handlebars.parser import parse
from mailferry.mail.handlebars.run import Code, enter
from mailferry.mail.handlebars.values import Value

DEFAULT_LIMITS: Final = Limits()
NOTHING_RESERVED: Final[Mapping[str, str]] = {}


class Template:
    """A compiled template. It never changes, so one can be cached and rendered in several threads at once."""

    __slots__ = ("_code", "_partials")

    def __init__(self, code: Code, partials: Mapping[str, Template]) -> None:
        self._code = code
        self._partials = dict(partials)

    @property
    def source(self) -> str:
        return self._code.source.text

    @property
    def name(self) -> str:
        return self._code.source.name

    @property
    def partials(self) -> Mapping[str, Template]:
        """The templates that {{> name}} can call."""
        return dict(self._partials)

    def render(self, data: Value, *, escape: bool = True, strict: bool = False, limits: Limits = DEFAULT_LIMITS) -> str:
        """The text for this data, which is what JSON gives: dict, list, str, int, float, bool or None.

        `escape=False` prints {{x}} as {{{x}}}. `strict=True` refuses to print what the data does not have; null and
        what #if, #each and sections ask for may be missing all the same; and it adds no numbers. Raises RenderError.
        """
        return self.measured(data, escape=escape, strict=strict, limits=limits)[0]

    def measured(
        self,
        data: Value,
        *,
        escape: bool = True,
        strict: bool = False,
        limits: Limits = DEFAULT_LIMITS,
        reserved: Mapping[str, str] = NOTHING_RESERVED,
    ) -> tuple[str, int]:
        """The text as `render` gives it, and the steps that it took. The RenderError says in `steps` how many it took.

        `reserved`: what is printed for a path that the data does not have, in whatever block it stands.
        """
        state = State(limits, escape=escape, strict=strict, reserved=reserved)
        try:
            return _finished(self._text(data, state), limits, self.name), limits.steps - state.steps
        except RenderError as error:
            error.steps = limits.steps - max(state.steps, 0)
            raise

    def _text(self, data: Value, state: State) -> str:
        partials = {name: template._code for name, template in self._partials.items()}
        try:
            return enter(self._code, state, 0, data, {"root": data}, partials)
        except Fault as fault:
            raise fault.error(self._code.source) from None
        except RecursionError:
            # The depth limit is there to stop before this; a caller deep in its own stack may still come here.
            raise TooDeep("blocks and partials lie too deep in each other", 1, 1, self.name) from None


def compile(source: str, *, name: str = "", partials: Mapping[str, Template] | None = None) -> Template:
    """Reads a template; raises TemplateError. `name` is what errors call it, `partials` what {{> name}} can call.

    Partials see the partials given here, not those that they were compiled with.
    """
    text = Source(source, name)
    try:
        parsed = parse(text)
        return Template(compile_tree(parsed.program, text, named=parsed.named), partials or {})
    except RecursionError:
        raise TemplateError("blocks or sub-expressions lie too deep in each other", 1, 1, name) from None


def _finished(text: str, limits: Limits, name: str) -> str:
    """Counts octets, and puts U+FFFD where half a surrogate pair was printed, as JavaScript does in UTF-8."""
    if text.isascii():
        octets = len(text)
    else:
        try:
            octets = len(text.encode())
        except UnicodeEncodeError:
            text = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
            octets = len(text.encode())
    if octets > limits.output:
        raise OutputTooLong(f"the result is longer than {limits.output:,} octets", 1, 1, name)
    return text
