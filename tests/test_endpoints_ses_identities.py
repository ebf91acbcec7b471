"""Identities of Amazon's dialect, both versions over one state: added, proven, listed, deleted."""

import asyncio
from typing import Any

import pytest

from mailferry.endpoints.ses.conditions import conditions
from mailferry.endpoints.ses.errors import SesError
from mailferry.resources import domain_changes, domain_reviews, domains
from mailferry.resources.audit import Actor
from mailferry.resources.documents import Kind
from mailferry.resources.permissions import ADMIN, VIEWER, Grant, Resource, Rights
from mailferry.store.database import Database
from tests.conftest import Clock
from tests.ses_calls import SEALER, Calls

ANN = Actor("user", 1, "Ann")


@pytest.fixture
async def calls(database: Database, clock: Clock) -> Calls:
    return await Calls.furnished(database, clock)


async def status(calls: Calls, name: str) -> str:
    found = await calls("ses", "GetIdentityVerificationAttributes", Identities=[name])
    shown = found["VerificationAttributes"][name]["VerificationStatus"]
    v2 = await calls("sesv2", "GetEmailIdentity", EmailIdentity=name)
    assert v2["VerificationStatus"].replace("_", "") == shown.upper()
    return str(shown)


async def test_a_domain_identity_is_a_sending_domain(calls: Calls) -> None:
    token = (await calls("ses", "VerifyDomainIdentity", Domain="Shop.Test"))["VerificationToken"]
    assert (await calls("ses", "VerifyDomainIdentity", Domain="shop.test"))["VerificationToken"] == token
    domain = await calls.domain("shop.test")
    assert len(domain.keys) == 2
    assert calls.looked == [domain.id, domain.id]  # when it was made, and when it was asked about
    # The name that was asked by is the name in the answer.
    found = await calls("ses", "GetIdentityVerificationAttributes", Identities=["SHOP.test", "no.test", "a b"])
    assert found == {
        "VerificationAttributes": {"SHOP.test": {"VerificationStatus": "Pending", "VerificationToken": token}}
    }
    assert [event for event, _, _ in await calls.events()] == ["domain.created", "api_token.created"]


async def test_the_states_of_a_domain_in_both_spellings(calls: Calls) -> None:
    await calls("sesv2", "CreateEmailIdentity", EmailIdentity="shop.test")
    assert await status(calls, "shop.test") == "Pending"
    domain = await calls.verified("shop.test")
    assert await status(calls, "shop.test") == "Success"
    await calls.database.write(lambda c: domains.set_verified(c, domain, False, set(), 5, {"dkim1": "missing"}))
    assert await status(calls, "shop.test") == "TemporaryFailure"
    shown = await calls("sesv2", "GetEmailIdentity", EmailIdentity="shop.test")
    assert (shown["VerifiedForSendingStatus"], shown["DkimAttributes"]["Status"]) == (True, "TEMPORARY_FAILURE")
    await calls.database.write(lambda c: domain_reviews.decide(c, domain, domains.NON_COMPLIANT, ANN, 6))
    assert await status(calls, "shop.test") == "Failed"
    assert (await calls("sesv2", "ListEmailIdentities"))["EmailIdentities"][0]["SendingEnabled"] is False


async def test_an_address_is_proven_by_the_nearest_verified_domain(calls: Calls) -> None:
    for address in ("Ann@mail.shop.test", "b@other.test"):
        await calls("ses", "VerifyEmailIdentity", EmailAddress=address)
        await calls("ses", "VerifyEmailAddress", EmailAddress=address)
    assert await status(calls, "Ann@mail.shop.test") == "Pending"
    await calls("ses", "VerifyDomainIdentity", Domain="shop.test")
    assert await status(calls, "Ann@mail.shop.test") == "Pending"
    await calls.verified("shop.test")
    assert await status(calls, "Ann@mail.shop.test") == "Success"
    assert await status(calls, "b@other.test") == "Pending"
    listed = await calls("ses", "ListVerifiedEmailAddresses")
    assert listed["VerifiedEmailAddresses"] == ["Ann@mail.shop.test"]
    # A domain below a verified one may send as well, before it has records of its own.
    await calls("ses", "VerifyDomainIdentity", Domain="mail.shop.test")
    assert await status(calls, "mail.shop.test") == "Success"
    shown = await calls("sesv2", "GetEmailIdentity", EmailIdentity="Ann@mail.shop.test")
    assert shown["IdentityType"] == "EMAIL_ADDRESS"
    assert shown["DkimAttributes"]["Status"] == "PENDING"  # of exactly its domain
    assert "Tokens" not in shown["DkimAttributes"]


