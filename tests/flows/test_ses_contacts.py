"""A contact list with topics by boto3: what a reader says by one click holds, and Mailtrap's side knows the contacts too."""

import email
import email.policy
import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.amazon import ON_SQLITE, SENDER, Amazon, amazon, in_thread
from tests.flows.test_tracking import URL, check_signatures, visit

pytestmark = ON_SQLITE

LIST = "Readers"
TOPICS = [
    {"TopicName": "Sports", "DisplayName": "Sports <b>", "DefaultSubscriptionStatus": "OPT_IN"},
    {
        "TopicName": "Cycling",
        "DisplayName": "Cycling",
        "Description": "On two wheels",
        "DefaultSubscriptionStatus": "OPT_OUT",
    },
]
HTML = '<p>Hi</p><a href="{{amazonSESUnsubscribeUrl}}">Leave</a>'
TEXT = "Leave: {{amazonSESUnsubscribeUrl}}\nand {{amazonSESUnsubscribeUrl}}\n"


@pytest.fixture
async def cloud(tmp_path: Path, database_url: str) -> Any:
    async with amazon(tmp_path, database_url, tracking__url=URL) as found:
        await call(found, "create_contact_list", Description="All of them", Topics=TOPICS)
        yield found


async def call(cloud: Amazon, operation: str, *, name: str = LIST, **params: Any) -> Any:
    return await in_thread(getattr(cloud.client("sesv2"), operation), ContactListName=name, **params)


async def send(cloud: Amazon, *to: str, topic: str = "Sports", content: Any = None, **params: Any) -> str:
    body = {"Text": {"Data": TEXT}, "Html": {"Data": HTML}}
    headers = [{"Name": "List-Unsubscribe", "Value": "<https://mine.test/leave>"}]
    options = {"ContactListName": LIST, **({"TopicName": topic} if topic else {})}
    answer = await in_thread(
        cloud.client("sesv2").send_email,
        FromEmailAddress=SENDER,
        Destination={"ToAddresses": list(to)},
        Content=content or {"Simple": {"Subject": {"Data": "Hi"}, "Body": body, "Headers": headers}},
        **{"ListManagementOptions": options} | params,
    )
    return str(answer["MessageId"])


async def arrived(cloud: Amazon, count: int) -> Any:
    content = (await cloud.mx.received(count))[-1].content
    check_signatures(content, cloud.dns)
    return email.message_from_bytes(content, policy=email.policy.default)


async def preferences(cloud: Amazon, address: str) -> tuple[dict[str, str], bool]:
    found = await call(cloud, "get_contact", EmailAddress=address)
    return {each["TopicName"]: each["SubscriptionStatus"] for each in found["TopicPreferences"]}, found[
        "UnsubscribeAll"
    ]


