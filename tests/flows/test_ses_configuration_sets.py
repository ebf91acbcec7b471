"""Configuration sets and event destinations by boto3: v1 and v2 are two views of one state."""

import asyncio
import re
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.amazon import ON_SQLITE, SENDER, Amazon, amazon, in_thread
from tests.fakes.receiver import Receiver
from tests.flows.test_ses_events import SIMPLE, Listener, send, with_set
from tests.flows.test_tracking import html_of, visit
from tests.server import DOMAIN

pytestmark = ON_SQLITE

LINKS, OTHER_LINKS, OWN_LINKS, RETURN_PATH = (f"{label}.{DOMAIN}" for label in ("links", "other", "own", "bounces"))
ARCHIVE = f"arn:aws:ses:us-east-1:000000000001:mailmanager-archive/a-{'x' * 24}"


@pytest.fixture
async def cloud(tmp_path: Path, database_url: str) -> AsyncIterator[Amazon]:
    async with amazon(tmp_path, database_url, tracking__custom_hosts="http") as found:
        yield found


def refused(call: Any, **params: Any) -> tuple[str, str]:
    with pytest.raises(ClientError) as caught:
        call(**params)
    return caught.value.response["Error"]["Code"], caught.value.response["Error"]["Message"]


def without(answer: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in answer.items() if name != "ResponseMetadata"}


