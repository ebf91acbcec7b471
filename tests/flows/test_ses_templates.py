"""Templates by boto3: one life in both versions and in Mailtrap's API, and all that is sent from them."""

import email
import email.policy
import json
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.amazon import ON_SQLITE, SENDER, Amazon, amazon, in_thread

pytestmark = ON_SQLITE

TO = {"ToAddresses": ["a@dest.test"]}
HELLO = {"Subject": "Hi {{name}}", "Html": "<p>{{name}} of {{shop.city}}</p>", "Text": "{{name}} of {{shop.city}}"}
DATA = {"name": "Ann <b> & Co", "shop": {"city": "Bern"}}


@pytest.fixture
async def cloud(tmp_path: Path, database_url: str) -> Any:
    async with amazon(tmp_path, database_url) as found:
        yield found


async def log_of(cloud: Amazon, recipient: str) -> Any:
    """What Mailtrap's API says of the one message to them."""
    token = cloud.server.credentials["api_token"]
    where = "/api/accounts/1/email_logs"
    _, listed = await in_thread(
        cloud.server.request, "GET", f"{where}?filters[to][operator]=ci_equal&filters[to][value][]={recipient}", token
    )
    (found,) = listed["messages"]
    _, shown = await in_thread(cloud.server.request, "GET", f"{where}/{found['message_id']}", token)
    return shown


async def mailtrap(cloud: Amazon, method: str, path: str = "", body: Any = None) -> Any:
    token = cloud.server.credentials["api_token"]
    given = None if body is None else json.dumps(body).encode()
    where = f"/api/accounts/1/email_templates{path}"
    status, answer = await in_thread(cloud.server.request, method, where, token, given)
    assert status < 300, answer
    return answer


async def arrived(cloud: Amazon, count: int) -> list[Any]:
    """The last messages that the recipients' host took."""
    taken = (await cloud.mx.received(count))[-count:]
    return [email.message_from_bytes(each.content, policy=email.policy.default) for each in taken]


def text(message: Any, kind: str = "plain") -> str:
    return str(message.get_body((kind,)).get_content()).strip()


