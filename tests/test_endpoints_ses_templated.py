"""What Amazon's templated and bulk sending hand to the intake, and what of a bulk is answered when it goes wrong midway."""

import email
import email.policy
from typing import Any

import pytest

from mailferry.endpoints.ses import bulk, templates
from mailferry.endpoints.ses.errors import SesError
from mailferry.endpoints.ses.rendered import mime
from mailferry.endpoints.ses.table import TABLE
from mailferry.endpoints.ses.templated import choose, data, merged, name_of_arn
from mailferry.intake.compiled import Compiled
from mailferry.intake.refusal import Reason, Refusal
from mailferry.intake.render import Rendered
from mailferry.resources.permissions import ADMIN, VIEWER, Grant, Resource, Rights
from mailferry.resources.templates import Texts
from mailferry.store.database import Database
from tests.conftest import Clock
from tests.ses_templates import House, texts


@pytest.fixture
def database_url() -> str:
    """SQLite: tests/flows/test_ses_templates.py runs on both databases."""
    return ""


@pytest.fixture
async def house(database: Database, clock: Clock) -> House:
    return await House.furnished(database, clock)


# --- data ----------------------------------------------------------------------------------------------------------


def test_objects_are_merged_all_the_way_down_and_everything_else_is_replaced_whole() -> None:
    """Amazon's own service does; emulators merge one level or none."""
    base = {"a": {"b": {"c": 1, "d": [1, 2]}, "e": 1}, "f": [{"g": 1}], "h": {"i": 1}, "j": 1}
    over = {"a": {"b": {"d": [3]}}, "f": [{"k": 1}], "h": "none", "j": {"l": 1}}
    assert merged(base, over) == {
        "a": {"b": {"c": 1, "d": [3]}, "e": 1},
        "f": [{"k": 1}],
        "h": "none",
        "j": {"l": 1},
    }
    assert base["a"] == {"b": {"c": 1, "d": [1, 2]}, "e": 1}
    assert merged(base, {}) is base  # so that equal messages are rendered once
    assert merged({"a": 1}, {"a": None}) == {"a": None}


@pytest.mark.parametrize("text", ["{", "[]", "7", '"x"', "null", '{"a": NaN}', '{"a":' * 3000 + "1" + "}" * 3000])
def test_data_that_is_no_json_object_is_told_by_its_own_code(text: str) -> None:
    with pytest.raises(SesError) as caught:
        data(text)
    assert caught.value.code == "InvalidRenderingParameter"


def test_data_that_lies_deep_can_be_merged_or_is_refused() -> None:
    deep: dict[str, Any] = {}
    for _ in range(5000):
        deep = {"a": deep}
    with pytest.raises(SesError, match="too deep"):
        merged(deep, deep)


def test_no_data_is_an_empty_object() -> None:
    assert data("") == data(" ") == data("{}") == {}


@pytest.mark.parametrize(
    "arn", ["x", "arn:aws:ses:us-east-1:1:identity/x", "arn:aws:ses:us-east-1:1:template/", ":template/x"]
)
def test_an_arn_that_names_no_template(arn: str) -> None:
    with pytest.raises(SesError, match="Invalid template ARN"):
        name_of_arn(arn)


def test_a_template_is_named_in_exactly_one_way() -> None:
    assert choose({"TemplateArn": "arn:aws:ses:eu-west-1:123456789012:template/a/b c"}).name == "a/b c"
    for wrong in ({}, {"TemplateName": "a", "TemplateContent": {"Subject": "x"}}, {"TemplateName": ""}):
        with pytest.raises(SesError, match="Exactly one"):
            choose(wrong)
    for content in ({"Subject": ""}, {"Text": "x" * (500 * 1024 + 1)}):
        with pytest.raises(SesError, match="at most 512000 bytes together"):
            choose({"TemplateContent": content})


# --- rendering -----------------------------------------------------------------------------------------------------