def both_versions(cloud: Amazon) -> None:
    v1, v2, sns = cloud.client("ses"), cloud.client("sesv2"), cloud.client("sns")
    v2.create_configuration_set(
        ConfigurationSetName="shop",
        DeliveryOptions={"TlsPolicy": "REQUIRE", "SendingPoolName": "bulk"},
        SuppressionOptions={"SuppressedReasons": []},
        Tags=[{"Key": "team", "Value": "web"}],
    )
    assert refused(v2.create_configuration_set, ConfigurationSetName="shop") == (
        "AlreadyExistsException",
        "Configuration set <shop> already exists.",
    )
    assert refused(v1.create_configuration_set, ConfigurationSet={"Name": "shop"})[0] == "ConfigurationSetAlreadyExists"
    v1.put_configuration_set_delivery_options(ConfigurationSetName="shop", DeliveryOptions={"TlsPolicy": "Optional"})
    v1.update_configuration_set_sending_enabled(ConfigurationSetName="shop", Enabled=False)
    v1.update_configuration_set_reputation_metrics_enabled(ConfigurationSetName="shop", Enabled=True)
    v1.create_configuration_set_tracking_options(
        ConfigurationSetName="shop", TrackingOptions={"CustomRedirectDomain": LINKS}
    )
    assert refused(
        v1.create_configuration_set_tracking_options,
        ConfigurationSetName="shop",
        TrackingOptions={"CustomRedirectDomain": OTHER_LINKS},
    )[0] == ("TrackingOptionsAlreadyExistsException")
    assert refused(
        v1.update_configuration_set_tracking_options,
        ConfigurationSetName="shop",
        TrackingOptions={"CustomRedirectDomain": "links.other.example"},
    ) == ("InvalidTrackingOptions", "Domain <links.other.example> is not verified under this account.")
    assert without(v2.get_configuration_set(ConfigurationSetName="shop")) == {
        "ConfigurationSetName": "shop",
        "DeliveryOptions": {"TlsPolicy": "OPTIONAL", "SendingPoolName": "bulk"},
        "ReputationOptions": {"ReputationMetricsEnabled": True},
        "SendingOptions": {"SendingEnabled": False},
        "SuppressionOptions": {"SuppressedReasons": []},
        "TrackingOptions": {"CustomRedirectDomain": LINKS},
        "Tags": [{"Key": "team", "Value": "web"}],
    }
    v2.put_configuration_set_sending_options(ConfigurationSetName="shop")
    assert v2.get_configuration_set(ConfigurationSetName="shop")["SendingOptions"] == {"SendingEnabled": False}
    v2.put_configuration_set_sending_options(ConfigurationSetName="shop", SendingEnabled=True)
    v1.delete_configuration_set_tracking_options(ConfigurationSetName="shop")
    assert refused(v1.delete_configuration_set_tracking_options, ConfigurationSetName="shop")[0] == (
        "TrackingOptionsDoesNotExistException"
    )
    v2.put_configuration_set_vdm_options(
        ConfigurationSetName="shop", VdmOptions={"DashboardOptions": {"EngagementMetrics": "ENABLED"}}
    )
    v2.put_configuration_set_archiving_options(ConfigurationSetName="shop", ArchiveArn=ARCHIVE)
    v2.put_configuration_set_suppression_options(ConfigurationSetName="shop", SuppressedReasons=["BOUNCE"])
    v2.put_configuration_set_tracking_options(ConfigurationSetName="shop", CustomRedirectDomain=OTHER_LINKS)
    v2.put_configuration_set_reputation_options(ConfigurationSetName="shop", ReputationMetricsEnabled=False)
    v2.put_configuration_set_delivery_options(ConfigurationSetName="shop", TlsPolicy="REQUIRE")
    found = v2.get_configuration_set(ConfigurationSetName="shop")
    assert found["SuppressionOptions"] == {"SuppressedReasons": ["BOUNCE"]}
    assert found["VdmOptions"] == {"DashboardOptions": {"EngagementMetrics": "ENABLED"}}
    assert found["ArchivingOptions"] == {"ArchiveArn": ARCHIVE}

    topic = sns.create_topic(Name="mail")["TopicArn"]
    destination = {"Enabled": True, "MatchingEventTypes": ["renderingFailure", "bounce"]}
    assert refused(
        v1.create_configuration_set_event_destination,
        ConfigurationSetName="shop",
        EventDestination={"Name": "topic", **destination, "SNSDestination": {"TopicARN": topic + "x"}},
    ) == ("InvalidSNSDestination", f"SNS topic <{topic}x> not found.")
    v1.create_configuration_set_event_destination(
        ConfigurationSetName="shop",
        EventDestination={"Name": "topic", **destination, "SNSDestination": {"TopicARN": topic}},
    )
    v2.create_configuration_set_event_destination(
        ConfigurationSetName="shop",
        EventDestinationName="metrics",
        EventDestination={
            "MatchingEventTypes": ["SEND", "DELIVERY_DELAY"],
            "CloudWatchDestination": {
                "DimensionConfigurations": [
                    {
                        "DimensionName": "team",
                        "DimensionValueSource": "MESSAGE_TAG",
                        "DefaultDimensionValue": "none",
                    }
                ]
            },
        },
    )
    assert refused(
        v2.create_configuration_set_event_destination,
        ConfigurationSetName="shop",
        EventDestinationName="none",
        EventDestination={"MatchingEventTypes": ["SEND"]},
    )[0] == ("BadRequestException")
    first, second = v2.get_configuration_set_event_destinations(ConfigurationSetName="shop")["EventDestinations"]
    assert first == {
        "Name": "topic",
        "Enabled": True,
        "MatchingEventTypes": ["RENDERING_FAILURE", "BOUNCE"],
        "SnsDestination": {"TopicArn": topic},
    }
    assert second["Enabled"] is False
    described = v1.describe_configuration_set(
        ConfigurationSetName="shop",
        ConfigurationSetAttributeNames=["eventDestinations", "trackingOptions", "deliveryOptions", "reputationOptions"],
    )
    assert described["EventDestinations"][0]["SNSDestination"] == {"TopicARN": topic}
    assert described["EventDestinations"][1]["MatchingEventTypes"] == ["send"]
    (dimension,) = described["EventDestinations"][1]["CloudWatchDestination"]["DimensionConfigurations"]
    assert dimension["DimensionValueSource"] == "messageTag"
    assert described["DeliveryOptions"] == {"TlsPolicy": "Require"}
    assert described["TrackingOptions"] == {"CustomRedirectDomain": OTHER_LINKS}
    assert described["ReputationOptions"] == {"SendingEnabled": True, "ReputationMetricsEnabled": False}
    v2.update_configuration_set_event_destination(
        ConfigurationSetName="shop",
        EventDestinationName="metrics",
        EventDestination={
            "Enabled": True,
            "MatchingEventTypes": ["OPEN"],
            "EventBridgeDestination": {"EventBusArn": "arn:aws:events:us-east-1:000000000001:event-bus/default"},
        },
    )
    v1.delete_configuration_set_event_destination(ConfigurationSetName="shop", EventDestinationName="topic")
    (left,) = v2.get_configuration_set_event_destinations(ConfigurationSetName="shop")["EventDestinations"]
    assert left["MatchingEventTypes"] == ["OPEN"]
    assert refused(
        v2.delete_configuration_set_event_destination, ConfigurationSetName="shop", EventDestinationName="topic"
    ) == ("NotFoundException", "No EventDestination found for topic")


def pages(cloud: Amazon) -> None:
    v1, v2 = cloud.client("ses"), cloud.client("sesv2")
    for number in range(5):
        v1.create_configuration_set(ConfigurationSet={"Name": f"page-{number}"})
    found: list[str] = []
    more: dict[str, Any] = {}
    while True:
        page = v2.list_configuration_sets(PageSize=2, **more)
        found += page["ConfigurationSets"]
        if "NextToken" not in page:
            break
        more = {"NextToken": page["NextToken"]}
    assert found == ["page-0", "page-1", "page-2", "page-3", "page-4", "shop"]
    first = v1.list_configuration_sets(MaxItems=3)
    rest = v1.list_configuration_sets(NextToken=first["NextToken"])
    assert [each["Name"] for each in (*first["ConfigurationSets"], *rest["ConfigurationSets"])] == found
    assert refused(v2.list_configuration_sets, PageSize=0) == (
        "BadRequestException",
        "The page size must be between 1 and 1000",
    )
    v2.delete_configuration_set(ConfigurationSetName="shop")
    for version, code in ((v1, "ConfigurationSetDoesNotExist"), (v2, "NotFoundException")):
        text = "Configuration set <shop> does not exist."
        assert refused(version.delete_configuration_set, ConfigurationSetName="shop") == (code, text)