async def test_a_template_has_one_life_in_both_versions_and_in_mailtraps_api(cloud: Amazon) -> None:
    v1, v2 = cloud.client("ses"), cloud.client("sesv2")
    await in_thread(
        v1.create_template, Template={"TemplateName": "Hello", "SubjectPart": "Hi {{name}}", "TextPart": "{{name}}\r\n"}
    )
    shown = await in_thread(v2.get_email_template, TemplateName="Hello")
    assert shown["TemplateContent"] == {"Subject": "Hi {{name}}", "Text": "{{name}}\r\n"}
    assert (await in_thread(v1.get_template, TemplateName="Hello"))["Template"]["TextPart"] == "{{name}}\r\n"
    (kept,) = await mailtrap(cloud, "GET")
    assert (kept["name"], kept["subject"], kept["body_html"]) == ("Hello", "Hi {{name}}", None)

    with pytest.raises(v1.exceptions.AlreadyExistsException, match="Template Hello already exists"):
        await in_thread(v1.create_template, Template={"TemplateName": "Hello", "SubjectPart": "x"})
    with pytest.raises(v2.exceptions.AlreadyExistsException):
        await in_thread(v2.create_email_template, TemplateName="Hello", TemplateContent=HELLO)

    await in_thread(v2.update_email_template, TemplateName="Hello", TemplateContent={"Subject": "Ho", "Html": "<p>"})
    assert (await mailtrap(cloud, "GET", f"/{kept['id']}"))["body_html"] == "<p>"
    assert "TextPart" not in (await in_thread(v1.get_template, TemplateName="Hello"))["Template"]

    made = {"name": "a/b c", "category": "news", "subject": "{{x}}", "body_text": "{{x}}"}
    await mailtrap(cloud, "POST", "", {"email_template": made})
    assert (await in_thread(v2.get_email_template, TemplateName="a/b c"))["TemplateContent"]["Text"] == "{{x}}"
    answer = await in_thread(
        v2.send_email,
        FromEmailAddress=SENDER,
        Destination=TO,
        Content={"Template": {"TemplateName": "a/b c", "TemplateData": '{"x": "<&"}'}},
    )
    (message,) = await arrived(cloud, 1)
    assert text(message) == "&lt;&amp;"  # as its maker's dialect renders it
    assert (await cloud.log(answer["MessageId"]))["category"] == "news"
    listed = await in_thread(v1.list_templates)
    assert [each["Name"] for each in listed["TemplatesMetadata"]] == ["a/b c", "Hello"]

    await in_thread(v2.delete_email_template, TemplateName="Hello")
    await in_thread(v1.delete_template, TemplateName="Hello")  # v1 is silent about what is not there
    for gone, missing in (
        (lambda: v2.delete_email_template(TemplateName="Hello"), v2.exceptions.NotFoundException),
        (lambda: v1.get_template(TemplateName="Hello"), v1.exceptions.TemplateDoesNotExistException),
        (lambda: v1.update_template(Template={"TemplateName": "Hello", "SubjectPart": "x"}), v1.exceptions.ClientError),
        (
            lambda: v1.send_templated_email(Source=SENDER, Destination=TO, Template="Hello", TemplateData="{}"),
            v1.exceptions.TemplateDoesNotExistException,
        ),
    ):
        with pytest.raises(missing, match="Template Hello does not exist"):
            await in_thread(gone)
    assert [each["name"] for each in await mailtrap(cloud, "GET")] == ["a/b c"]
    tags = [{"Key": "team", "Value": "mail"}]
    for _ in range(2):
        await in_thread(v2.create_email_template, TemplateName="Tagged", TemplateContent=HELLO, Tags=tags)
        assert (await in_thread(v2.get_email_template, TemplateName="Tagged"))["Tags"] == tags
        await in_thread(v1.delete_template, TemplateName="Tagged")
    await in_thread(v2.create_email_template, TemplateName="Tagged", TemplateContent=HELLO)
    assert "Tags" not in await in_thread(v2.get_email_template, TemplateName="Tagged")
    long = "x" * 5000
    for name in ("get_email_template", "get_custom_verification_email_template"):
        with pytest.raises(v2.exceptions.NotFoundException):
            await in_thread(getattr(v2, name), TemplateName=long)
        with pytest.raises(v2.exceptions.BadRequestException, match="must not hold a NUL"):
            await in_thread(getattr(v2, name), TemplateName="a\0b")
    with pytest.raises(v1.exceptions.TemplateDoesNotExistException):
        await in_thread(v1.test_render_template, TemplateName=long, TemplateData="{}")
    await in_thread(v1.delete_template, TemplateName=long)
    await in_thread(v1.delete_custom_verification_email_template, TemplateName=long)
    with pytest.raises(ClientError, match="must not hold a NUL"):
        await in_thread(v1.delete_template, TemplateName="a\0b")


