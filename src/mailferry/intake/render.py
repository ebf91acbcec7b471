"""Templates become content: what a submission names is looked up, compiled once, and rendered with its variables.

A rendering is done in the event loop as long as it is small, which nearly all are, and otherwise again in a thread, one
at a time: nobody's loops in loops make others wait. A request has a budget of steps for all that it renders.
"""

import asyncio
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from hashlib import blake2b
from typing import Any, Protocol, TypeVar

import msgspec
from sqlalchemy import Connection

from mailferry.intake import checks, texts
from mailferry.intake.compiled import FIELDS, Compiled, CompiledTexts
from mailferry.intake.record import record
from mailferry.intake.refusal import Reason, Refusal
from mailferry.intake.submission import Refused, Submission
from mailferry.mail import handlebars
from mailferry.mail.handlebars import MissingVariable, OutputTooLong, RenderError, TemplateError, TooManySteps
from mailferry.resources import templates
from mailferry.resources.templates import Head, Texts

T = TypeVar("T")

#: What another node did to a template is seen this much later.
CACHE_MS = 1_000
CACHE_ENTRIES = 10_000
#: What is rendered in the event loop: 2,000 steps are five milliseconds at most.
AT_ONCE = handlebars.Limits(steps=2_000, output=256 * 1024)
#: Steps of all renderings of one request: twenty seconds of one core at most.
REQUEST_STEPS = 5_000_000
#: So many steps lie between two turns of the event loop, which a batch of small renderings would block.
BREATH = 5_000
#: Octets of variables that the log keeps; of more it keeps none.
LOGGED_VARIABLES = 32 * 1024

_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
#: Before a name among the keys of what is remembered, so that none is taken for a uuid.
_NAME = "name "


class Reader(Protocol):
    """See store/database.py."""

    async def read(self, query: Callable[[Connection], T]) -> T: ...


@dataclass(frozen=True, slots=True)
class Rendered:
    """``failures`` by field: why there is no text of it."""

    subject: str
    html: str
    text: str
    failures: Mapping[str, str]
    #: The first variable that a strict template would print and was not given, as the template writes it.
    missing: str = ""


@dataclass(frozen=True, slots=True)
class Produced:
    """What became of a template, and for the log: which one, and with what (compact JSON, empty where too much)."""

    rendered: Rendered
    logged: str
    #: None: its texts came with the request.
    head: Head | None = None


class Renderer:
    """One for the process. It remembers templates by uuid for a moment, and compiled versions as long as there is room.

    ``ticks``: milliseconds that only go forward.
    """

    def __init__(self, database: Reader, ticks: Callable[[], int], *, request_steps: int = REQUEST_STEPS) -> None:
        self._database = database
        self._ticks = ticks
        self._request_steps = request_steps
        self._heads: dict[tuple[int, str], tuple[int, Head | None]] = {}
        self._turn = asyncio.Semaphore(1)
        self._compiled = CompiledTexts(self.aside)
        self._changes = 0

    def forget(self) -> None:
        """After any change of templates on this node."""
        self._changes += 1
        self._heads.clear()

    async def open(
        self,
        account_id: int,
        uuids: Iterable[str] = (),
        *,
        names: Iterable[str] = (),
        reserved: Mapping[str, str] | None = None,
    ) -> "Rendering":
        """For one request: the templates that it names, with one query for those that are not known yet.

        ``reserved``: what variables of these names print where nothing is given for them.
        """
        now = self._ticks()
        wanted = {uuid for uuid in uuids if _UUID.fullmatch(uuid)}
        wanted |= {_NAME + name for name in names if len(name) <= templates.MAX_LINE}
        missing = [key for key in wanted if self._heads.get((account_id, key), (0, None))[0] <= now]
        heads = {key: self._heads[account_id, key][1] for key in wanted.difference(missing)}
        if missing:
            changes = self._changes
            found = await self._database.read(lambda c: _look_up(c, account_id, missing))
            heads |= {key: found.get(key) for key in missing}
            if len(self._heads) > CACHE_ENTRIES:
                self._heads.clear()
            if changes == self._changes:  # else what was read may be older than the change
                self._heads |= {(account_id, key): (now + CACHE_MS, heads[key]) for key in missing}
        return Rendering(self, heads, self._request_steps, reserved or {})

    async def compiled(self, head: Head) -> Compiled | None:
        """None: it was deleted a moment ago."""
        return await self._compiled.get((head.uuid, head.version), lambda: self._kept(head))

    async def compiled_texts(self, source: Texts) -> Compiled:
        """Of texts that came with a request: many requests bring the same ones."""

        async def given() -> Texts:
            return source

        digest = blake2b(msgspec.json.encode(asdict(source)), digest_size=20).hexdigest()
        found = await self._compiled.get((digest, 0), given)
        assert found is not None, "there are texts"
        return found

    async def preview(self, source: Texts, data: Mapping[str, Any], *, escape: bool, strict: bool) -> Rendered:
        """Of texts that may not be kept yet."""
        compiled = await self.aside(lambda: Compiled.of(source))
        return await Rendering(self, {}, self._request_steps, {}).run(compiled, data, escape=escape, strict=strict)

    async def aside(self, work: Callable[[], T]) -> T:
        """In a thread, when its turn has come."""
        async with self._turn:
            return await asyncio.to_thread(work)

    async def _kept(self, head: Head) -> Texts | None:
        found = await self._database.read(lambda c: templates.version(c, head.id, head.version))
        return found[1] if found else None


