"""Sending by template over the send API: what is filled in, what is refused and how, batches, idempotency, memory."""

from typing import Any

import pytest

from mailferry.endpoints.bodies import BodyBudget, BodyRules
from mailferry.endpoints.mailtrap import handover, sending
from mailferry.intake.render import Renderer
from mailferry.intake.submission import Submission
from mailferry.store.database import Database
from tests.asgi import Answer
from tests.conftest import Clock
from tests.fakes.mailtrap_api import DOMAIN
from tests.mailtrap_house import MailtrapHouse

UNKNOWN = "'template_uuid' is not the UUID of a template of this account"
NOBODY = "00000000-0000-4000-8000-000000000000"
WELCOME = {
    "name": "Welcome",
    "category": "onboarding",
    "subject": "Hi {{name}}",
    "body_html": "<p>{{name}}{{missing}}</p>",
    "body_text": "{{#each items}}{{this}},{{/each}}",
}


@pytest.fixture
def database_url() -> str:
    """SQLite: that the queries work on both databases, test_resources_templates.py shows."""
    return ""


class Shop(MailtrapHouse):
    """A house with one template, which sends."""

    uuid = ""
    template = 0

    async def open(self) -> "Shop":
        await self.furnish()
        self.uuid = (await self.keep()).json["uuid"]
        return self

    async def keep(self, **changes: Any) -> Answer:
        answer = await self.ask("POST", "email_templates", {"email_template": WELCOME | changes})
        assert answer.status == 201, answer.body
        self.template = answer.json["id"]
        return answer

    def mail(self, **fields: Any) -> dict[str, Any]:
        return {
            "from": {"email": f"ann@{DOMAIN}"},
            "to": [{"email": "bob@example.net"}],
            "template_uuid": self.uuid,
        } | fields

    async def send(self, path: str = "/api/send", key: str = "", **fields: Any) -> Answer:
        return await self.say(path, self.mail(**fields), key)

    async def batch(self, base: dict[str, Any], *requests: dict[str, Any], key: str = "") -> list[dict[str, Any]]:
        to = {"to": [{"email": "bob@example.net"}]}
        answer = await self.say("/api/batch", {"base": base, "requests": [to | each for each in requests]}, key)
        assert (answer.status, answer.json["success"]) == (200, True), answer.body
        return list(answer.json["responses"])

    async def say(self, path: str, body: Any, key: str = "") -> Answer:
        headers = {"Api-Token": self.admin} | ({"Idempotency-Key": key} if key else {})
        return await self.post_json("POST", path, body, headers)

    def texts(self) -> list[str]:
        return [str(each.content and each.content.text) for each in self.intake.accepted]


@pytest.fixture
async def shop(database: Database, clock: Clock) -> Shop:
    return await Shop(database, clock).open()


def refused(answer: Answer) -> list[str]:
    assert (answer.status, answer.json["success"]) == (400, False), answer.body
    return list(answer.json["errors"])


# --- one message ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("path", "stream"), [("/api/send", "transactional"), ("/bulk/api/send", "bulk")])
async def test_a_template_is_sent(shop: Shop, path: str, stream: str) -> None:
    variables = {"name": "Ann & Ö", "items": [1, 2.5, "x"], "nested": {"deep": [None, True]}}
    answer = await shop.send(path, template_uuid=shop.uuid.upper(), template_variables=variables, headers={"X-A": "b"})
    assert (answer.status, answer.json) == (200, {"success": True, "message_ids": ["m1r0"]})
    sent: Submission = shop.only()
    assert sent.content is not None and sent.stream == stream
    assert (sent.content.subject, sent.content.html) == ("Hi Ann &amp; Ö", "<p>Ann &amp; Ö</p>")
    assert sent.content.text == "1,2.5,x," and sent.content.headers == (("X-A", "b"),)
    assert (sent.category, sent.template_id) == ("onboarding", shop.template)


async def test_variables_may_be_missing_and_other_fields_empty(shop: Shop) -> None:
    """Symfony writes what it does not have as null or empty."""
    empty = {"subject": "", "text": None, "html": "", "category": "", "template_variables": None}
    for fields in ({}, {"template_variables": {}}, empty):
        assert (await shop.send(**fields)).status == 200
    assert {str(each.content and each.content.html) for each in shop.intake.accepted} == {"<p></p>"}


async def test_a_change_counts_from_the_next_message(shop: Shop) -> None:
    await shop.send(template_variables={"items": ["old"]})
    await shop.ask("PATCH", f"email_templates/{shop.template}", {"email_template": {"body_text": "new"}})
    await shop.send()
    await shop.ask("POST", f"email_templates/{shop.template}/versions/1/restore")
    await shop.send(template_variables={"items": ["old"]})
    assert shop.texts() == ["old,", "new", "old,"]
    await shop.ask("DELETE", f"email_templates/{shop.template}")
    assert refused(await shop.send()) == [UNKNOWN]