async def test_every_way_of_sending_from_a_template_and_what_a_missing_variable_makes_of_it(cloud: Amazon) -> None:
    v1, v2 = cloud.client("ses"), cloud.client("sesv2")
    await in_thread(v2.create_email_template, TemplateName="Hello", TemplateContent=HELLO)
    await in_thread(
        v1.send_templated_email,
        Source=f"App <{SENDER}>",
        Destination=TO,
        Template="Hello",
        TemplateData=json.dumps(DATA),
        Tags=[{"Name": "category", "Value": "shop"}],
    )
    await arrived(cloud, 1)
    template = {
        "TemplateArn": "arn:aws:ses:eu-west-1:123456789012:template/Hello",
        "TemplateData": json.dumps(DATA),
        "Headers": [{"Name": "X-Order", "Value": "7"}],
        "Attachments": [{"FileName": "a.txt", "RawContent": b"file", "ContentType": "text/plain"}],
    }
    sent = await in_thread(v2.send_email, FromEmailAddress=SENDER, Destination=TO, Content={"Template": template})
    await arrived(cloud, 2)
    inline = {
        "TemplateContent": {
            "Subject": "In {{name}}",
            "Text": '{{#* inline "p"}}<{{name}}>{{/inline}}{{> p}}{{#if none}}!{{/if}} {{amazonSESUnsubscribeUrl}}',
        },
        "TemplateData": json.dumps(DATA),
    }
    await in_thread(v2.send_email, FromEmailAddress=SENDER, Destination=TO, Content={"Template": inline})
    first, second, third = await arrived(cloud, 3)
    assert (first["Subject"], first["From"]) == ("Hi Ann <b> & Co", f"App <{SENDER}>")
    assert text(first) == "Ann <b> & Co of Bern"
    assert text(first, "html") == "<p>Ann <b> & Co of Bern</p>"
    assert second["X-Order"] == "7"
    assert [each.get_filename() for each in second.iter_attachments()] == ["a.txt"]
    assert text(third) == "<Ann <b> & Co> {{amazonSESUnsubscribeUrl}}"
    assert str(second["Message-ID"]).startswith(f"<{sent['MessageId']}@")
    logged = await cloud.log(sent["MessageId"])
    assert logged["template_variables"] == DATA

    lost = {"ToAddresses": ["lost@dest.test"]}
    await in_thread(
        v1.send_templated_email, Source=SENDER, Destination=lost, Template="Hello", TemplateData='{"name": "Ann"}'
    )
    logged = await log_of(cloud, "lost@dest.test")
    assert logged["status"] == "not_delivered"
    told = json.dumps(logged)
    assert "rendering_failure: Attribute 'shop.city' is not present in the rendering data." in told
    strange = {"TemplateName": "Hello", "TemplateData": '{"name": "a\\u0000b", "shop": {"city": "Bern"}}'}
    nul = {"ToAddresses": ["nul@dest.test"]}
    await in_thread(v2.send_email, FromEmailAddress=SENDER, Destination=nul, Content={"Template": strange})
    logged = await log_of(cloud, "nul@dest.test")
    assert (logged["status"], logged["template_variables"]["name"]) == ("not_delivered", "a\0b")
    assert len(cloud.mx.transactions) == 3

    with pytest.raises(v1.exceptions.MissingRenderingAttributeException) as caught:
        await in_thread(v1.test_render_template, TemplateName="Hello", TemplateData='{"shop": {"city": "Bern"}}')
    error = caught.value.response["Error"]
    assert error["Message"] == "Attribute 'name' is not present in the rendering data."
    assert error["TemplateName"] == "Hello"
    with pytest.raises(v2.exceptions.BadRequestException, match="Attribute 'name' is not present"):
        await in_thread(v2.test_render_email_template, TemplateName="Hello", TemplateData="{}")
    with pytest.raises(v1.exceptions.InvalidRenderingParameterException):
        await in_thread(v1.test_render_template, TemplateName="Hello", TemplateData="{name: 1}")
    with pytest.raises(v2.exceptions.BadRequestException, match="must be a JSON object"):
        await in_thread(v2.test_render_email_template, TemplateName="Hello", TemplateData="[]")

    for rendered in (
        await in_thread(v1.test_render_template, TemplateName="Hello", TemplateData=json.dumps(DATA)),
        await in_thread(v2.test_render_email_template, TemplateName="Hello", TemplateData=json.dumps(DATA)),
    ):
        whole = rendered["RenderedTemplate"]
        assert "\n" not in whole.replace("\r\n", "")
        message = email.message_from_string(whole, policy=email.policy.default)
        assert (message["Subject"], message.get_content_type()) == ("Hi Ann <b> & Co", "multipart/alternative")
        assert (text(message), text(message, "html")) == ("Ann <b> & Co of Bern", "<p>Ann <b> & Co of Bern</p>")
        assert message["Date"] and not message["From"]