async def test_20_one_click_unsubscribes_from_the_topic_and_opening_its_link_from_nothing(cloud: Amazon) -> None:
    first = await send(cloud, "ann@dest.test")
    message = await arrived(cloud, 1)
    # Nobody had to be added before.
    assert await preferences(cloud, "ann@dest.test") == ({}, False)
    link = re.fullmatch(rf"<({re.escape(URL)}/t/l/[\w-]+)>", message["List-Unsubscribe"])
    assert link and message["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert len(message.get_all("List-Unsubscribe")) == 1
    text, html = (message.get_body((kind,)).get_content() for kind in ("plain", "html"))
    # The first two placeholders of the message became links, in its order.
    assert (text + html).count(link[1]) == 2
    assert (text + html).count("{{amazonSESUnsubscribeUrl}}") == 1

    page = await in_thread(visit, cloud.server, link[1])
    assert page.status == 200
    assert b"Sports &lt;b&gt;" in page.body
    assert await preferences(cloud, "ann@dest.test") == ({}, False), "link scanners open it too"
    await in_thread(
        visit,
        cloud.server,
        link[1],
        method="POST",
        body=b"List-Unsubscribe=One-Click",
        Content_Type="application/x-www-form-urlencoded",
    )
    assert await preferences(cloud, "ann@dest.test") == ({"Sports": "OPT_OUT"}, False)
    log = await cloud.log(first)
    assert log["events"][-1]["event_type"] == "unsubscribe"

    # The topic's mail stops, other recipients of it do not lose theirs, and what is no topic's goes on.
    stopped = await send(cloud, "ann@dest.test")
    await send(cloud, "ann@dest.test", "bob@dest.test")
    message = await arrived(cloud, 2)
    assert [each.recipients for each in cloud.mx.transactions][1:] == [("bob@dest.test",)]
    assert message["List-Unsubscribe"] == "<https://mine.test/leave>", "a link would be anybody's of two recipients"
    assert (await cloud.log(stopped))["status"] == "not_delivered"
    await send(cloud, "ann@dest.test", topic="")
    await arrived(cloud, 3)

    # By the page she comes back, and leaves it all.
    form = {"Content_Type": "application/x-www-form-urlencoded"}
    page = await in_thread(visit, cloud.server, link[1])
    (sports,) = re.findall(rb'value="(\d+)"><span>Sports', page.body)
    await in_thread(visit, cloud.server, link[1], method="POST", body=b"action=choose&want=" + sports, **form)
    assert await preferences(cloud, "ann@dest.test") == ({"Sports": "OPT_IN", "Cycling": "OPT_OUT"}, False)
    await in_thread(visit, cloud.server, link[1], method="POST", body=b"action=unsubscribe_all", **form)
    assert (await preferences(cloud, "ann@dest.test"))[1] is True
    await send(cloud, "ann@dest.test", topic="")
    await send(cloud, "bob@dest.test", topic="")
    await arrived(cloud, 4)
    assert cloud.mx.transactions[-1].recipients == ("bob@dest.test",)


async def test_a_default_of_opting_out_and_the_header_of_a_raw_message_count(cloud: Amazon) -> None:
    def raw(topic: str) -> Any:
        options = f"X-SES-LIST-MANAGEMENT-OPTIONS: {LIST}; topic={topic}\n" if topic else ""
        return {"Raw": {"Data": f"From: {SENDER}\nTo: eve@dest.test\n{options}Subject: Raw\n\n{TEXT}".encode()}}

    nothing = {"ListManagementOptions": {"ContactListName": LIST}}
    v2 = cloud.client("sesv2")
    plain = {"FromEmailAddress": SENDER, "Destination": {"ToAddresses": ["eve@dest.test"]}}
    await in_thread(v2.send_email, Content=raw("Cycling"), **plain)
    await in_thread(v2.send_email, Content=raw("Sports"), **plain)
    message = await arrived(cloud, 1)
    assert message["List-Unsubscribe"].startswith(f"<{URL}/t/l/")
    assert message["X-SES-LIST-MANAGEMENT-OPTIONS"] is None
    assert "{{" not in message.get_body(("plain",)).get_content()
    # What the call says wins over the message.
    await send(cloud, "eve@dest.test", content=raw("Cycling"), **nothing)
    await arrived(cloud, 2)
    await call(
        cloud,
        "update_contact",
        EmailAddress="eve@dest.test",
        TopicPreferences=[{"TopicName": "Cycling", "SubscriptionStatus": "OPT_IN"}],
    )
    await in_thread(v2.send_email, Content=raw("Cycling"), **plain)
    await arrived(cloud, 3)
    with pytest.raises(v2.exceptions.NotFoundException, match=r"List with name: Nobody doesn't exist\."):
        await send(cloud, "eve@dest.test", ListManagementOptions={"ContactListName": "Nobody"})
    with pytest.raises(v2.exceptions.BadRequestException, match="List: Readers doesn't contain Topic: Chess"):
        await send(cloud, "eve@dest.test", topic="Chess")


async def test_a_template_goes_to_those_who_want_it(cloud: Amazon) -> None:
    no = [{"TopicName": "Sports", "SubscriptionStatus": "OPT_OUT"}]
    await call(cloud, "create_contact", EmailAddress="ann@dest.test", TopicPreferences=no)
    texts = {"Subject": "Hi {{name}}", "Html": HTML, "Text": "Leave: {{amazonSESUnsubscribeUrl}}\n"}
    content = {"Template": {"TemplateContent": texts, "TemplateData": '{"name": "you"}'}}
    await send(cloud, "ann@dest.test", content=content)
    await send(cloud, "bob@dest.test", content=content)
    message = await arrived(cloud, 1)
    assert cloud.mx.transactions[-1].recipients == ("bob@dest.test",)
    link = message["List-Unsubscribe"].strip("<>")
    assert link.startswith(f"{URL}/t/l/")
    assert link in message.get_body(("html",)).get_content()
    assert link in message.get_body(("plain",)).get_content()


async def test_contacts_are_kept_as_amazon_keeps_them(cloud: Amazon) -> None:
    v2 = cloud.client("sesv2")
    said = [{"TopicName": "Sports", "SubscriptionStatus": "OPT_IN"}]
    await call(cloud, "create_contact", EmailAddress="Ann@dest.test", TopicPreferences=said, AttributesData='{"n": 1}')
    with pytest.raises(v2.exceptions.AlreadyExistsException, match=r"Ann@dest\.test already exists in List\."):
        await call(cloud, "create_contact", EmailAddress="Ann@dest.test")
    found = await call(cloud, "get_contact", EmailAddress="Ann@dest.test")
    assert found["TopicPreferences"] == said
    assert found["TopicDefaultPreferences"] == [{"TopicName": "Cycling", "SubscriptionStatus": "OPT_OUT"}]
    assert (found["AttributesData"], found["UnsubscribeAll"]) == ('{"n": 1}', False)
    # Preferences are merged by topic, and the other members are set anew.
    other = [{"TopicName": "Cycling", "SubscriptionStatus": "OPT_OUT"}]
    await call(cloud, "update_contact", EmailAddress="Ann@dest.test", TopicPreferences=other, UnsubscribeAll=True)
    found = await call(cloud, "get_contact", EmailAddress="Ann@dest.test")
    assert found["TopicPreferences"] == [*said, *other]
    assert "AttributesData" not in found
    assert found["UnsubscribeAll"] is True
    await call(cloud, "update_contact", EmailAddress="Ann@dest.test")
    assert await preferences(cloud, "Ann@dest.test") == ({"Sports": "OPT_IN", "Cycling": "OPT_OUT"}, False)

    await call(cloud, "create_contact", EmailAddress="bob@dest.test", UnsubscribeAll=True)
    await call(cloud, "create_contact", EmailAddress="eve@dest.test")

    async def listed(status: str, **topic: Any) -> list[str]:
        names, token = [], {}
        while True:
            chosen = {"FilteredStatus": status, **({"TopicFilter": topic} if topic else {})}
            page = await call(cloud, "list_contacts", Filter=chosen, PageSize=1, **token)
            names += [each["EmailAddress"].partition("@")[0] for each in page["Contacts"]]
            assert not any("AttributesData" in each for each in page["Contacts"])
            if "NextToken" not in page:
                return names
            token = {"NextToken": page["NextToken"]}

    assert await listed("OPT_OUT") == ["bob"]
    assert await listed("OPT_IN") == ["Ann", "eve"]
    assert await listed("OPT_IN", TopicName="Sports") == ["Ann"]
    assert await listed("OPT_IN", TopicName="Sports", UseDefaultIfPreferenceUnavailable=True) == ["Ann", "bob", "eve"]
    assert await listed("OPT_OUT", TopicName="Cycling", UseDefaultIfPreferenceUnavailable=True) == ["Ann", "bob", "eve"]
    await call(cloud, "delete_contact", EmailAddress="eve@dest.test")
    for operation in ("get_contact", "update_contact", "delete_contact"):
        with pytest.raises(v2.exceptions.NotFoundException, match=r"eve@dest\.test doesn't exist in List\."):
            await call(cloud, operation, EmailAddress="eve@dest.test")


async def test_the_list_is_one_and_its_topics_are_replaced(cloud: Amazon) -> None:
    v2 = cloud.client("sesv2")
    with pytest.raises(v2.exceptions.BadRequestException, match=r"A maximum of 1 Lists allowed per account\."):
        await call(cloud, "create_contact_list", name="Others")
    with pytest.raises(v2.exceptions.BadRequestException, match="Duplicate topic names are not allowed within a List"):
        await call(cloud, "update_contact_list", Topics=[TOPICS[0]] * 2)
    many = [{**TOPICS[0], "TopicName": f"T{number}"} for number in range(21)]
    with pytest.raises(v2.exceptions.BadRequestException, match="Maximum of <20> topics allowed per ContactList"):
        await call(cloud, "update_contact_list", Topics=many)
    said = [{"TopicName": each["TopicName"], "SubscriptionStatus": "OPT_OUT"} for each in TOPICS]
    await call(cloud, "create_contact", EmailAddress="ann@dest.test", TopicPreferences=said)
    new = {"TopicName": LIST, "DisplayName": "Called like the list", "DefaultSubscriptionStatus": "OPT_IN"}
    await call(cloud, "update_contact_list", Topics=[TOPICS[1], new])
    found = await call(cloud, "get_contact_list")
    assert (found["Description"], found["Topics"]) == ("All of them", [TOPICS[1], new])
    assert await preferences(cloud, "ann@dest.test") == ({"Cycling": "OPT_OUT"}, False)
    (listed,) = (await in_thread(v2.list_contact_lists))["ContactLists"]
    assert listed["ContactListName"] == LIST
    await call(cloud, "delete_contact_list")
    with pytest.raises(v2.exceptions.NotFoundException, match=r"List with name: Readers doesn't exist\."):
        await call(cloud, "get_contact_list")
    assert not (await in_thread(v2.list_contact_lists))["ContactLists"]
    # Made again, it is empty.
    tags = [{"Key": "team", "Value": "news"}]
    await call(cloud, "create_contact_list", Topics=TOPICS, Tags=tags)
    assert (await call(cloud, "get_contact_list"))["Tags"] == tags
    arn = f"arn:aws:ses:us-east-1:000000000001:contact-list/{LIST}"
    assert (await in_thread(v2.list_tags_for_resource, ResourceArn=arn))["Tags"] == tags
    assert not (await call(cloud, "list_contacts"))["Contacts"]
    await call(cloud, "create_contact", EmailAddress="ann@dest.test")
    assert await preferences(cloud, "ann@dest.test") == ({}, False)


async def test_mailtrap_s_side_has_the_same_contacts(cloud: Amazon) -> None:
    async def ask(method: str, path: str, body: Any = None) -> Any:
        token, octets = cloud.server.credentials["api_token"], None if body is None else json.dumps(body).encode()
        status, answer = await in_thread(cloud.server.request, method, f"/api/accounts/1/contacts{path}", token, octets)
        assert status in (200, 201), answer
        return answer

    lists = {each["name"]: each["id"] for each in await ask("GET", "/lists")}
    assert set(lists) == {LIST, "Sports", "Cycling"}
    said = [{"TopicName": "Cycling", "SubscriptionStatus": "OPT_IN"}]
    await call(cloud, "create_contact", EmailAddress="ann@dest.test", TopicPreferences=said, UnsubscribeAll=True)
    shown = (await ask("GET", "/ann@dest.test"))["data"]
    assert set(shown["list_ids"]) == {lists[LIST], lists["Cycling"]}
    assert shown["status"] == "unsubscribed"

    await ask("PATCH", "/ann@dest.test", {"contact": {"unsubscribed": False, "list_ids_included": [lists["Sports"]]}})
    assert await preferences(cloud, "ann@dest.test") == ({"Sports": "OPT_IN", "Cycling": "OPT_IN"}, False)
    # Who said no is not asked back in by being added to the list.
    no = [{"TopicName": "Sports", "SubscriptionStatus": "OPT_OUT"}]
    await call(cloud, "update_contact", EmailAddress="ann@dest.test", TopicPreferences=no)
    await ask("PATCH", "/ann@dest.test", {"contact": {"list_ids_included": [lists["Sports"]]}})
    assert await preferences(cloud, "ann@dest.test") == ({"Sports": "OPT_OUT", "Cycling": "OPT_IN"}, False)
    # A topic whose list was deleted there has one again with the next change.
    token = cloud.server.credentials["api_token"]
    await in_thread(cloud.server.request, "DELETE", f"/api/accounts/1/contacts/lists/{lists['Sports']}", token)
    yes = [{"TopicName": "Sports", "SubscriptionStatus": "OPT_IN"}]
    await call(cloud, "update_contact", EmailAddress="ann@dest.test", TopicPreferences=yes)
    assert await preferences(cloud, "ann@dest.test") == ({"Sports": "OPT_IN", "Cycling": "OPT_IN"}, False)
