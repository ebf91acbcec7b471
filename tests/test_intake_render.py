"""From a template to content: what is looked up, what is remembered, and what a rendering may take."""

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

import msgspec
import pytest
from sqlalchemy import Connection

from mailferry.intake import compiled
from mailferry.intake.checks import Limits
from mailferry.intake.refusal import Reason, Refusal
from mailferry.intake.render import LOGGED_VARIABLES, Renderer
from mailferry.intake.submission import FromTemplate, Rcpt, Refused, Submission
from mailferry.mail.address import Mailbox
from mailferry.mail.compose import Content
from mailferry.resources import accounts, templates
from mailferry.resources.audit import Actor
from mailferry.resources.templates import Facts, Template, Texts
from mailferry.store.database import Database
from tests.conftest import Clock

T = TypeVar("T")

ANN = Actor("api_token", 7, "Ann")
NOBODY = "00000000-0000-4000-8000-000000000000"
HELLO = Texts("Hi {{name}}", "<p>{{name}}</p>{{{raw}}}", "{{name}} {{missing}}!")


class Counted:
    """The database, and how often it is asked."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.reads = 0
        #: Runs after a query and before its answer.
        self.meanwhile: Callable[[], None] = lambda: None

    async def read(self, query: Callable[[Connection], T]) -> T:
        self.reads += 1
        found = await self.database.read(query)
        self.meanwhile()
        return found


class House:
    def __init__(self, database: Database, clock: Clock) -> None:
        self.database, self.clock = database, clock
        self.counted = Counted(database)
        self.renderer = Renderer(self.counted, clock)
        self.account = 0

    async def keep(self, source: Texts = HELLO, *, escape: bool = True, strict: bool = False) -> Template:
        facts = Facts("Welcome", "onboarding", escape, strict)
        made = await self.database.write(
            lambda c: templates.create(c, self.account, facts, source, ANN, self.clock(), most=200)
        )
        assert made is not None
        return made

    async def change(self, template: Template, **changes: Any) -> None:
        head = template.head
        await self.database.write(lambda c: templates.change(c, head.account_id, head.id, changes, ANN, self.clock()))

    async def render(self, uuid: str, variables: Any = None, **fields: Any) -> Submission | Refused:
        rendering = await self.renderer.open(self.account, [uuid])
        return await rendering.render(submission(uuid, variables or {}, **fields), Limits())

    async def text(self, uuid: str, **variables: Any) -> str:
        return content(await self.render(uuid, variables)).text or ""

    async def details(self, source: Texts, variables: Any, **flags: bool) -> list[str]:
        """Why it cannot be rendered."""
        made = await self.keep(source, **flags)
        refused = await self.render(made.head.uuid, variables)
        assert isinstance(refused, Refused), refused
        assert {each.reason for each in refused.refusals} == {Reason.TEMPLATE_FAILED}
        return [each.detail for each in refused.refusals]


@pytest.fixture
def database_url() -> str:
    """SQLite: that the queries work on both databases, test_resources_templates.py shows."""
    return ""


@pytest.fixture
async def house(database: Database, clock: Clock) -> House:
    made = House(database, clock)
    made.account = await database.write(lambda c: accounts.create_account(c, "Shop", clock()))
    return made


def submission(uuid: str, variables: dict[str, Any], **fields: Any) -> Submission:
    given: dict[str, Any] = {
        "recipients": (Rcpt("bob@example.net"),),
        "content": Content(
            Mailbox("ann@shop.example"), to=(Mailbox("bob@example.net"),), subject="", text=None, html=None
        ),
    }
    return Submission(
        1, 1, None, "mailtrap", "transactional", **(given | fields), template=FromTemplate(uuid, variables)
    )


def content(rendered: Submission | Refused) -> Content:
    assert isinstance(rendered, Submission), rendered
    assert rendered.content is not None and rendered.template is None
    return rendered.content


# --- what is rendered ----------------------------------------------------------------------------------------------


async def test_a_template_fills_subject_bodies_category_and_the_log(house: House) -> None:
    """In Mailtrap's dialect what is missing is nothing, and entities show in a subject (triple braces help)."""
    made = await house.keep()
    rendered = await house.render(made.head.uuid, {"name": "Tom & Ö", "raw": "<b>"})
    assert isinstance(rendered, Submission)
    filled = content(rendered)
    assert (filled.subject, filled.html, filled.text) == ("Hi Tom &amp; Ö", "<p>Tom &amp; Ö</p><b>", "Tom &amp; Ö !")
    assert (rendered.category, rendered.template_id) == ("onboarding", made.head.id)
    assert msgspec.json.decode(rendered.template_variables) == {"name": "Tom & Ö", "raw": "<b>"}
    assert filled.to == (Mailbox("bob@example.net"),) and filled.sender == Mailbox("ann@shop.example")


async def test_a_body_that_is_not_there_stays_away(house: House) -> None:
    made = await house.keep(Texts("{{a}}", "", "{{a}}"))
    filled = content(await house.render(made.head.uuid, {"a": 1}))
    assert (filled.html, filled.text) == (None, "1")