async def test_fifty_are_sent_at_once_and_one_of_them_is_bad(cloud: Amazon) -> None:
    v1, v2 = cloud.client("ses"), cloud.client("sesv2")
    await in_thread(v2.create_email_template, TemplateName="Hello", TemplateContent=HELLO)
    default = {"name": "you", "shop": {"city": "Bern", "open": [1, 2]}}
    entries: list[Any] = [
        {
            "Destination": {"ToAddresses": [f"n{number}@dest.test"]},
            "ReplacementEmailContent": {
                "ReplacementTemplate": {"ReplacementTemplateData": json.dumps({"name": f"N{number}"})}
            },
            "ReplacementTags": [{"Name": "n", "Value": str(number)}],
            "ReplacementHeaders": [{"Name": "x-metadata", "Value": f"m{number}"}],
        }
        for number in range(50)
    ]
    entries[7]["Destination"] = {"ToAddresses": ["nobody"]}
    content = {
        "TemplateName": "Hello",
        "TemplateData": json.dumps(default),
        "Headers": [{"Name": "X-Metadata", "Value": "none"}, {"Name": "X-All", "Value": "1"}],
    }
    bulk: dict[str, Any] = {
        "FromEmailAddress": SENDER,
        "DefaultContent": {"Template": content},
        "DefaultEmailTags": [{"Name": "category", "Value": "news"}, {"Name": "n", "Value": "none"}],
    }
    answer = await in_thread(v2.send_bulk_email, BulkEmailEntries=entries, **bulk)
    results = answer["BulkEmailEntryResults"]
    assert [each["Status"] for each in results] == [
        "INVALID_PARAMETER" if number == 7 else "SUCCESS" for number in range(50)
    ]
    assert (results[7]["Error"], "MessageId" in results[7]) == ("Missing final '@domain'", False)
    got = {str(each["To"]): each for each in await arrived(cloud, 49)}
    third = got["n3@dest.test"]
    assert (text(third), third["Subject"]) == ("N3 of Bern", "Hi N3")
    assert (third.get_all("X-Metadata"), third["X-All"]) == (["m3"], "1")
    assert str(third["Message-ID"]).startswith(f"<{results[3]['MessageId']}@")
    logged = await log_of(cloud, "n3@dest.test")
    assert (logged["category"], logged["custom_variables"]) == ("news", {"category": "news", "n": "3"})

    destinations: list[Any] = [
        {"Destination": {"ToAddresses": ["b@dest.test"]}, "ReplacementTemplateData": '{"shop": {"city": "Chur"}}'},
        {"Destination": {"ToAddresses": ["c@dest.test"]}},
        {"Destination": {"ToAddresses": ["d@dest.test"]}, "ReplacementTemplateData": '{"shop": 1}'},
        {"Destination": {"ToAddresses": ["e@dest.test"]}, "ReplacementTemplateData": "{"},
        {"Destination": {"ToAddresses": ["bad@"]}},
    ]
    older: dict[str, Any] = {"Source": SENDER, "Template": "Hello", "DefaultTemplateData": json.dumps(default)}
    answer = await in_thread(v1.send_bulk_templated_email, Destinations=destinations, **older)
    assert [each["Status"] for each in answer["Status"]] == ["Success"] * 3 + ["InvalidParameterValue"] * 2
    got = {str(each["To"]): text(each) for each in await arrived(cloud, 51)}
    assert (got["b@dest.test"], got["c@dest.test"]) == ("you of Chur", "you of Bern")
    lost = await log_of(cloud, "d@dest.test")  # nothing of what is no object is left to find a city in
    assert lost["status"] == "not_delivered"

    none = await in_thread(v1.send_bulk_templated_email, Destinations=destinations[3:], **older)
    assert none["ResponseMetadata"]["HTTPStatusCode"] == 200
    assert {each["Status"] for each in none["Status"]} == {"InvalidParameterValue"}
    with pytest.raises(v2.exceptions.BadRequestException, match="Invalid email address<nobody>"):
        await in_thread(v2.send_bulk_email, BulkEmailEntries=entries, **bulk | {"FromEmailAddress": "nobody"})
    with pytest.raises(v1.exceptions.MessageRejected, match="Email address is not verified"):
        await in_thread(v1.send_bulk_templated_email, Destinations=destinations, **older | {"Source": "a@other.test"})
    with pytest.raises(v1.exceptions.TemplateDoesNotExistException):
        await in_thread(v1.send_bulk_templated_email, Destinations=destinations, **older | {"Template": "none"})
    with pytest.raises(v2.exceptions.BadRequestException, match="1 to 50 destinations, this one has 51"):
        await in_thread(v2.send_bulk_email, BulkEmailEntries=[*entries, entries[0]], **bulk)
    assert len(cloud.mx.transactions) == 51