async def test_what_amazon_renders_leniently_is_no_missing_variable(house: House) -> None:
    await house.keep(
        Texts(
            "{{#if none}}{{none}}{{else}}no{{/if}}",
            "",
            "{{#each none}}x{{/each}}{{#none}}x{{/none}}{{^none}}n{{/none}}{{nil}}",
        )
    )
    sent = await house.one({"TemplateName": "Hello", "TemplateData": '{"nil": null}'})
    assert sent.publishing is not None and sent.publishing.failure == ""
    assert texts(sent) == ("no", "n")


async def test_the_unsubscribe_url_survives_in_every_block(house: House) -> None:
    source = "{{#each items}}{{amazonSESUnsubscribeUrl}}{{#with x}}{{{amazonSESUnsubscribeUrl}}}{{/with}}{{/each}}"
    await house.keep(Texts("s", source), escape=True)
    sent = await house.one({"TemplateName": "Hello", "TemplateData": '{"items": [{"x": {"y": 1}}]}'})
    assert sent.content is not None
    assert sent.content.html == "{{amazonSESUnsubscribeUrl}}" * 2
    assert sent.template_variables == '{"items":[{"x":{"y":1}}]}'


@pytest.mark.parametrize(
    ("source", "why"),
    [
        (Texts("s", "", "{{a.b}}{{c}}"), "Attribute 'a.b' is not present in the rendering data."),
        (Texts("{{a}}", "", "t"), "Attribute 'a' is not present in the rendering data."),
        (Texts("{{line}}", "", "t"), "a variable brings a line break into the subject"),
        (Texts("s", "", "{{> none}}"), 'body_text, line 1, column 1: there is no partial "none"'),
    ],
)
async def test_what_cannot_be_rendered_is_accepted_and_says_why(house: House, source: Texts, why: str) -> None:
    await house.keep(source)
    sent = await house.one({"TemplateName": "Hello", "TemplateData": '{"line": "a\\r\\nBcc: x@y.z"}'})
    assert sent.publishing is not None
    assert sent.publishing.failure == f"rendering_failure: {why}"
    assert (sent.publishing.facts["template"], sent.publishing.facts["rendering_failure"]) == ("Hello", why)
    assert texts(sent) == ("", None)


@pytest.mark.parametrize("source", ["{{%s}}", "{{> %s}}"])
async def test_a_name_of_the_templates_own_size_is_cut_where_it_is_told(house: House, source: str) -> None:
    await house.keep(Texts("s", "", source % ("x" * 100_000)))
    sent = await house.one({"TemplateName": "Hello"})
    assert sent.publishing and 400 < len(sent.publishing.failure) < 1100