@pytest.mark.parametrize("field", ["subject", "text", "html", "category"])
async def test_what_a_template_brings_is_refused_beside_it(shop: Shop, field: str) -> None:
    assert refused(await shop.send(**{field: "x"})) == [f"'{field}' is not allowed with 'template_uuid'"]


@pytest.mark.parametrize(
    ("fields", "texts"),
    [
        ({"template_uuid": NOBODY}, [UNKNOWN]),
        ({"template_uuid": "welcome"}, [UNKNOWN]),
        ({"template_uuid": ""}, [UNKNOWN]),
        ({"template_uuid": 5}, ["'template_uuid' must be a string"]),
        ({"template_variables": []}, ["'template_variables' must be an object"]),
        ({"template_uuid": NOBODY, "to": [{"email": "x"}]}, ["address is invalid in 'to' 0", UNKNOWN]),
        (
            {"from": None, "subject": "x", "text": "x"},
            [
                "'from' is required",
                "'subject' is not allowed with 'template_uuid'",
                "'text' is not allowed with 'template_uuid'",
            ],
        ),
        (
            {"template_variables": {"name": "a\r\nBcc: eve@example.net"}},
            ["'template_uuid' cannot be rendered: a variable brings a line break into the subject"],
        ),
    ],
    ids=str,
)
async def test_what_is_wrong_with_it(shop: Shop, fields: dict[str, Any], texts: list[str]) -> None:
    assert refused(await shop.send(**fields)) == texts
    assert shop.intake.accepted == []


async def test_a_rendering_that_fails_says_where_and_why(shop: Shop) -> None:
    shop.uuid = (await shop.keep(subject="{{#if a}}{{nope b}}{{/if}}x", body_text="\n{{> footer}}")).json["uuid"]
    failed = "'template_uuid' cannot be rendered:"
    partial = f'{failed} body_text, line 2, column 1: there is no partial "footer"'
    assert refused(await shop.send()) == [partial]
    helper = f'{failed} subject, line 1, column 10: there is no helper "nope"'
    assert refused(await shop.send(template_variables={"a": 1})) == [helper, partial]


async def test_a_sender_that_may_not_send_is_still_told_so(shop: Shop) -> None:
    answer = await shop.send(**{"from": {"email": "ann@bank.example"}})
    assert (answer.status, answer.json["errors"][0]) == (401, "Unauthorized")


async def test_sending_needs_no_right_on_templates(shop: Shop) -> None:
    """As with Mailtrap: whoever may send as a domain may send the account's templates."""
    from mailferry.resources.permissions import ADMIN, Grant, Resource

    shop.admin = await shop.token(Grant(Resource.DOMAIN, shop.domain, ADMIN))
    assert (await shop.send()).status == 200


# --- batches -------------------------------------------------------------------------------------------------------


async def test_each_request_of_a_batch_stands_for_itself(shop: Shop) -> None:
    other = (await shop.keep(subject="Other", category="news", body_text="other")).json["uuid"]
    base = {"from": {"email": f"ann@{DOMAIN}"}, "template_uuid": shop.uuid, "template_variables": {"items": ["base"]}}
    plain = {"template_uuid": None, "subject": "Plain", "text": "plain"}
    responses = await shop.batch(
        base,
        {},
        {"template_variables": {"name": "own"}},
        {"template_uuid": other},
        {"subject": "x"},
        {"template_uuid": NOBODY},
        {"template_variables": {"name": "a\nb"}},
        plain,
        {"to": [{"email": "y"}]},
    )
    assert [each["success"] for each in responses] == [True, True, True, False, False, False, False, False]
    assert responses[0]["message_ids"] == ["m1r0"] and responses[2]["message_ids"] == ["m3r0"]
    assert [each["errors"] for each in responses[3:]] == [
        ["'subject' is not allowed with 'template_uuid'"],
        [UNKNOWN],
        ["'template_uuid' cannot be rendered: a variable brings a line break into the subject"],
        # null is absent, so that the base's template stands.
        ["'subject' is not allowed with 'template_uuid'", "'text' is not allowed with 'template_uuid'"],
        ["address is invalid in 'to' 0"],
    ]
    # A request's variables replace those of the base, and are not merged with them.
    assert shop.texts() == ["base,", "None", "other"]
    assert [each.category for each in shop.intake.accepted] == ["onboarding", "onboarding", "news"]