@pytest.mark.parametrize("name", ["", "a b.test", "localhost", "a@", "@b.test", "ü@b.test", "a@b@c d", "1.2.3.4"])
async def test_what_is_no_identity_is_refused(calls: Calls, name: str) -> None:
    for operation, member in (("VerifyDomainIdentity", "Domain"), ("VerifyEmailIdentity", "EmailAddress")):
        with pytest.raises(SesError, match=r"InvalidParameterValue: Invalid (email address|domain name) "):
            await calls("ses", operation, **{member: name})
    with pytest.raises(SesError):
        await calls("sesv2", "CreateEmailIdentity", EmailIdentity=name)
    assert (await calls("ses", "ListIdentities"))["Identities"] == []


async def test_creating_is_all_or_nothing(calls: Calls) -> None:
    """Amazon's order: it is there already, its tags, its configuration set (probed)."""
    tags = [{"Key": "team", "Value": "shop"}]
    with pytest.raises(SesError, match="Configuration set <none> does not exist"):
        await calls("sesv2", "CreateEmailIdentity", EmailIdentity="shop.test", ConfigurationSetName="none", Tags=tags)
    with pytest.raises(SesError, match="Duplicate tag keys"):
        await calls(
            "sesv2", "CreateEmailIdentity", EmailIdentity="shop.test", ConfigurationSetName="none", Tags=tags * 2
        )
    assert (await calls("ses", "ListIdentities"))["Identities"] == []
    await calls.document(Kind.CONFIGURATION_SET, "main")
    made = await calls(
        "sesv2", "CreateEmailIdentity", EmailIdentity="shop.test", ConfigurationSetName="main", Tags=tags
    )
    assert (made["IdentityType"], made["VerifiedForSendingStatus"]) == ("DOMAIN", False)
    shown = await calls("sesv2", "GetEmailIdentity", EmailIdentity="shop.test")
    assert (shown["ConfigurationSetName"], shown["Tags"]) == ("main", tags)
    with pytest.raises(SesError, match=r"AlreadyExists: Email identity shop\.test already exist\."):
        await calls(
            "sesv2", "CreateEmailIdentity", EmailIdentity="shop.test", ConfigurationSetName="none", Tags=tags * 2
        )


async def test_who_creates_at_the_same_moment_gets_one_identity(calls: Calls) -> None:
    made = await asyncio.gather(
        *(calls("sesv2", "CreateEmailIdentity", EmailIdentity="a@shop.test") for _ in range(4)), return_exceptions=True
    )
    assert sorted(isinstance(each, SesError) for each in made) == [False, True, True, True]


async def test_what_was_deleted_comes_back_bare(calls: Calls) -> None:
    await calls.document(Kind.CONFIGURATION_SET, "main")
    for name in ("shop.test", "a@shop.test"):
        await calls(
            "sesv2",
            "CreateEmailIdentity",
            EmailIdentity=name,
            ConfigurationSetName="main",
            Tags=[{"Key": "k", "Value": "v"}],
        )
        await calls("sesv2", "DeleteEmailIdentity", EmailIdentity=name)
        with pytest.raises(SesError, match=r"NotFound: Email identity .* does not exist\."):
            await calls("sesv2", "DeleteEmailIdentity", EmailIdentity=name)
        await calls("ses", "DeleteIdentity", Identity=name)
        await calls(
            "ses",
            "VerifyDomainIdentity" if name == "shop.test" else "VerifyEmailIdentity",
            **{"Domain" if name == "shop.test" else "EmailAddress": name},
        )
        shown = await calls("sesv2", "GetEmailIdentity", EmailIdentity=name)
        assert (shown["Tags"], shown.get("ConfigurationSetName")) == ([], None)
    await calls("ses", "DeleteVerifiedEmailAddress", EmailAddress="a@shop.test")
    await calls("ses", "DeleteVerifiedEmailAddress", EmailAddress="shop.test")  # no address, and left alone
    assert (await calls("ses", "ListIdentities"))["Identities"] == ["shop.test"]


async def test_a_name_of_one_label_can_be_deleted_though_not_added(calls: Calls) -> None:
    """Older versions of Mailferry let it be added."""
    await calls.database.write(lambda c: domains.add(c, SEALER, calls.account, "localhost", (), 5))
    await calls("sesv2", "DeleteEmailIdentity", EmailIdentity="localhost")
    assert (await calls("ses", "ListIdentities"))["Identities"] == []


