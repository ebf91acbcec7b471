"""What a configuration set and an identity ask for, as the intake is handed it with a message."""

from typing import Any

import pytest

from mailferry.endpoints.ses.errors import SesError
from mailferry.intake.submission import Publishing
from mailferry.resources.documents import Kind
from mailferry.resources.permissions import ADMIN, Grant, Resource, Rights
from mailferry.resources.tracking_hosts import is_custom
from mailferry.store.database import Database
from tests.conftest import Clock
from tests.ses_calls import Calls

SENDER = "app@shop.test"


@pytest.fixture
async def calls(database: Database, clock: Clock) -> Calls:
    return await Calls.furnished(database, clock)


async def published(calls: Calls, **params: Any) -> Publishing:
    """What a simple message of v2 is sent with."""
    calls.deps.documents.forget()
    body = {"Subject": {"Data": "Hello"}, "Body": {"Text": {"Data": "It works."}}}
    given = {"FromEmailAddress": SENDER, "Destination": {"ToAddresses": ["a@dest.test"]}, "Content": {"Simple": body}}
    await calls("sesv2", "SendEmail", **(given | params))
    found = calls.accepted[-1].publishing
    assert found
    return found


async def test_a_set_says_how_long_its_mail_is_tried(calls: Calls) -> None:
    await calls.document(Kind.CONFIGURATION_SET, "soon", DeliveryOptions={"MaxDeliverySeconds": 300})
    found = await published(calls, ConfigurationSetName="soon")
    assert (found.expire_ms, found.facts["max_delivery_seconds"]) == (300_000, 300)
    usual = await published(calls)
    assert usual.expire_ms == 0 and "max_delivery_seconds" not in usual.facts


async def test_a_name_for_links_is_used_once_it_is_seen(calls: Calls) -> None:
    await calls("sesv2", "CreateEmailIdentity", EmailIdentity="shop.test")
    await calls.verified("shop.test")
    options = {"CustomRedirectDomain": "Go.Shop.Test", "HttpsPolicy": "REQUIRE"}
    await calls("sesv2", "CreateConfigurationSet", ConfigurationSetName="own", TrackingOptions=options)
    assert calls.looked_hosts == ["links:go.shop.test"]
    assert "links_host" not in (await published(calls, ConfigurationSetName="own")).facts
    await calls.document_seen("links:go.shop.test", "pass")
    facts = (await published(calls, ConfigurationSetName="own")).facts
    assert (facts["links_host"], facts["links_https"]) == ("go.shop.test", True)
    served = await calls.database.read(lambda c: [is_custom(c, each) for each in ("go.shop.test", "no.shop.test")])
    assert served == [True, False]
    with pytest.raises(SesError, match="> is not verified under this account"):
        await calls(
            "sesv2",
            "PutConfigurationSetTrackingOptions",
            ConfigurationSetName="own",
            CustomRedirectDomain="go.other.test",
        )


async def test_the_return_path_is_that_of_the_most_specific_identity(calls: Calls) -> None:
    await calls("sesv2", "CreateEmailIdentity", EmailIdentity="shop.test")
    await calls.verified("shop.test")
    await calls("sesv2", "CreateEmailIdentity", EmailIdentity=SENDER)
    for name, host in (("shop.test", "b.shop.test"), (SENDER, "own.shop.test")):
        await calls("ses", "SetIdentityMailFromDomain", Identity=name, MailFromDomain=host)
        assert "return_path" not in (await published(calls)).facts, "before it is seen mail goes as ever"
        await calls.document_seen(f"return_path:{host}", "pass")
        assert (await published(calls)).facts["return_path"] == host
    above = await published(calls, FromEmailAddress="x@deep.shop.test")
    assert above.facts["return_path"] == "b.shop.test"
    await calls.document_seen("return_path:own.shop.test", "fail")
    assert "return_path" not in (await published(calls)).facts
    await calls(
        "ses",
        "SetIdentityMailFromDomain",
        Identity=SENDER,
        MailFromDomain="own.shop.test",
        BehaviorOnMXFailure="RejectMessage",
    )
    with pytest.raises(SesError, match="MAIL FROM domain <own") as refused:
        await published(calls)
    assert refused.value.code == "MailFromDomainNotVerifiedException"


