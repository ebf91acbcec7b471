"""Of the usual mistakes of who emulates Amazon, those about identities, each under its number."""

import pytest

from mailferry.endpoints.ses import paths
from mailferry.endpoints.ses.errors import SesError, v2_spelling
from mailferry.endpoints.ses.identity import V2_STATUS
from mailferry.endpoints.ses.identity_settings import V2_BEHAVIOR
from mailferry.endpoints.ses.model import service
from mailferry.store.database import Database
from tests.conftest import Clock
from tests.ses_calls import Calls


@pytest.fixture
async def calls(database: Database, clock: Clock) -> Calls:
    return await Calls.furnished(database, clock)


async def test_14_v1_and_v2_with_separate_state(calls: Calls) -> None:
    await calls("ses", "VerifyDomainIdentity", Domain="a.test")
    await calls("sesv2", "CreateEmailIdentity", EmailIdentity="b.test")
    names = ["a.test", "b.test"]
    assert (await calls("ses", "ListIdentities"))["Identities"] == names
    listed = await calls("sesv2", "ListEmailIdentities")
    assert [each["IdentityName"] for each in listed["EmailIdentities"]] == names
    await calls("sesv2", "DeleteEmailIdentity", EmailIdentity="a.test")
    assert (await calls("ses", "GetIdentityVerificationAttributes", Identities=names))[
        "VerificationAttributes"
    ].keys() == {"b.test"}


def test_14_different_spelling_leaking() -> None:
    """Every word of ours is one of the model's, in either version."""
    v1, v2 = service("ses"), service("sesv2")
    attributes = v1.operations["GetIdentityVerificationAttributes"].output
    assert attributes
    item = attributes.members["VerificationAttributes"].shape.item
    assert item
    assert set(item.members["VerificationStatus"].shape.enum) == V2_STATUS.keys()
    shown = v2.operations["GetEmailIdentity"].output
    assert shown
    assert set(shown.members["VerificationStatus"].shape.enum) == set(V2_STATUS.values())
    mail_from = shown.members["MailFromAttributes"].shape
    assert set(mail_from.members["BehaviorOnMxFailure"].shape.enum) == set(V2_BEHAVIOR.values())
    behavior = v1.operations["SetIdentityMailFromDomain"].input.members["BehaviorOnMXFailure"].shape
    assert set(behavior.enum) == V2_BEHAVIOR.keys()


def test_19_other_paths_of_older_clients() -> None:
    listing, _ = paths.find("GET", "/v2/email/identities")
    assert listing.name == "ListEmailIdentities"
    signing, labels = paths.find("PUT", "/v1/email/identities/a%40b.test/dkim/signing")
    assert (signing.name, labels["EmailIdentity"]) == ("PutEmailIdentityDkimSigningAttributes", "a%40b.test")


async def test_19_next_token_null_on_the_last_page(calls: Calls) -> None:
    call = calls.call("sesv2", "ListEmailIdentities")
    await calls("ses", "VerifyEmailIdentity", EmailAddress="a@b.test")
    from mailferry.endpoints.ses import identities, rest_json

    found = await identities.list_v2(call, {"PageSize": 1})
    operation = service("sesv2").operations["ListEmailIdentities"]
    assert b"NextToken" not in rest_json.write(operation, found)


async def test_20_deleting_what_is_not_there(calls: Calls) -> None:
    assert await calls("ses", "DeleteIdentity", Identity="no.test") == {}
    assert await calls("ses", "DeleteVerifiedEmailAddress", EmailAddress="a@no.test") is None
    assert await calls("ses", "DeleteIdentityPolicy", Identity="no.test", PolicyName="p") == {}
    with pytest.raises(SesError) as caught:
        await calls("sesv2", "DeleteEmailIdentity", EmailIdentity="no.test")
    assert (v2_spelling(caught.value).code, v2_spelling(caught.value).status) == ("NotFoundException", 404)


async def test_20_verifying_twice_is_right_and_creating_twice_is_wrong(calls: Calls) -> None:
    first = await calls("ses", "VerifyDomainIdentity", Domain="a.test")
    assert await calls("ses", "VerifyDomainIdentity", Domain="a.test") == first
    with pytest.raises(SesError) as caught:
        await calls("sesv2", "CreateEmailIdentity", EmailIdentity="a.test")
    assert v2_spelling(caught.value).code == "AlreadyExistsException"