async def test_templates_and_plain_messages_keep_their_places(shop: Shop) -> None:
    sender = {"from": {"email": f"ann@{DOMAIN}"}}
    responses = await shop.batch(
        sender,
        {"subject": "1", "text": "1"},
        {"template_uuid": NOBODY},
        {"template_uuid": shop.uuid, "template_variables": {"items": [2]}},
        {"subject": "3", "text": "3"},
        {},
    )
    assert [each.get("message_ids", each.get("errors")) for each in responses] == [
        ["m1r0"],
        [UNKNOWN],
        ["m2r0"],
        ["m3r0"],
        ["'subject' is required", "must specify either text or html body"],
    ]


async def test_a_batch_by_template_goes_in_slices(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is small as a request, and may be large as messages."""
    monkeypatch.setattr(handover, "SLICE_OCTETS", 2500)
    monkeypatch.setattr(sending, "MAX_KEYED_OCTETS", 4500)
    base = shop.mail(template_variables={"items": ["x" * 1000]}, to=None)
    base.pop("to")
    responses = await shop.batch(base, *[{}] * 5)
    assert shop.intake.calls == [2, 2, 1]
    assert [each["message_ids"] for each in responses] == [[f"m{n}r0"] for n in range(1, 6)]
    to = {"to": [{"email": "bob@example.net"}]}
    keyed = await shop.say("/api/batch", {"base": base, "requests": [to] * 5}, key="k")
    assert keyed.status == 413 and "too large together" in keyed.json["errors"][0]


async def test_memory_is_given_back_and_its_end_is_told(database: Database, clock: Clock) -> None:
    budget = BodyBudget(20_000)
    shop = await Shop(database, clock, budget=budget, body=BodyRules(patience=0.01)).open()
    many = {"template_variables": {"items": ["x" * 1000] * 6}}
    for _ in range(5):
        assert (await shop.send(**many)).status == 200
        assert budget.used == 0
    twice = (await shop.keep(body_html="{{#each items}}{{this}}{{/each}}" * 4)).json["uuid"]
    answer = await shop.send(template_uuid=twice, **many)
    assert (answer.status, answer.json) == (429, {"success": False, "errors": ["Rate limit exceeded"]})
    base = {"from": {"email": f"ann@{DOMAIN}"}, "template_uuid": twice}
    responses = await shop.batch(base, {"template_variables": {"items": ["x"]}}, many, {})
    assert [each["success"] for each in responses] == [True, False, False]
    assert responses[2]["errors"] == ["Rate limit exceeded"]
    to = {"to": [{"email": "bob@example.net"}]}
    for key in ("", "k"):
        none = await shop.say("/api/batch", {"base": base | many, "requests": [to]}, key=key)
        assert (none.status, none.json["errors"]) == (429, ["Rate limit exceeded"])
    assert budget.used == 0


async def test_the_loops_of_a_batch_end(shop: Shop) -> None:
    """One request has steps for all it renders: a hundred hostile ones do not take a hundred seconds."""
    shop.deps.renderer.forget()
    object.__setattr__(shop.deps, "renderer", Renderer(shop.database, shop.clock, request_steps=20_000))
    loops = "{{#each a}}{{#each ../a}}{{#each ../../a}}x{{/each}}{{/each}}{{/each}}"
    uuid = (await shop.keep(body_text=loops)).json["uuid"]
    base = {"from": {"email": f"ann@{DOMAIN}"}, "template_uuid": uuid, "template_variables": {"a": list(range(100))}}
    responses = await shop.batch(base, *[{}] * 100)
    together = "the messages of one request may take 20,000 steps together"
    assert all(together in " ".join(each["errors"]) for each in responses)


# --- idempotency ---------------------------------------------------------------------------------------------------


async def test_a_key_is_answered_though_the_template_is_gone(shop: Shop) -> None:
    """The first answer was lost: what was sent then must not be sent again, or be refused now."""
    base = shop.mail()
    base.pop("to")
    first = await shop.send(key="one")
    batch = await shop.batch(base, {}, {"subject": "x"}, {"template_uuid": NOBODY}, key="many")
    assert [each["success"] for each in batch] == [True, False, False]
    await shop.ask("DELETE", f"email_templates/{shop.template}")
    again = await shop.send(key="one")
    assert (again.status, again.body) == (200, first.body) and again.headers["idempotent-replayed"] == "true"
    assert await shop.batch(base, {}, {"subject": "x"}, {"template_uuid": NOBODY}, key="many") == batch
    other = await shop.send(key="one", template_variables={"name": "x"})
    assert other.status == 409
    assert len(shop.intake.accepted) == 2


async def test_what_was_refused_may_be_mended_under_its_key(shop: Shop) -> None:
    assert refused(await shop.send(key="k", template_uuid=NOBODY)) == [UNKNOWN]
    assert (await shop.send(key="k")).status == 200