async def test_v1_and_v2_see_one_state(cloud: Amazon) -> None:
    await in_thread(both_versions, cloud)
    await in_thread(pages, cloud)
    await names_of_its_own(cloud)


async def names_of_its_own(cloud: Amazon) -> None:
    """A MAIL FROM domain and a custom redirect domain are used once the DNS brings them to us."""
    v1, v2 = cloud.client("ses"), cloud.client("sesv2")
    reject = {"Identity": DOMAIN, "BehaviorOnMXFailure": "RejectMessage"}
    await in_thread(v1.set_identity_mail_from_domain, MailFromDomain=f"unpublished.{DOMAIN}", **reject)
    for client in (v1, v2):
        call, params = with_html(client, "early@dest.test")
        assert (await in_thread(refused, call, **params))[0] == "MailFromDomainNotVerifiedException"

    cloud.dns.zone[RETURN_PATH] = {"MX": "10 mail.mailferry.test", "TXT": "v=spf1 a:mail.mailferry.test ~all"}
    cloud.dns.zone[OWN_LINKS] = {"CNAME": "mail.mailferry.test"}
    await in_thread(v1.set_identity_mail_from_domain, MailFromDomain=RETURN_PATH, **reject)
    await in_thread(
        v2.create_configuration_set,
        ConfigurationSetName="own",
        TrackingOptions={"CustomRedirectDomain": OWN_LINKS.upper(), "HttpsPolicy": "OPTIONAL"},
    )
    until = time.monotonic() + 30
    while (await in_thread(v2.get_email_identity, EmailIdentity=DOMAIN))["MailFromAttributes"][
        "MailFromDomainStatus"
    ] != "SUCCESS":
        assert time.monotonic() < until
        await asyncio.sleep(0.1)
    call, params = with_html(v2, "own@dest.test")
    pixel = ""
    while not pixel.startswith(f"http://{OWN_LINKS}/t/o/"):
        assert time.monotonic() < until
        before = len(cloud.mx.transactions)
        await in_thread(call, ConfigurationSetName="own", **params)
        mail = (await cloud.mx.received(before + 1))[-1]
        assert mail.sender.endswith(f"@{RETURN_PATH}")
        (pixel,) = re.findall(r'<img src="([^"]+)"', html_of(mail.content))
    assert (await in_thread(visit, cloud.server, pixel)).status == 200
    assert (await in_thread(visit, cloud.server, f"http://{OWN_LINKS}/health")).status == 404


def with_html(client: Any, to: str) -> tuple[Any, dict[str, Any]]:
    """A call that sends, of either version, and what it is called with."""
    subject, body = {"Data": "Hello"}, {"Html": {"Data": "<p>It works.</p>"}}
    if client.meta.service_model.service_name == "ses":
        message = {"Subject": subject, "Body": body}
        return client.send_email, {"Source": SENDER, "Destination": {"ToAddresses": [to]}, "Message": message}
    content = {"Simple": {"Subject": subject, "Body": body}}
    return client.send_email, {"FromEmailAddress": SENDER, "Destination": {"ToAddresses": [to]}, "Content": content}


async def test_a_set_that_requires_tls_sends_nothing_in_plain_text_and_a_paused_one_nothing(cloud: Amazon) -> None:
    """The recipients' host offers no STARTTLS: the message waits, and its topic is told so."""
    v2 = cloud.client("sesv2")
    async with Receiver() as receiver:
        listener = Listener(cloud, receiver, "/sns")
        await listener.confirmed()
        await with_set(listener)
        await in_thread(v2.put_configuration_set_delivery_options, ConfigurationSetName="events", TlsPolicy="REQUIRE")
        await send(cloud, "a@dest.test")
        delay = (await listener.event("DeliveryDelay"))["deliveryDelay"]
        assert "STARTTLS" in delay["delayedRecipients"][0]["diagnosticCode"]
        assert cloud.mx.transactions == []
        await in_thread(v2.put_configuration_set_sending_options, ConfigurationSetName="events", SendingEnabled=False)
        call = cloud.client("ses").send_email
        to = {"ToAddresses": ["a@dest.test"]}
        params = {"Source": SENDER, "Destination": to, "Message": SIMPLE, "ConfigurationSetName": "events"}
        code, text = await in_thread(refused, call, **params)
        assert (code, text) == (
            "ConfigurationSetSendingPausedException",
            "Sending is paused for configuration set <events>",
        )