async def test_a_domain_that_is_deleted_elsewhere_takes_its_settings_along(calls: Calls) -> None:
    await calls.document(Kind.CONFIGURATION_SET, "main")
    tags = [{"Key": "k", "Value": "v"}]
    await calls("sesv2", "CreateEmailIdentity", EmailIdentity="a.test", ConfigurationSetName="main", Tags=tags)
    await calls("sesv2", "CreateEmailIdentity", EmailIdentity="aa.test", ConfigurationSetName="main", Tags=tags)
    domain = await calls.domain("a.test")
    await calls.database.write(lambda c: domain_changes.remove(c, domain, ANN, 5))
    await calls("ses", "VerifyDomainIdentity", Domain="a.test")
    shown = await calls("sesv2", "GetEmailIdentity", EmailIdentity="a.test")
    assert (shown["Tags"], shown.get("ConfigurationSetName")) == ([], None)
    assert (await calls("sesv2", "GetEmailIdentity", EmailIdentity="aa.test"))["Tags"] == tags


async def test_both_lists_go_on_by_one_token(calls: Calls) -> None:
    names = ["a@b.test", *(f"d{number}.test" for number in range(4))]
    for name in names:
        await calls("sesv2", "CreateEmailIdentity", EmailIdentity=name)
    first = await calls("sesv2", "ListEmailIdentities", PageSize=2)
    assert [each["IdentityName"] for each in first["EmailIdentities"]] == names[:2]
    second = await calls("ses", "ListIdentities", MaxItems=2, NextToken=first["NextToken"])
    assert second["Identities"] == names[2:4]
    last = await calls("sesv2", "ListEmailIdentities", PageSize=2, NextToken=second["NextToken"])
    assert [each["IdentityName"] for each in last["EmailIdentities"]] == names[4:]
    assert "NextToken" not in last
    exact = await calls("sesv2", "ListEmailIdentities", PageSize=5)
    assert "NextToken" not in exact
    assert (await calls("ses", "ListIdentities", MaxItems=0))["Identities"] == names
    assert (await calls("ses", "ListIdentities", IdentityType="EmailAddress"))["Identities"] == names[:1]
    for wanted, found in (
        ({"IDENTITY_TYPE": "DOMAIN", "IDENTITY_NAME_CONTAINS": "D3"}, ["d3.test"]),
        ({"VERIFICATION_STATUS": "SUCCESS"}, []),
    ):
        listed = await calls("sesv2", "ListEmailIdentities", Filter=wanted)
        assert [each["IdentityName"] for each in listed["EmailIdentities"]] == found
    for wrong, text in (
        ({"PageSize": 0}, "Value 0 for parameter PageSize is invalid. PageSize must be between 1 and 1000."),
        ({"PageSize": 1001}, "Value 1001 for parameter PageSize is invalid. PageSize must be between 1 and 1000."),
        ({"NextToken": "x"}, "Invalid NextToken <x>."),
        ({"NextToken": first["NextToken"], "region": "eu-west-1"}, f"Invalid NextToken <{first['NextToken']}>."),
        ({"Filter": {"NAME": "x"}}, "Filter NAME is invalid."),
    ):
        arguments: dict[str, Any] = dict(wrong)
        with pytest.raises(SesError) as caught:
            await calls("sesv2", "ListEmailIdentities", **arguments)
        assert (caught.value.message or "").startswith(text)


async def test_a_page_has_25_of_v2_and_all_of_v1(calls: Calls) -> None:
    for number in range(27):
        await calls("ses", "VerifyEmailIdentity", EmailAddress=f"a{number:02}@b.test")
    assert len((await calls("sesv2", "ListEmailIdentities"))["EmailIdentities"]) == 25
    assert len((await calls("ses", "ListIdentities"))["Identities"]) == 27


async def test_a_key_sees_the_identities_of_its_domains(calls: Calls) -> None:
    for name in ("a.test", "b.test", "x@a.test", "x@b.test", "x@c.test"):
        await calls("sesv2", "CreateEmailIdentity", EmailIdentity=name)
    only = await calls.domain("a.test")
    calls.rights = Rights.of(calls.account, 0, [Grant(Resource.DOMAIN, only.id, VIEWER)])
    assert (await calls("ses", "ListIdentities"))["Identities"] == ["a.test", "x@a.test"]
    with pytest.raises(SesError, match="NotFound"):
        await calls("sesv2", "GetEmailIdentity", EmailIdentity="b.test")
    with pytest.raises(SesError, match="NotFound"):
        await calls("sesv2", "ListTagsForResource", ResourceArn=calls.call("sesv2", "").arn("ses", "identity/b.test"))
    assert (await calls("ses", "GetIdentityVerificationAttributes", Identities=["x@c.test"])) == {
        "VerificationAttributes": {}
    }


async def test_a_call_asks_about_a_hundred_at_most(calls: Calls) -> None:
    with pytest.raises(SesError, match="At most 100 identities"):
        await calls("ses", "GetIdentityVerificationAttributes", Identities=["a.test"] * 101)


