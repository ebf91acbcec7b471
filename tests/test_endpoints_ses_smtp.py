"""What SES's SMTP interface makes of an envelope and of a message's control fields, on both databases."""

from typing import Any

import msgspec
import pytest

from mailferry.endpoints.ses.smtp import Outcome, SmtpInterface
from mailferry.resources import documents
from mailferry.resources.access_keys import AccessKey, AccessKeys
from mailferry.resources.documents import Kind
from mailferry.resources.permissions import ADMIN, Grant, Resource, Rights
from mailferry.store.schema import messages, recipients
from tests import delivery_support
from tests.delivery_support import DOMAIN, Office
from tests.ses_calls import deps as make_deps

office, engines = delivery_support.office, delivery_support.engines

SENDER = f"app@{DOMAIN}"
TEXT = f"From: App <{SENDER}>\r\nSubject: S\r\n".encode()


def key(office: Office, *granted: Grant) -> AccessKey:
    levels = {(grant.kind, grant.id): grant.level for grant in granted}
    rights = Rights(office.account, 0, levels or {(Resource.ACCOUNT, office.account): ADMIN})
    return AccessKey(1, office.account, "MFAKTEST", "shop", "secret", False, 0, rights)


async def send(office: Office, message: bytes, *to: str, by: AccessKey | None = None, sender: str = SENDER) -> Outcome:
    deps = make_deps(
        office.database,
        office.clock,
        intake=office.intake,
        keys=AccessKeys(office.database, office.sealer, office.clock, office.clock),
        content=office.content,
        sealer=office.sealer,
        forget_domains=office.book.forget,
    )
    interface = SmtpInterface(deps)
    recipients = to or ("a@dest.test",)
    return await interface.send(
        by or key(office), "eu-west-1", "192.0.2.1", sender, recipients, message + b"\r\nHi\r\n"
    )


async def configure(office: Office, name: str, **body: Any) -> None:
    await office.database.write(
        lambda c: documents.put(c, office.account, Kind.CONFIGURATION_SET, name, body, office.clock())
    )


async def test_control_fields_do_what_parameters_of_the_api_do(office: Office) -> None:
    await configure(office, "ours", DeliveryOptions={"SendingPoolName": "bulk"})
    fields = b"X-SES-CONFIGURATION-SET: ours\r\nX-SES-MESSAGE-TAGS: order=7,\r\n category=shop\r\n"
    outcome = await send(office, fields + TEXT, "a@dest.test", "b@dest.test")
    assert outcome.code == "" and outcome.message_id.startswith("0102")
    (row,) = await office.rows(messages)
    facts = msgspec.json.decode(row.publishing)
    assert (row.endpoint, row.stream, row.category) == ("ses_smtp", "bulk", "shop")
    assert (facts["id"], facts["operation"], facts["region"]) == (outcome.message_id, "SendSmtpEmail", "eu-west-1")
    assert (facts["set"], facts["tags"], facts["source"]) == ("ours", {"order": ["7"], "category": ["shop"]}, SENDER)
    assert {each.address for each in await office.rows(recipients)} == {"a@dest.test", "b@dest.test"}


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("none", "ConfigurationSetDoesNotExist"),
        ("=?utf-8?q?a=00b?=", "ConfigurationSetDoesNotExist"),
        ("paused", "ConfigurationSetSendingPausedException"),
    ],
)
async def test_a_configuration_set_that_cannot_be_used(office: Office, name: str, code: str) -> None:
    await configure(office, "paused", SendingOptions={"SendingEnabled": False})
    outcome = await send(office, b"X-SES-CONFIGURATION-SET: %b\r\n" % name.encode() + TEXT)
    assert (outcome.message_id, outcome.code) == ("", code)
    assert await office.rows(messages) == []


async def test_a_key_sends_from_its_own_domain_only(office: Office) -> None:
    other = await office.add_domain("other.test")
    confined = key(office, Grant(Resource.DOMAIN, other.id, ADMIN))
    refused = await send(office, TEXT, by=confined)
    assert refused.code == "MessageRejected" and refused.text.endswith(f"in region EU-WEST-1: App <{SENDER}>, {SENDER}")
    taken = await send(office, TEXT.replace(DOMAIN.encode(), b"other.test"), by=confined, sender="app@other.test")
    assert taken.message_id
    (row,) = await office.rows(messages)
    assert row.sender == "app@other.test"


@pytest.mark.parametrize("sender", ["bounces@elsewhere.test", "app@other.test"])
async def test_the_envelope_s_sender_is_an_identity_too(office: Office, sender: str) -> None:
    """One that is nobody's, and one that the key may not use."""
    other, mine = await office.add_domain("other.test"), await office.add_domain("mine.test")
    assert other.id != mine.id
    text = TEXT.replace(DOMAIN.encode(), b"mine.test")
    confined = key(office, Grant(Resource.DOMAIN, mine.id, ADMIN))
    refused = await send(office, text, by=confined, sender=sender)
    assert refused.code == "MessageRejected" and refused.text.endswith(f"in region EU-WEST-1: {sender}")
    assert await office.rows(messages) == []
    assert (await send(office, text, by=confined, sender="bounces+7@news.mine.test")).message_id


async def test_what_is_not_verified_is_named(office: Office) -> None:
    refused = await send(office, b"From: Eve <eve@elsewhere.test>\r\nSubject: S\r\n")
    assert refused.text.endswith("in region EU-WEST-1: Eve <eve@elsewhere.test>, eve@elsewhere.test")