@pytest.mark.parametrize("named", [{}, {"FromEmailAddress": SENDER}])
async def test_what_is_wrong_with_a_header_s_recipients_is_told_to_who_may_send(
    calls: Calls, named: dict[str, str]
) -> None:
    raw = f"From: App <{SENDER}>\r\nTo: no address at all\r\nSubject: S\r\n\r\nHi\r\n".encode()

    async def refusal(version: str = "sesv2") -> str:
        v2 = {"Content": {"Raw": {"Data": raw}}, **named}
        operation, params = ("SendEmail", v2) if version == "sesv2" else ("SendRawEmail", {"RawMessage": {"Data": raw}})
        with pytest.raises(SesError) as refused:
            await calls(version, operation, **params)
        return str(refused.value)

    for version in ("sesv2", "ses"):
        assert (await refusal(version)).startswith("MessageRejected: Email address is not verified.")
    await calls("sesv2", "CreateEmailIdentity", EmailIdentity="shop.test")
    domain = await calls.verified("shop.test")
    for version in ("sesv2", "ses"):
        assert (await refusal(version)).startswith("InvalidParameterValue: ")
    calls.rights = Rights.of(calls.account, 0, [Grant(Resource.DOMAIN, domain.id + 1, ADMIN)])
    assert (await refusal()).startswith("MessageRejected: ")
    calls.rights = Rights.of(calls.account, 0, [Grant(Resource.DOMAIN, domain.id, ADMIN)])
    assert (await refusal()).startswith("InvalidParameterValue: ")


@pytest.mark.parametrize(("wanted", "followed"), [("OPEN", {"opens"}), ("CLICK", {"clicks"}), ("SEND", set())])
async def test_mail_is_followed_for_what_an_enabled_destination_asks(
    calls: Calls, wanted: str, followed: set[str]
) -> None:
    off = {"Name": "off", "Enabled": False, "MatchingEventTypes": ["OPEN", "CLICK"]}
    on = {"Name": "on", "Enabled": True, "MatchingEventTypes": [wanted]}
    await calls.document(Kind.CONFIGURATION_SET, "events", EventDestinations=[off, on])
    facts = (await published(calls, ConfigurationSetName="events")).facts
    assert {"opens", "clicks"} & facts.keys() == followed


async def test_an_empty_list_of_reasons_lifts_no_unsubscription(calls: Calls) -> None:
    for name, options in (("none", []), ("bounces", ["BOUNCE"])):
        await calls.document(Kind.CONFIGURATION_SET, name, SuppressionOptions={"SuppressedReasons": options})
    assert (await published(calls, ConfigurationSetName="none")).suppressing == {"unsubscription"}
    bounces = (await published(calls, ConfigurationSetName="bounces")).suppressing
    assert bounces == {"unsubscription", "hard bounce", "manual import"}
    assert (await published(calls)).suppressing is None, "all of them stop it"
    await calls("sesv2", "PutAccountSuppressionAttributes", SuppressedReasons=[])
    assert (await published(calls)).suppressing == {"unsubscription"}


async def test_tags_of_the_call_stand_in_place_of_those_in_the_header(calls: Calls) -> None:
    head = f"From: {SENDER}\r\nTo: a@dest.test\r\nX-SES-MESSAGE-TAGS: order=7, team=shop\r\n\r\nHi\r\n"
    raw = {"Content": {"Raw": {"Data": head.encode()}}}
    assert (await published(calls, **raw)).facts["tags"] == {"order": ["7"], "team": ["shop"]}
    given = [{"Name": "order", "Value": "8"}]
    assert (await published(calls, **raw, EmailTags=given)).facts["tags"] == {"order": ["8"]}
