"""The texts of templates, compiled once and remembered as long as there is room."""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from typing import Protocol

from mailferry.mail import handlebars
from mailferry.mail.handlebars import TemplateError
from mailferry.resources.templates import Texts

#: Compiled templates are kept up to about so many octets, by the guess that a tag takes 1,500 beside its text.
COMPILED_OCTETS = 64 * 1024 * 1024
TAG_OCTETS = 1_500
#: What stands in the way of a rendering is told by the name that a template's field has.
FIELDS = ("subject", "body_html", "body_text")
#: Which template or text, and which version of it.
Key = tuple[str, int]
Read = Callable[[], Awaitable[Texts | None]]


class Aside(Protocol):
    """See `Renderer.aside`."""

    async def __call__(self, work: Callable[[], "Compiled"]) -> "Compiled": ...


@dataclass(frozen=True, slots=True)
class Compiled:
    """The three texts, in the order of :data:`FIELDS`; None: the template has no such body."""

    programs: tuple[handlebars.Template | TemplateError | None, ...]
    weight: int

    @classmethod
    def of(cls, source: Texts) -> "Compiled":
        sources = asdict(source)
        weight = sum(len(text) * 4 + text.count("{{") * TAG_OCTETS for text in sources.values())
        return cls(tuple(_compiled(sources[name]) for name in FIELDS), weight)


def _compiled(source: str) -> handlebars.Template | TemplateError | None:
    """No template is kept that is no Handlebars; one that an earlier version of it took may be none now."""
    try:
        return handlebars.compile(source) if source else None
    except TemplateError as error:
        return error


class CompiledTexts:
    """``aside`` compiles in a thread: a large text takes most of a second."""

    def __init__(self, aside: Aside) -> None:
        self._aside = aside
        self._known: OrderedDict[Key, Compiled] = OrderedDict()
        self._compiling: dict[Key, asyncio.Task[Compiled | None]] = {}
        self._weight = 0

    async def get(self, key: Key, read: Read) -> Compiled | None:
        """Who asks for the same meanwhile waits for it. None: ``read`` found no texts."""
        if found := self._known.get(key):
            self._known.move_to_end(key)
            return found
        if (task := self._compiling.get(key)) is None:
            task = self._compiling[key] = asyncio.create_task(self._compile(key, read))
            task.add_done_callback(lambda _: self._compiling.pop(key))
        return await asyncio.shield(task)

    async def _compile(self, key: Key, read: Read) -> Compiled | None:
        source = await read()
        if source is None:
            return None
        compiled = await self._aside(lambda: Compiled.of(source))
        self._known[key] = compiled
        self._weight += compiled.weight
        while self._weight > COMPILED_OCTETS and len(self._known) > 1:
            self._weight -= self._known.popitem(last=False)[1].weight
        return compiled