async def test_lists_come_in_pages_and_bad_templates_are_refused(cloud: Amazon) -> None:
    v1, v2 = cloud.client("ses"), cloud.client("sesv2")
    for number in range(12):
        await in_thread(v2.create_email_template, TemplateName=f"t{number:02}", TemplateContent=HELLO)
    first = await in_thread(v1.list_templates)
    assert [each["Name"] for each in first["TemplatesMetadata"]] == [f"t{number:02}" for number in range(11, 1, -1)]
    rest = await in_thread(v2.list_email_templates, NextToken=first["NextToken"])
    assert [each["TemplateName"] for each in rest["TemplatesMetadata"]] == ["t01", "t00"]
    assert "NextToken" not in rest
    whole = await in_thread(lambda: list(v1.get_paginator("list_templates").paginate()))
    assert [len(page["TemplatesMetadata"]) for page in whole] == [10, 2]
    assert len((await in_thread(v1.list_templates, MaxItems=0))["TemplatesMetadata"]) == 12
    for params, problem in (
        ({"PageSize": 101}, "The page size must be between 1 and 100"),
        ({"NextToken": "x"}, "Invalid PageToken <x>"),
        ({"NextToken": "%%%"}, "Invalid PageToken <%%%>"),
    ):
        with pytest.raises(v2.exceptions.BadRequestException, match=problem):
            await in_thread(v2.list_email_templates, **params)

    for part, problem in (
        ({"SubjectPart": "{{#if x}}"}, "no valid Handlebars: Subject, line 1"),
        ({"HtmlPart": "x" * (500 * 1024 + 1)}, "more than 512000 bytes"),
        ({}, "must have a subject, a text or an HTML part"),
    ):
        with pytest.raises(v1.exceptions.InvalidTemplateException, match=problem):
            await in_thread(v1.create_template, Template={"TemplateName": "bad", **part})
    with pytest.raises(v2.exceptions.BadRequestException, match="template name"):
        await in_thread(v2.create_email_template, TemplateName=" bad", TemplateContent=HELLO)
    with pytest.raises(v1.exceptions.InvalidTemplateException):
        await in_thread(v1.update_template, Template={"TemplateName": "t00", "TextPart": "{{/x}}"})

    await _verification_templates(v1, v2)


async def _verification_templates(v1: Any, v2: Any) -> None:
    """They are kept, and nothing is sent from them."""
    template: dict[str, Any] = {
        "TemplateName": "Verify",
        "FromEmailAddress": SENDER,
        "TemplateSubject": "Please",
        "TemplateContent": "<p>Click</p>",
        "SuccessRedirectionURL": "https://shop.test/yes",
        "FailureRedirectionURL": "https://shop.test/no",
    }
    tags = [{"Key": "team", "Value": "mail"}]
    await in_thread(v2.create_custom_verification_email_template, **template, Tags=tags)
    found = await in_thread(v2.get_custom_verification_email_template, TemplateName="Verify")
    assert {name: found[name] for name in template} == template and found["Tags"] == tags
    with pytest.raises(v1.exceptions.CustomVerificationEmailTemplateAlreadyExistsException):
        await in_thread(v1.create_custom_verification_email_template, **template)
    with pytest.raises(v1.exceptions.FromEmailAddressNotVerifiedException):
        changed = template | {"TemplateName": "Other", "FromEmailAddress": "a@other.test"}
        await in_thread(v1.create_custom_verification_email_template, **changed)
    await in_thread(v1.update_custom_verification_email_template, TemplateName="Verify", TemplateSubject="Now")
    listed = await in_thread(v2.list_custom_verification_email_templates)
    (shown,) = listed["CustomVerificationEmailTemplates"]
    assert (shown["TemplateSubject"], "TemplateContent" in shown) == ("Now", False)
    with pytest.raises(v1.exceptions.ClientError, match="no links to verify one are sent"):
        await in_thread(v1.send_custom_verification_email, EmailAddress="a@dest.test", TemplateName="Verify")
    await in_thread(v2.delete_custom_verification_email_template, TemplateName="Verify")
    with pytest.raises(v2.exceptions.NotFoundException, match="<Verify> does not exist"):
        await in_thread(v2.delete_custom_verification_email_template, TemplateName="Verify")
    await in_thread(v1.delete_custom_verification_email_template, TemplateName="Verify")