class Rendering:
    """Of one request."""

    def __init__(
        self, renderer: Renderer, heads: Mapping[str, Head | None], steps: int, reserved: Mapping[str, str]
    ) -> None:
        self._renderer = renderer
        self._heads = heads
        self._reserved = reserved
        self._most = self._left = steps
        self._breathed = steps
        self._last: tuple[Compiled, Mapping[str, Any], Produced] | None = None

    async def render(self, submission: Submission, limits: checks.Limits) -> Submission | Refused:
        """The submission with what its template gives; or all that is wrong with it."""
        template = submission.template
        assert template is not None and submission.content is not None
        produced = await self._produced(self._heads.get(template.uuid), template.variables)
        if produced is None or produced.head is None:
            return _refused(submission, limits, Refusal(Reason.TEMPLATE_UNKNOWN, "template_uuid"))
        rendered = produced.rendered
        if refusals := _flaws(rendered):
            return _refused(submission, limits, *refusals)
        content = replace(
            submission.content, subject=rendered.subject, text=rendered.text or None, html=rendered.html or None
        )
        return replace(
            submission,
            content=content,
            category=produced.head.facts.category,
            template=None,
            template_id=produced.head.id,
            template_variables=produced.logged,
        )

    def knows(self, name: str) -> bool:
        """Whether there is a template of a name that was given to :meth:`Renderer.open`."""
        return self._heads.get(_NAME + name) is not None

    async def named(self, name: str, variables: Mapping[str, Any]) -> Produced | None:
        """Of a template that was named to :meth:`Renderer.open`. None: there is none."""
        return await self._produced(self._heads.get(_NAME + name), variables)

    async def given(self, source: Texts, variables: Mapping[str, Any], *, escape: bool, strict: bool) -> Produced:
        """Of texts that came with the request."""
        compiled = await self._renderer.compiled_texts(source)
        return await self._once(compiled, variables, None, escape=escape, strict=strict)

    async def _produced(self, head: Head | None, variables: Mapping[str, Any]) -> Produced | None:
        compiled = await self._renderer.compiled(head) if head else None
        if head is None or compiled is None:
            return None
        return await self._once(compiled, variables, head, escape=head.facts.escape, strict=head.facts.strict)

    async def _once(
        self, compiled: Compiled, variables: Mapping[str, Any], head: Head | None, *, escape: bool, strict: bool
    ) -> Produced:
        """Messages of a batch that all have the variables of its base are rendered once."""
        if self._last is None or self._last[0] is not compiled or self._last[1] is not variables:
            rendered = await self.run(compiled, variables, escape=escape, strict=strict)
            self._last = (compiled, variables, Produced(rendered, _logged(variables), head))
        return self._last[2]

    async def run(self, compiled: Compiled, data: Mapping[str, Any], *, escape: bool, strict: bool) -> Rendered:
        found = dict.fromkeys(FIELDS, "")
        failures: dict[str, str] = {}
        missing = ""
        for field, program in zip(FIELDS, compiled.programs, strict=True):
            if isinstance(program, TemplateError):
                failures[field] = str(program)
            elif program is not None:
                try:
                    found[field] = await self._text(program, data, escape=escape, strict=strict)
                except RenderError as error:
                    failures[field] = self._told(error)
                    missing = missing or (error.path if isinstance(error, MissingVariable) else "")
        return Rendered(found["subject"], found["body_html"], found["body_text"], failures, missing)

    async def _text(self, program: handlebars.Template, data: Mapping[str, Any], *, escape: bool, strict: bool) -> str:
        """Raises RenderError."""
        if self._breathed - self._left > BREATH:
            self._breathed = self._left
            await asyncio.sleep(0)
        try:
            return self._spend(program, data, AT_ONCE, escape=escape, strict=strict)
        except (TooManySteps, OutputTooLong):
            limits = handlebars.Limits()
            return await self._renderer.aside(lambda: self._spend(program, data, limits, escape=escape, strict=strict))

    def _spend(
        self,
        program: handlebars.Template,
        data: Mapping[str, Any],
        limits: handlebars.Limits,
        *,
        escape: bool,
        strict: bool,
    ) -> str:
        limits = replace(limits, steps=min(limits.steps, self._left))
        try:
            text, steps = program.measured(data, escape=escape, strict=strict, limits=limits, reserved=self._reserved)
        except RenderError as error:
            self._left -= error.steps
            raise
        self._left -= steps
        return text

    def _told(self, error: RenderError) -> str:
        if isinstance(error, TooManySteps) and self._left <= 0:
            return f"the messages of one request may take {self._most:,} steps together"
        return str(error)