async def test_a_message_without_a_set_has_that_of_the_most_specific_identity(calls: Calls) -> None:
    for name in ("shop.test", "deep.mail.shop.test", "a@deep.mail.shop.test"):
        await calls.document(Kind.CONFIGURATION_SET, f"of-{name.replace('@', '-').replace('.', '-')}")
        await calls(
            "sesv2",
            "CreateEmailIdentity",
            EmailIdentity=name,
            ConfigurationSetName=f"of-{name.replace('@', '-').replace('.', '-')}",
        )
    call = calls.call("sesv2", "SendEmail")

    async def chosen(source: str, named: str = "") -> str:
        return (await conditions(call, source, named)).set_name

    assert await chosen("Ann <a@deep.mail.shop.test>") == "of-a-deep-mail-shop-test"
    assert await chosen("b@deep.mail.shop.test") == "of-deep-mail-shop-test"
    assert await chosen("b@mail.shop.test") == "of-shop-test"
    await calls.document(Kind.CONFIGURATION_SET, "own")
    assert await chosen("b@mail.shop.test", "own") == "own"
    assert await chosen("b@other.test") == ""
    assert await chosen("nobody") == ""
    await calls("sesv2", "PutEmailIdentityConfigurationSetAttributes", EmailIdentity="shop.test")
    assert await chosen("b@mail.shop.test") == ""


async def test_what_the_customer_paused_by_its_reputation_sends_nothing(calls: Calls) -> None:
    await calls.document(Kind.CONFIGURATION_SET, "main")
    tenant = await calls("sesv2", "CreateTenant", TenantName="acme")
    content = {"Simple": {"Subject": {"Data": "Hi"}, "Body": {"Text": {"Data": "x"}}}}
    message = {"Destination": {"ToAddresses": ["b@dest.test"]}, "Content": content, "FromEmailAddress": "a@shop.test"}
    begin = "arn:aws:ses:eu-west-1:000000000001:"
    for arn, of_it, other in (
        (f"{begin}identity/shop.test", {}, {"FromEmailAddress": "a@shop2.test"}),
        (f"{begin}configuration-set/main", {"ConfigurationSetName": "main"}, {}),
        (tenant["TenantArn"], {"TenantName": "acme"}, {}),
    ):
        entity = {"ReputationEntityType": "RESOURCE", "ReputationEntityReference": arn}
        await calls("sesv2", "SendEmail", **message, **of_it)
        await calls("sesv2", "UpdateReputationEntityCustomerManagedStatus", **entity, SendingStatus="DISABLED")
        with pytest.raises(SesError, match="Sending is paused for resource") as refused:
            await calls("sesv2", "SendEmail", **message, **of_it)
        assert refused.value.code == "AccountSendingPausedException"  # SendingPausedException in SES v2
        await calls("sesv2", "SendEmail", **message | other)
        await calls("sesv2", "UpdateReputationEntityCustomerManagedStatus", **entity, SendingStatus="ENABLED")
        await calls("sesv2", "SendEmail", **message, **of_it)
    with pytest.raises(SesError, match="Tenant <nobody> does not exist"):
        await calls("sesv2", "SendEmail", **message, TenantName="nobody")


@pytest.mark.parametrize("paused", [False, True])
async def test_the_set_of_an_identity_is_in_effect(calls: Calls, paused: bool) -> None:
    sending = {"SendingOptions": {"SendingEnabled": not paused}, "DeliveryOptions": {"SendingPoolName": "bulk"}}
    await calls.document(Kind.CONFIGURATION_SET, "main", **sending)
    await calls("sesv2", "CreateEmailIdentity", EmailIdentity="shop.test", ConfigurationSetName="main")
    message = {
        "Source": "a@shop.test",
        "Destination": {"ToAddresses": ["b@dest.test"]},
        "Message": {"Subject": {"Data": "Hi"}, "Body": {"Text": {"Data": "x"}}},
    }
    if paused:
        with pytest.raises(SesError, match="Sending is paused for configuration set <main>"):
            await calls("ses", "SendEmail", **message)
        return
    await calls("ses", "SendEmail", **message)
    (submission,) = calls.accepted
    assert submission.publishing
    assert (submission.stream, submission.publishing.facts["set"]) == ("bulk", "main")


async def test_changing_needs_the_whole_account(calls: Calls) -> None:
    from mailferry.endpoints.ses.table import TABLE

    confined = Rights.of(calls.account, 0, [Grant(Resource.DOMAIN, 1, ADMIN)])
    reading = {"Get", "List"}
    for dialect in ("ses", "sesv2"):
        for name, op in TABLE[dialect].items():
            if op.function and ("Identit" in name or "Tag" in name):
                assert op.allows(confined) is any(name.startswith(word) for word in reading), (dialect, name)