async def test_escapes_and_strictness_are_the_template_s_own(house: House) -> None:
    made = await house.keep(Texts("s", "{{a}}{{#if b}}{{b}}{{/if}}"), escape=False, strict=True)
    assert content(await house.render(made.head.uuid, {"a": "<&>"})).html == "<&>"
    (detail,) = await house.details(Texts("s", "", "\n {{x.y}}"), {"x": {}}, strict=True)
    assert detail.startswith("body_text, line 2, column 2: ") and "x.y" in detail


async def test_large_variables_are_not_logged(house: House) -> None:
    made = await house.keep()
    rendered = await house.render(made.head.uuid, {"name": "x" * LOGGED_VARIABLES})
    assert isinstance(rendered, Submission) and rendered.template_variables == ""
    assert rendered.template_id == made.head.id


async def test_messages_with_the_same_variables_are_rendered_once(house: House) -> None:
    """As in a batch whose base has them; equal ones of two requests are not the same."""
    made = await house.keep()
    rendering = await house.renderer.open(house.account, [made.head.uuid])
    shared: dict[str, Any] = {"name": "Ann"}
    given = [submission(made.head.uuid, variables) for variables in (shared, shared, {"name": "Bob"}, shared)]
    rendered = [await rendering.render(each, Limits()) for each in given]
    assert [content(each).subject for each in rendered] == ["Hi Ann", "Hi Ann", "Hi Bob", "Hi Ann"]
    first, second, _, fourth = (content(each).html for each in rendered)
    assert first is second and first is not fourth


# --- what is refused -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("uuid", [NOBODY, "", "x", "\0", NOBODY + "0", NOBODY.replace("-", "")])
async def test_an_unknown_template_is_refused_with_all_else(house: House, uuid: str) -> None:
    refused = await house.render(uuid, recipients=(Rcpt("nobody"),))
    assert refused == Refused(
        (Refusal(Reason.ADDRESS_INVALID, "to", 0), Refusal(Reason.TEMPLATE_UNKNOWN, "template_uuid"))
    )


async def test_a_foreign_template_is_unknown(house: House, clock: Clock) -> None:
    made = await house.keep()
    house.account = await house.database.write(lambda c: accounts.create_account(c, "Other", clock()))
    assert isinstance(await house.render(made.head.uuid), Refused)


@pytest.mark.parametrize(
    ("source", "variables", "detail"),
    [
        (Texts("s", "{{foo a}}"), {}, 'body_html, line 1, column 1: there is no helper "foo"'),
        (Texts("s", "x {{> footer}}"), {}, 'body_html, line 1, column 3: there is no partial "footer"'),
        (Texts("{{a}}", "x"), {"a": "1\nBcc: eve@example.net"}, "a variable brings a line break into the subject"),
        (Texts("{{{a}}}", "x"), {"a": "\0"}, "a variable brings a NUL character into the subject"),
    ],
)
async def test_why_it_cannot_be_rendered(house: House, source: Texts, variables: Any, detail: str) -> None:
    assert await house.details(source, variables) == [detail]


@pytest.mark.parametrize(
    ("source", "lacks"),
    [
        (Texts("{{a}}", "x"), "a subject"),
        (Texts("x", "{{a}}", "{{a}}"), "text and HTML"),
        (Texts("x"), "text and HTML"),
    ],
)
async def test_an_empty_message_is_refused(house: House, source: Texts, lacks: str) -> None:
    made = await house.keep(source)
    refused = await house.render(made.head.uuid)
    assert refused == Refused((Refusal(Reason.TEMPLATE_EMPTY, "template_uuid", detail=lacks),))


# --- hostile templates ---------------------------------------------------------------------------------------------

LOOPS = "{{#each a}}{{#each ../a}}{{#each ../../a}}x{{/each}}{{/each}}{{/each}}"
ENDLESS = '{{#*inline "a"}}{{> a}}{{/inline}}{{> a}}'


@pytest.mark.parametrize(
    ("source", "variables", "why"),
    [
        (LOOPS, {"a": list(range(100))}, "this takes more than 250,000 steps"),
        (ENDLESS, {}, "blocks and partials lie more than 100 levels deep in each other"),
        (
            "{{#each a}}{{../b}}{{/each}}",
            {"a": list(range(2000)), "b": "x" * 10_000},
            "the result is longer than 10,485,760",
        ),
    ],
)
async def test_a_limit_ends_it_with_a_reason(house: House, source: str, variables: Any, why: str) -> None:
    (detail,) = await house.details(Texts("s", source), variables)
    assert why in detail and detail.startswith("body_html, line 1, column ")


async def test_the_event_loop_goes_on_meanwhile(house: House) -> None:
    """What is not done within a few steps is done in a thread, and one at a time."""
    made = await house.keep(Texts("s", LOOPS))
    beats = 0

    async def beat() -> None:
        nonlocal beats
        while True:
            await asyncio.sleep(0.005)
            beats += 1

    task = asyncio.create_task(beat())
    await asyncio.gather(*(house.render(made.head.uuid, {"a": list(range(100))}) for _ in range(2)))
    task.cancel()
    assert beats > 20


