"""What emulations of SES usually get wrong about templates and bulk sending (numbers 12 and 13 of twenty), a test each."""

from typing import Any

import pytest

from mailferry.endpoints.ses import bulk, templates
from mailferry.endpoints.ses.errors import SesError, v2_spelling
from mailferry.resources.templates import Texts
from mailferry.store.database import Database
from tests.conftest import Clock
from tests.ses_templates import House, texts


@pytest.fixture
def database_url() -> str:
    return ""


@pytest.fixture
async def house(database: Database, clock: Clock) -> House:
    return await House.furnished(database, clock)


async def test_12_html_is_escaped(house: House) -> None:
    create = {"Template": {"TemplateName": "Hello", "SubjectPart": "{{x}}", "TextPart": "{{x}}{{{x}}}"}}
    await templates.create_v1(house.call("CreateTemplate"), create)
    assert texts(await house.one({"TemplateName": "Hello", "TemplateData": '{"x": "<&"}'})) == ("<&", "<&<&")


async def test_12_what_is_missing_is_rendered_empty_or_refused_at_the_send(house: House) -> None:
    await house.keep(Texts("{{x}}", "", "t"))
    sent = await house.one({"TemplateName": "Hello"})
    assert sent.publishing and sent.publishing.failure.startswith("rendering_failure: Attribute 'x' is not present")
    with pytest.raises(SesError) as caught:
        await templates.test_render(house.call("TestRenderTemplate"), {"TemplateName": "Hello", "TemplateData": "{}"})
    assert caught.value.code == "MissingRenderingAttribute"
    assert v2_spelling(caught.value).code == "BadRequestException"


async def test_12_the_unsubscribe_url_is_swallowed_and_inline_partials_are_missing(house: House) -> None:
    await house.keep(
        Texts("s", "", '{{#* inline "p"}}<{{x}}>{{/inline}}{{> p}}{{amazonSESUnsubscribeUrl}}{{ses:openTracker}}')
    )
    sent = await house.one({"TemplateName": "Hello", "TemplateData": '{"x": 1}'})
    assert texts(sent)[1] == "<1>{{amazonSESUnsubscribeUrl}}{{ses:openTracker}}"


async def test_12_a_test_rendering_returns_parts_in_place_of_a_message(house: House) -> None:
    await house.keep(Texts("{{x}}", "<p>", "t"))
    params = {"TemplateName": "Hello", "TemplateData": '{"x": "s"}'}
    rendered = await templates.test_render(house.call("TestRenderTemplate"), params)
    assert rendered is not None
    for part in (
        "Date: ",
        "\r\nSubject: s\r\n",
        "\r\nMIME-Version: 1.0\r\n",
        "multipart/alternative",
        "\r\n\r\n<p>\r\n--",
    ):
        assert part in rendered["RenderedTemplate"]


async def test_13_one_bad_entry_fails_the_whole_call_or_results_are_out_of_order(house: House) -> None:
    await house.keep(Texts("s", "", "{{x}}"))
    found = await house.bulk(['{"x": 0}', "nothing", '{"x": 2}'])
    assert [status for status, _ in found] == ["SUCCESS", "INVALID_PARAMETER", "SUCCESS"]
    assert [texts(each)[1] for each in house.intake.all] == ["0", "2"]


async def test_13_default_data_is_merged_one_level_deep_or_not_at_all(house: House) -> None:
    await house.keep(Texts("s", "", "{{a.b.c}}{{a.b.d}}{{#each e}}{{this}}{{/each}}"))
    await house.bulk(
        ['{"a": {"b": {"d": 3}}, "e": [9]}'], template={"TemplateData": '{"a":{"b":{"c":1,"d":2}},"e":[7,8]}'}
    )
    assert texts(house.intake.all[0])[1] == "139"


async def test_13_the_statuses_of_v1_are_those_of_v2(house: House) -> None:
    await house.keep(Texts("s", "", "t"))
    params: dict[str, Any] = {
        "Source": "app@shop.test",
        "Template": "Hello",
        "DefaultTemplateData": "{}",
        "Destinations": [{"Destination": {"ToAddresses": [to]}} for to in ("a@dest.test", "nobody")],
    }
    answer = await bulk.send_v1(house.call("SendBulkTemplatedEmail"), params)
    assert answer is not None
    assert [each["Status"] for each in answer["Status"]] == ["Success", "InvalidParameterValue"]


async def test_13_replacement_headers_are_ignored(house: House) -> None:
    await house.keep(Texts("s", "", "t"))
    own = [{"Name": "X-Metadata", "Value": "7"}]
    entry = {"Destination": {"ToAddresses": ["a@dest.test"]}, "ReplacementHeaders": own}
    await house.bulk([], BulkEmailEntries=[entry])
    content = house.intake.all[0].content
    assert content and content.headers == (("X-Metadata", "7"),)