def failures(rendered: Rendered) -> list[str]:
    """Why it can be no message, whatever else is in it."""
    found = [f"{field}, {why}" for field, why in rendered.failures.items()]
    if flaw := texts.line_flaw(rendered.subject):
        found.append(f"a variable brings {flaw} into the subject")
    return found


def _flaws(rendered: Rendered) -> list[Refusal]:
    if found := failures(rendered):
        return [Refusal(Reason.TEMPLATE_FAILED, "template_uuid", detail=detail) for detail in found]
    if not rendered.subject:
        return [Refusal(Reason.TEMPLATE_EMPTY, "template_uuid", detail="a subject")]
    if not (rendered.html or rendered.text):
        return [Refusal(Reason.TEMPLATE_EMPTY, "template_uuid", detail="text and HTML")]
    return []


def _look_up(connection: Connection, account_id: int, keys: Sequence[str]) -> dict[str, Head]:
    names = [key.removeprefix(_NAME) for key in keys if key.startswith(_NAME)]
    found = templates.of_uuids(connection, account_id, [key for key in keys if not key.startswith(_NAME)])
    return found | {_NAME + name: head for name, head in templates.of_names(connection, account_id, names).items()}


def _refused(submission: Submission, limits: checks.Limits, *refusals: Refusal) -> Refused:
    """With what is wrong beside the template, so that a client hears of all its mistakes at once."""
    others = [each for each in checks.check(submission, limits) if each.field not in ("subject", "text", "html")]
    refused = Refused(checks.in_field_order([*others, *refusals]))
    record(submission, refused)
    return refused


def _logged(variables: Mapping[str, Any]) -> str:
    encoded = msgspec.json.encode(variables)
    return encoded.decode() if len(encoded) <= LOGGED_VARIABLES else ""