async def test_a_request_has_a_budget_for_all_that_it_renders(house: House) -> None:
    house.renderer = Renderer(house.counted, house.clock, request_steps=30_000)
    made = await house.keep(Texts("s", "{{#each a}}{{this}}{{/each}}"))
    rendering = await house.renderer.open(house.account, [made.head.uuid])
    outcomes = []
    for _ in range(6):
        given = submission(made.head.uuid, {"a": [1] * 3000})
        outcomes.append(await rendering.render(given, Limits()))
    taken = [isinstance(each, Submission) for each in outcomes]
    assert taken == sorted(taken, reverse=True) and 0 < sum(taken) < 6
    assert isinstance(outcomes[-1], Refused)
    for refusal in outcomes[-1].refusals:
        assert refusal.detail.endswith("the messages of one request may take 30,000 steps together")
    # Another request has one of its own.
    assert isinstance(await house.render(made.head.uuid, {"a": [1] * 3000}), Submission)


# --- what is remembered --------------------------------------------------------------------------------------------


async def test_nothing_is_asked_twice_within_a_second_and_nothing_compiled_twice(house: House, clock: Clock) -> None:
    made = await house.keep()
    for _ in range(3):
        await house.text(made.head.uuid)
    assert house.counted.reads == 2, "once for the template, once for its texts"
    clock.forward(seconds=1)
    await house.text(made.head.uuid)
    assert house.counted.reads == 3, "texts are asked for once a version"
    for _ in range(3):
        await house.render(NOBODY)
    assert house.counted.reads == 4, "that there is none is remembered, too"


async def test_many_at_once_compile_once(house: House) -> None:
    made = await house.keep()
    rendering = await house.renderer.open(house.account, [made.head.uuid])
    head = made.head
    found = await asyncio.gather(*(house.renderer.compiled(head) for _ in range(20)))
    assert all(each is found[0] for each in found) and house.counted.reads == 2
    assert isinstance(await rendering.render(submission(head.uuid, {}), Limits()), Submission)


async def test_one_query_finds_all_templates_of_a_request(house: House) -> None:
    made = [await house.keep(Texts("s", "", f"{number}")) for number in range(5)]
    await house.renderer.open(house.account, [each.head.uuid for each in made])
    assert house.counted.reads == 1


async def test_a_change_is_seen_at_once_here_and_a_second_later_elsewhere(house: House, clock: Clock) -> None:
    made = await house.keep(Texts("s", "", "one"))
    elsewhere = House(house.database, clock)
    elsewhere.account = house.account
    assert [await each.text(made.head.uuid) for each in (house, elsewhere)] == ["one", "one"]
    await house.change(made, body_text="two")
    house.renderer.forget()
    assert [await each.text(made.head.uuid) for each in (house, elsewhere)] == ["two", "one"]
    clock.forward(seconds=1)
    assert await elsewhere.text(made.head.uuid) == "two"
    await house.database.write(lambda c: templates.remove(c, house.account, made.head.id, ANN, clock()))
    house.renderer.forget()
    assert isinstance(await house.render(made.head.uuid), Refused)


async def test_what_was_read_before_a_change_is_not_remembered_after_it(house: House) -> None:
    made = await house.keep(Texts("s", "", "one"))
    house.counted.meanwhile = house.renderer.forget
    await house.renderer.open(house.account, [made.head.uuid])
    house.counted.meanwhile = lambda: None
    await house.change(made, body_text="two")
    assert await house.text(made.head.uuid) == "two"


async def test_a_template_that_is_gone_between_two_looks_is_unknown(house: House, clock: Clock) -> None:
    made = await house.keep()
    rendering = await house.renderer.open(house.account, [made.head.uuid])
    await house.database.write(lambda c: templates.remove(c, house.account, made.head.id, ANN, clock()))
    refused = await rendering.render(submission(made.head.uuid, {}), Limits())
    assert isinstance(refused, Refused) and refused.refusals[0].reason is Reason.TEMPLATE_UNKNOWN


async def test_compiled_templates_are_kept_while_there_is_room(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiled, "COMPILED_OCTETS", 10_000)
    made = [await house.keep(Texts("s", "", "x" * 1000)) for _ in range(4)]
    for template in [*made, *made[-2:]]:
        await house.text(template.head.uuid)
    assert house.counted.reads == 8
    await house.text(made[0].head.uuid)  # fell out: only its texts are read again
    assert house.counted.reads == 9
    large = await house.keep(Texts("s", "", "x" * 10_000))
    for _ in range(2):
        await house.text(large.head.uuid)
    assert house.counted.reads == 11, "one that is larger than the room is kept until another one comes"


async def test_a_preview_keeps_nothing_and_tells_failures_by_field(house: House) -> None:
    source = Texts("{{a}}", "{{foo b}}", "{{#if")
    seen = await house.renderer.preview(source, {"a": "<"}, escape=True, strict=False)
    assert (seen.subject, seen.html, seen.text) == ("&lt;", "", "")
    assert set(seen.failures) == {"body_html", "body_text"} and house.counted.reads == 0