async def test_texts_that_come_with_the_call_are_compiled_once(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    compiled: list[Texts] = []
    real = Compiled.of
    monkeypatch.setattr(Compiled, "of", lambda source: compiled.append(source) or real(source))
    content = {"TemplateContent": {"Subject": "{{x}}", "Text": "t"}, "TemplateData": '{"x": "<"}'}
    assert [texts(await house.one(content)) for _ in range(2)] == [("<", "t")] * 2
    assert len(compiled) == 1
    lacking = await house.one({**content, "TemplateContent": {"Subject": "t", "Text": "{{y}}"}})
    assert lacking.publishing and lacking.publishing.facts["rendering_failure"].startswith("Attribute 'y' is not")
    assert len(compiled) == 2


async def test_the_oldest_template_of_a_name_has_it(house: House) -> None:
    await house.keep(Texts("old", "", "t"))
    await house.keep(Texts("new", "", "t"))
    await house.keep(Texts("other", "", "t"), "Other")
    assert texts(await house.one({"TemplateName": "Hello"}))[0] == "old"
    listed = await templates.list_v2(house.call("ListEmailTemplates"), {})
    assert listed is not None
    assert [each["TemplateName"] for each in listed["TemplatesMetadata"]] == ["Other", "Hello"]


async def test_a_change_counts_from_the_next_message(house: House) -> None:
    await house.keep(Texts("one", "", "t"))
    await house.one({"TemplateName": "Hello"})
    update = {"TemplateName": "Hello", "TemplateContent": {"Subject": "two", "Text": "t"}}
    await templates.update_v2(house.call("UpdateEmailTemplate"), update)
    assert texts(await house.one({"TemplateName": "Hello"}))[0] == "two"
    await templates.delete_v2(house.call("DeleteEmailTemplate"), {"TemplateName": "Hello"})
    with pytest.raises(SesError, match="Template Hello does not exist"):
        await house.one({"TemplateName": "Hello"})
    await templates.create_v2(house.call("CreateEmailTemplate"), update)
    assert texts(await house.one({"TemplateName": "Hello"}))[0] == "two"


def test_a_rendered_template_is_a_whole_message_whose_lines_end_in_crlf() -> None:
    long = "ü" * 700 + "\rx"
    whole = mime(Rendered("Größe", f"<p>{'x' * 900}</p>\n", long, {}), 0)
    assert whole.startswith("Date: Thu, 01 Jan 1970 00:00:00 +0000\r\nSubject: =?UTF-8?")
    assert not {"\r", "\n"} & set(whole.replace("\r\n", ""))
    assert max(map(len, whole.split("\r\n"))) <= 998
    message = email.message_from_string(whole, policy=email.policy.default)
    assert message["Subject"] == "Größe"
    plain, html = message.iter_parts()
    assert (html["Content-Transfer-Encoding"], plain["Content-Transfer-Encoding"]) == ("7bit", "quoted-printable")
    assert plain.get_content().replace("\r\n", "\n").strip() == long.replace("\r", "\n")


@pytest.mark.parametrize(
    ("resource", "level", "reads", "changes"),
    [
        (Resource.ACCOUNT, VIEWER, True, False),
        (Resource.TEMPLATES, VIEWER, True, False),
        (Resource.TEMPLATES, ADMIN, True, True),
        (Resource.DOMAIN, ADMIN, False, False),
    ],
)
def test_templates_are_for_whom_they_are_in_mailtraps_api(
    resource: Resource, level: int, reads: bool, changes: bool
) -> None:
    rights = Rights.of(1, 0, [Grant(resource, 1, level)])
    of_templates = [
        (operation, op)
        for ops in TABLE.values()
        for operation, op in ops.items()
        if "Template" in operation and not operation.startswith("Send")
    ]
    assert len(of_templates) == 22
    for operation, op in of_templates:
        wanted = reads if operation.startswith(("Get", "List", "TestRender")) else changes
        assert op.allows(rights) is wanted, operation


# --- bulk ----------------------------------------------------------------------------------------------------------


async def test_all_entries_come_in_one_call_of_the_intake(house: House) -> None:
    await house.keep(Texts("s", "", "{{x}}"))
    assert await house.bulk(['{"x": 1}', "{", '{"x": 3}']) == [
        ("SUCCESS", ""),
        ("INVALID_PARAMETER", "The template data is no JSON: Input data was truncated"),
        ("SUCCESS", ""),
    ]
    (together,) = house.intake.calls
    assert [texts(each)[1] for each in together] == ["1", "3"]


async def test_entries_without_data_of_their_own_are_rendered_once(house: House) -> None:
    await house.keep(Texts("s", "", "{{x}}"))
    await house.bulk(["", "{}", '{"x": 2}'], template={"TemplateData": '{"x": 1}'})
    first, second, third = (each.content for each in house.intake.all)
    assert first and second and third
    assert first.text is second.text
    assert third.text == "2"


async def test_large_entries_come_in_slices_and_what_was_accepted_is_told_when_a_later_one_fails(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk, "SLICE_OCTETS", 2500)
    house.deps.budget.total = 4000  # a slice and the next one's first: the memory of those before is given back
    await house.keep(Texts("s", "", "x" * 1000))
    assert await house.bulk([""] * 5) == [("SUCCESS", "")] * 5
    assert [len(call) for call in house.intake.calls] == [2, 2, 1]
    house.intake.good_calls = 4
    assert await house.bulk(["", "", "", "{", ""]) == [
        ("SUCCESS", ""),
        ("SUCCESS", ""),
        ("FAILED", "Try again later."),
        ("INVALID_PARAMETER", "The template data is no JSON: Input data was truncated"),
        ("FAILED", "Try again later."),
    ]
    with pytest.raises(RuntimeError):  # nothing was accepted: all may be sent again
        await house.bulk(["", ""])
    assert house.deps.budget.used == 0


async def test_a_bulk_that_needs_more_memory_than_there_is(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    await house.keep(Texts("s", "", "x" * 400_000))
    house.deps.budget.used = 1 << 19
    asked: list[int] = []
    real = house.deps.budget.take
    monkeypatch.setattr(
        house.deps.budget, "take", lambda octets, patience: asked.append(octets) or real(octets, patience)
    )
    assert await house.bulk([""] * 3) == [
        ("SUCCESS", ""),
        *[("TRANSIENT_FAILURE", "The server has no memory for this message now.")] * 2,
    ]
    assert house.deps.budget.used == 1 << 19
    assert len(asked) == 2, "the third waited for memory in vain, too"
    with pytest.raises(SesError) as caught:
        house.deps.budget.used = 1 << 20
        await house.one({"TemplateName": "Hello"})
    assert caught.value.code == "Throttling"


async def test_an_entry_has_tags_and_headers_over_those_of_all(house: House) -> None:
    await house.keep(Texts("s", "", "t"))
    headers = [{"Name": f"X-{number}", "Value": "all"} for number in range(15)]
    own = [{"Name": "x-3", "Value": "own"}]
    tagged = [{"Name": "category", "Value": "own"}]
    entries = [
        {"Destination": {"ToAddresses": ["a@dest.test"]}, "ReplacementHeaders": own, "ReplacementTags": tagged},
        {"Destination": {"ToAddresses": ["a@dest.test"]}, "ReplacementHeaders": [{"Name": "X-new", "Value": "x"}]},
        {"Destination": {"ToAddresses": ["a@dest.test"]}, "ReplacementTags": [{"Name": "bad name", "Value": "x"}]},
        {"Destination": {}},
    ]
    defaults = [{"Name": "category", "Value": "all"}, {"Name": "kind", "Value": "x"}]
    found = await house.bulk([], template={"Headers": headers}, BulkEmailEntries=entries, DefaultEmailTags=defaults)
    assert [status for status, _ in found] == ["SUCCESS", *["INVALID_PARAMETER"] * 2, "SUCCESS"]
    assert "16" in found[1][1] and "Invalid tag name <bad name>" in found[2][1]
    assert house.intake.all[0].custom_variables == '{"kind":"x","category":"own"}'
    publishing = house.intake.all[0].publishing
    assert publishing and publishing.facts["tags"] == {"kind": ["x"], "category": ["own"]}
    content = house.intake.all[0].content
    assert content and len(content.headers) == 15 and content.headers[-1] == ("x-3", "own")
    with pytest.raises(SesError, match="Invalid tag name"):
        await house.bulk([""], DefaultEmailTags=[{"Name": "bad name", "Value": "x"}])


async def test_an_entry_beyond_the_quota_says_which(house: House) -> None:
    await house.keep(Texts("s", "", "t"))
    house.intake.refused = {
        1: Refusal(Reason.QUOTA_EXCEEDED),
        2: Refusal(Reason.RATE_EXCEEDED),
        3: Refusal(Reason.DEMO_RECIPIENT, "to", detail="n3@dest.test"),
    }
    entries = [{"Destination": {"ToAddresses": [f"n{number}@dest.test"]}} for number in range(4)]
    found = await house.bulk(["{}"] * 4)
    assert found[1:3] == [
        ("ACCOUNT_DAILY_QUOTA_EXCEEDED", "Daily message quota exceeded."),
        ("ACCOUNT_THROTTLED", "Maximum sending rate exceeded."),
    ]
    assert [found[0][0], found[3][0]] == ["SUCCESS", "MESSAGE_REJECTED"]
    params: dict[str, Any] = {
        "Source": "app@shop.test",
        "Template": "Hello",
        "DefaultTemplateData": "{}",
        "Destinations": entries,
    }
    answer = await bulk.send_v1(house.call("SendBulkTemplatedEmail"), params)
    assert answer is not None
    statuses = ["Success", "AccountDailyQuotaExceeded", "AccountThrottled", "MessageRejected"]
    assert [each["Status"] for each in answer["Status"]] == statuses
