"""By boto3 from a call to the recipient's host, in both versions of SES, and into the one log."""

import email
import email.policy
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.amazon import SENDER, Amazon, amazon, in_thread
from tests.flows.test_tracking import check_signatures

BODY = {"Text": {"Data": "It works.\n"}, "Html": {"Data": "<p>It works.</p>"}}


@pytest.fixture
async def cloud(tmp_path: Path, database_url: str) -> Any:
    async with amazon(tmp_path, database_url) as found:
        yield found


async def sent(cloud: Amazon, service: str, operation: str, **params: Any) -> tuple[str, Any, bytes]:
    """The id that was told, the message as it arrived, and its octets."""
    count = len(cloud.mx.transactions)
    answer = await in_thread(getattr(cloud.client(service), operation), **params)
    content = (await cloud.mx.received(count + 1))[-1].content
    message = email.message_from_bytes(content, policy=email.policy.default)
    assert str(message["Message-ID"]).startswith(f"<{answer['MessageId']}@")
    check_signatures(content, cloud.dns)
    return answer["MessageId"], message, content


async def test_every_way_of_sending_arrives_signed_and_stands_in_the_log(cloud: Amazon) -> None:
    to = {"ToAddresses": ["Ann <a@dest.test>"], "CcAddresses": []}
    simple = {"Subject": {"Data": "Grüße", "Charset": "UTF-8"}, "Body": BODY}
    raw = (
        f"From: {SENDER}\nTo: a@dest.test\nBcc: b@dest.test\nDate: Thu, 1 Jan 2026 00:00:00 +0000\n"
        "Message-ID: <mine@app.test>\nX-SES-MESSAGE-TAGS: category=shop, order=7\nSubject: Raw\n\nIt works.\n"
    ).encode()

    first, message, _ = await sent(cloud, "ses", "send_email", Source=f"App <{SENDER}>", Destination=to, Message=simple)
    assert (message["Subject"], message["From"], message["To"]) == ("Grüße", f"App <{SENDER}>", "Ann <a@dest.test>")

    second, message, content = await sent(
        cloud, "ses", "send_raw_email", Destinations=["a@dest.test"], RawMessage={"Data": raw}
    )
    assert message["Date"] != "Thu, 1 Jan 2026 00:00:00 +0000"
    assert b"mine@app.test" not in content
    assert not {"bcc", "x-ses-message-tags"} & {name.lower() for name in message}

    tagged = [{"Name": "category", "Value": "news"}, {"Name": "order", "Value": "8"}]
    third, message, _ = await sent(
        cloud,
        "sesv2",
        "send_email",
        FromEmailAddress=SENDER,
        Destination=to,
        Content={"Simple": simple},
        EmailTags=tagged,
    )
    assert message.get_body(("html",)).get_content() == "<p>It works.</p>"

    fourth, message, _ = await sent(cloud, "sesv2", "send_email", Destination=to, Content={"Raw": {"Data": raw}})
    assert message["Subject"] == "Raw"

    assert len({first, second, third, fourth}) == 4
    assert ((await cloud.log(second))["category"], (await cloud.log(third))["category"]) == ("shop", "news")
    assert (await cloud.log(third))["custom_variables"] == {"category": "news", "order": "8"}
    assert (await cloud.log(fourth))["status"] == "delivered"


async def test_a_subdomain_of_a_verified_domain_may_send(cloud: Amazon) -> None:
    """The most specific verified identity counts (SES developer guide, "verify-domains")."""
    to = {"ToAddresses": ["a@dest.test"]}
    simple = {"Subject": {"Data": "Hi"}, "Body": BODY}
    sender = SENDER.replace("@", "@deep.down.")
    _, message, _ = await sent(
        cloud, "sesv2", "send_email", FromEmailAddress=sender, Destination=to, Content={"Simple": simple}
    )
    assert message["From"] == sender


async def test_refusals_parse_to_their_classes(cloud: Amazon) -> None:
    v1, v2 = cloud.client("ses", region="eu-west-1"), cloud.client("sesv2")
    message = {"Subject": {"Data": "Hi"}, "Body": BODY}
    to = {"ToAddresses": ["a@dest.test"]}
    with pytest.raises(v1.exceptions.MessageRejected, match=r"region EU-WEST-1: N <n@other\.test>, n@other\.test"):
        await in_thread(v1.send_email, Source="N <n@other.test>", Destination=to, Message=message)
    with pytest.raises(v2.exceptions.MessageRejected, match="Email address is not verified"):
        await in_thread(v2.send_email, FromEmailAddress="n@other.test", Destination=to, Content={"Simple": message})
    with pytest.raises(
        v2.exceptions.MessageRejected, match=r"region US-EAST-1: a@dest\.test \(the demo domain writes to"
    ):
        demo = "hello@demo.mailferry.test"
        await in_thread(v2.send_email, FromEmailAddress=demo, Destination=to, Content={"Simple": message})
    with pytest.raises(v2.exceptions.BadRequestException, match="Missing final '@domain'"):
        await in_thread(
            v2.send_email, FromEmailAddress=SENDER, Destination={"ToAddresses": ["nobody"]}, Content={"Simple": message}
        )
    with pytest.raises(v1.exceptions.ConfigurationSetDoesNotExistException) as caught:
        await in_thread(v1.send_email, Source=SENDER, Destination=to, Message=message, ConfigurationSetName="none")
    assert caught.value.response["Error"]["ConfigurationSetName"] == "none"
    with pytest.raises(ClientError, match="SignatureDoesNotMatch"):
        await in_thread(cloud.client("ses", aws_secret_access_key="x" * 40).get_send_quota)
    with pytest.raises(ClientError, match="UnrecognizedClientException"):
        await in_thread(cloud.client("sesv2", aws_access_key_id="MFAKNOBODY").get_account)


async def test_sending_is_switched_off_and_on_by_either_version(cloud: Amazon) -> None:
    v1, v2 = cloud.client("ses"), cloud.client("sesv2")
    message = {"Subject": {"Data": "Hi"}, "Body": BODY}
    to = {"ToAddresses": ["a@dest.test"]}
    await in_thread(v1.update_account_sending_enabled, Enabled=False)
    assert (await in_thread(v2.get_account))["SendingEnabled"] is False
    with pytest.raises(v2.exceptions.SendingPausedException):
        await in_thread(v2.send_email, FromEmailAddress=SENDER, Destination=to, Content={"Simple": message})
    await in_thread(v2.put_account_sending_attributes, SendingEnabled=True)
    assert (await in_thread(v1.get_account_sending_enabled))["Enabled"] is True
    await in_thread(v1.send_email, Source=SENDER, Destination=to, Message=message)


async def test_the_prefix_and_a_presigned_get_work_too(cloud: Amazon) -> None:
    below = f"http://127.0.0.1:{cloud.server.http}/ses"
    assert (await in_thread(cloud.client("sesv2", endpoint_url=below).get_account))["SendingEnabled"]
    assert (await in_thread(cloud.client("ses", endpoint_url=below).get_send_quota))["MaxSendRate"] > 0
    who = await in_thread(cloud.client("sts").get_caller_identity)
    assert who["Account"] == "000000000001"
