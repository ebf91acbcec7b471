"""What is set for identities: keys, return path, notifications, policies and tags, read back by either version."""

import asyncio
import base64
import json
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from mailferry.endpoints.ses.errors import SesError, v2_spelling
from mailferry.resources import custom_hosts, documents, domain_changes
from mailferry.resources.audit import Actor
from mailferry.resources.documents import Kind
from mailferry.store.database import Database
from tests.conftest import Clock
from tests.ses_calls import SEALER, Calls

PKCS1, PKCS8 = serialization.PrivateFormat.TraditionalOpenSSL, serialization.PrivateFormat.PKCS8
RSA_1024 = rsa.generate_private_key(public_exponent=65537, key_size=1024)
POLICY = json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "ses:SendEmail"}]})
ARN = "arn:aws:ses:us-east-1:{account:012d}:{resource}"


@pytest.fixture
async def calls(database: Database, clock: Clock) -> Calls:
    found = await Calls.furnished(database, clock, zone="mail.example")
    await found("sesv2", "CreateEmailIdentity", EmailIdentity="shop.test")
    await found("sesv2", "CreateEmailIdentity", EmailIdentity="a@shop.test")
    return found


async def get(calls: Calls, name: str = "shop.test") -> Any:
    return await calls("sesv2", "GetEmailIdentity", EmailIdentity=name)


def text_of(key: Any, form: serialization.PrivateFormat = PKCS1) -> str:
    octets = key.private_bytes(serialization.Encoding.DER, form, serialization.NoEncryption())
    return base64.b64encode(octets).decode()


async def own_key(calls: Calls, key: str, *, origin: str = "EXTERNAL", selector: str = "Mine") -> Any:
    given = {"DomainSigningSelector": selector, "DomainSigningPrivateKey": key}
    return await calls(
        "sesv2",
        "PutEmailIdentityDkimSigningAttributes",
        EmailIdentity="shop.test",
        SigningAttributesOrigin=origin,
        **({"SigningAttributes": given} if selector else {}),
    )


# --- keys ------------------------------------------------------------------------------------------------------------


async def test_tokens_and_zone_make_the_records_that_the_domain_wants(calls: Calls) -> None:
    from mailferry.resources import dns_records

    domain = await calls.domain("shop.test")
    dkim = (await get(calls))["DkimAttributes"]
    assert dkim == {
        "SigningEnabled": True,
        "Status": "PENDING",
        "Tokens": ["mf1", "mf2", "mf3"],
        "SigningHostedZone": f"{domain.id}.dkim.smtp.mail.example",
        "SigningAttributesOrigin": "AWS_SES",
        "CurrentSigningKeyLength": "RSA_2048_BIT",
        "NextSigningKeyLength": "RSA_2048_BIT",
    }
    wanted = {
        (each.domain, each.value)
        for each in dns_records.records(domain, calls.deps.operator)
        if each.key.startswith("dkim")
    }
    made = {(f"{token}._domainkey.shop.test", f"{token}.{dkim['SigningHostedZone']}") for token in dkim["Tokens"]}
    assert wanted < made
    assert (await calls("ses", "VerifyDomainDkim", Domain="shop.test"))["DkimTokens"] == dkim["Tokens"]
    await calls.verified("shop.test")
    v1 = await calls("ses", "GetIdentityDkimAttributes", Identities=["shop.test", "a@shop.test"])
    assert v1["DkimAttributes"] == {
        "shop.test": {"DkimEnabled": True, "DkimVerificationStatus": "Success", "DkimTokens": dkim["Tokens"]},
        "a@shop.test": {"DkimEnabled": True, "DkimVerificationStatus": "Success"},
    }


async def test_without_a_zone_there_is_no_hosted_zone(database: Database, clock: Clock) -> None:
    calls = await Calls.furnished(database, clock)
    assert (await calls("ses", "VerifyDomainDkim", Domain="new.test"))["DkimTokens"] == ["mf1", "mf2", "mf3"]
    assert "SigningHostedZone" not in (await get(calls, "new.test"))["DkimAttributes"]


@pytest.mark.parametrize("form", [PKCS1, PKCS8])
async def test_a_key_of_ones_own_takes_the_place_of_ours_until_ours_are_wanted_again(
    calls: Calls, form: serialization.PrivateFormat
) -> None:
    await calls.verified("shop.test")
    assert await own_key(calls, text_of(RSA_1024, form)) == {"DkimStatus": "PENDING", "DkimTokens": ["mine"]}
    domain = await calls.domain("shop.test")
    assert [(key.selector, key.algorithm) for key in domain.keys] == [("mine", "rsa-sha256")]
    kept = serialization.load_pem_private_key(domain.keys[0].private_pem(SEALER), None)
    assert isinstance(kept, rsa.RSAPrivateKey)
    assert kept.private_numbers() == RSA_1024.private_numbers()
    # Its mail waits until the key is seen: it would leave unsigned.
    assert (domain.hold_reason, calls.looked_anew) == ("dns_not_verified", [domain.id])
    dkim = (await get(calls))["DkimAttributes"]
    assert (dkim["SigningAttributesOrigin"], dkim["CurrentSigningKeyLength"], dkim["Tokens"]) == (
        "EXTERNAL",
        "RSA_1024_BIT",
        ["mine"],
    )
    await calls.verified("shop.test")
    again = await own_key(calls, text_of(RSA_1024, form))
    assert (again["DkimStatus"], (await calls.domain("shop.test")).hold_reason) == ("SUCCESS", "")
    ours = await own_key(calls, "", origin="AWS_SES", selector="")
    assert (ours["DkimTokens"], ours["DkimStatus"]) == (["mf1", "mf2", "mf3"], "PENDING")
    told = [changes for event, name, changes in await calls.events() if event == "domain.updated"]
    assert [each["selectors"]["to"] for each in told if "selectors" in each] == ["mine", "mf1, mf2"]
    assert text_of(RSA_1024, form)[:40] not in json.dumps(told)


async def test_a_domain_is_made_with_a_key_of_ones_own(calls: Calls) -> None:
    signing = {"DomainSigningSelector": "own", "DomainSigningPrivateKey": text_of(RSA_1024)}
    made = await calls("sesv2", "CreateEmailIdentity", EmailIdentity="byo.test", DkimSigningAttributes=signing)
    assert (made["DkimAttributes"]["Tokens"], made["DkimAttributes"]["SigningAttributesOrigin"]) == (
        ["own"],
        "EXTERNAL",
    )
    assert [key.selector for key in (await calls.domain("byo.test")).keys] == ["own"]


async def test_keys_that_cannot_sign_are_refused(calls: Calls) -> None:
    before = (await calls.domain("shop.test")).keys
    curve = ec.generate_private_key(ec.SECP256R1())
    long = rsa.generate_private_key(public_exponent=65537, key_size=2056)
    locked = RSA_1024.private_bytes(serialization.Encoding.DER, PKCS8, serialization.BestAvailableEncryption(b"pw"))
    for key in ("", "AAAA", "A", text_of(curve, PKCS8), text_of(long), base64.b64encode(locked).decode()):
        with pytest.raises(SesError) as caught:
            await own_key(calls, key)
        assert v2_spelling(caught.value).code == "BadRequestException"
    with pytest.raises(SesError, match="AWS_SES_EU_WEST_1 is not supported"):
        await own_key(calls, text_of(RSA_1024), origin="AWS_SES_EU_WEST_1")
    with pytest.raises(SesError, match="must be given with the origin EXTERNAL"):
        await own_key(calls, "", selector="")
    with pytest.raises(SesError, match="go with the origin EXTERNAL"):
        await own_key(calls, text_of(RSA_1024), origin="AWS_SES")
    signing = {"DomainSigningSelector": "own", "DomainSigningPrivateKey": text_of(RSA_1024)}
    with pytest.raises(SesError, match="only be set for a domain"):
        await calls("sesv2", "CreateEmailIdentity", EmailIdentity="b@shop.test", DkimSigningAttributes=signing)
    assert (await calls.domain("shop.test")).keys == before


async def test_the_switch_of_signing_reads_back(calls: Calls) -> None:
    await calls("sesv2", "PutEmailIdentityDkimAttributes", EmailIdentity="shop.test")  # left out means no
    v1 = await calls("ses", "GetIdentityDkimAttributes", Identities=["shop.test"])
    assert v1["DkimAttributes"]["shop.test"]["DkimEnabled"] is False
    await calls("ses", "SetIdentityDkimEnabled", Identity="shop.test", DkimEnabled=True)
    assert (await get(calls))["DkimAttributes"]["SigningEnabled"] is True


# --- return path -----------------------------------------------------------------------------------------------------


async def test_a_mail_from_domain_that_is_no_longer_wanted_makes_room(
    calls: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(custom_hosts, "MOST", 2)
    for name in ("news.shop.test", "more.shop.test"):
        await calls("sesv2", "CreateEmailIdentity", EmailIdentity=name)
    for host in ("a.shop.test", "b.shop.test", "c.shop.test"):
        await calls("ses", "SetIdentityMailFromDomain", Identity="shop.test", MailFromDomain=host)
    await calls("ses", "SetIdentityMailFromDomain", Identity="news.shop.test", MailFromDomain="a.news.shop.test")
    with pytest.raises(SesError, match="at most 2 MAIL FROM"):
        await calls("ses", "SetIdentityMailFromDomain", Identity="more.shop.test", MailFromDomain="a.more.shop.test")
    await calls("ses", "DeleteIdentity", Identity="news.shop.test")
    await calls("ses", "SetIdentityMailFromDomain", Identity="more.shop.test", MailFromDomain="a.more.shop.test")
    kept = await calls.database.read(lambda c: documents.every(c, Kind.CUSTOM_HOST))
    assert {each.name for each in kept} == {"return_path:a.more.shop.test", "return_path:c.shop.test"}


async def test_the_mail_from_domain_reads_back_in_both_spellings(calls: Calls) -> None:
    assert (await get(calls))["MailFromAttributes"] == {"BehaviorOnMxFailure": "USE_DEFAULT_VALUE"}
    await calls(
        "ses",
        "SetIdentityMailFromDomain",
        Identity="shop.test",
        MailFromDomain="Bounce.Shop.Test",
        BehaviorOnMXFailure="RejectMessage",
    )
    assert (await get(calls))["MailFromAttributes"] == {
        "MailFromDomain": "bounce.shop.test",
        "MailFromDomainStatus": "PENDING",
        "BehaviorOnMxFailure": "REJECT_MESSAGE",
    }
    path = "path.shop.test"
    await calls("sesv2", "PutEmailIdentityMailFromAttributes", EmailIdentity="shop.test", MailFromDomain=path)
    for status, word in (("missing", "Pending"), ("pass", "Success"), ("fail", "TemporaryFailure")):
        await calls.document_seen(f"return_path:{path}", status)
        calls.looked_hosts.clear()
        found = await calls("ses", "GetIdentityMailFromDomainAttributes", Identities=["shop.test"])
        assert found["MailFromDomainAttributes"]["shop.test"] == {
            "MailFromDomain": path,
            "MailFromDomainStatus": word,
            "BehaviorOnMXFailure": "UseDefaultValue",
        }
        # Whoever waits for it asks again and again.
        assert calls.looked_hosts == ([] if status == "pass" else [f"return_path:{path}"])
    for wrong in ("shop.test", "bounce.other.test", "a b"):
        with pytest.raises(SesError, match="Provided MAIL-FROM domain <"):
            await calls("ses", "SetIdentityMailFromDomain", Identity="shop.test", MailFromDomain=wrong)
    await calls("ses", "SetIdentityMailFromDomain", Identity="shop.test", MailFromDomain="")
    assert (await get(calls))["MailFromAttributes"] == {"BehaviorOnMxFailure": "USE_DEFAULT_VALUE"}


# --- notifications ---------------------------------------------------------------------------------------------------


async def test_notifications_read_back(calls: Calls) -> None:
    arn = f"arn:aws:sns:us-east-1:{calls.account:012d}:bounces"
    with pytest.raises(SesError, match=r"SNS topic <.*:bounces> not found\."):
        await calls(
            "ses", "SetIdentityNotificationTopic", Identity="shop.test", NotificationType="Bounce", SnsTopic=arn
        )
    await calls("sns", "CreateTopic", Name="bounces")
    foreign = f"arn:aws:sns:us-east-1:{calls.account + 1:012d}:bounces"
    for topic in ("bounces", arn.replace(":sns:", ":ses:"), foreign, f"{arn}:x"):
        with pytest.raises(SesError, match="not found"):
            await calls(
                "ses", "SetIdentityNotificationTopic", Identity="shop.test", NotificationType="Bounce", SnsTopic=topic
            )
    for kind in ("Bounce", "Complaint"):
        await calls("ses", "SetIdentityNotificationTopic", Identity="shop.test", NotificationType=kind, SnsTopic=arn)
    await calls("ses", "SetIdentityNotificationTopic", Identity="shop.test", NotificationType="Complaint")
    await calls(
        "ses",
        "SetIdentityHeadersInNotificationsEnabled",
        Identity="shop.test",
        NotificationType="Bounce",
        Enabled=True,
    )
    await calls("sesv2", "PutEmailIdentityFeedbackAttributes", EmailIdentity="shop.test")  # left out means no
    assert (await get(calls))["FeedbackForwardingStatus"] is False
    found = await calls("ses", "GetIdentityNotificationAttributes", Identities=["shop.test", "a@shop.test", "no.test"])
    never = {f"HeadersIn{kind}NotificationsEnabled": False for kind in ("Bounce", "Complaint", "Delivery")}
    assert found["NotificationAttributes"] == {
        "shop.test": {
            **never,
            "ForwardingEnabled": False,
            "BounceTopic": arn,
            "HeadersInBounceNotificationsEnabled": True,
        },
        "a@shop.test": {**never, "ForwardingEnabled": True},
    }
    await calls("ses", "SetIdentityFeedbackForwardingEnabled", Identity="shop.test", ForwardingEnabled=True)
    assert (await get(calls))["FeedbackForwardingStatus"] is True
    updated = [changes for event, _, changes in await calls.events() if event == "identity.updated"]
    assert updated[-1] == {"forwarding": {"from": False, "to": True}}


async def test_what_is_changed_at_the_same_moment_stands_both(calls: Calls) -> None:
    """Terraform writes all that hangs on one identity at once."""
    names = [f"policy-{number}" for number in range(8)]
    await asyncio.gather(
        *(calls("ses", "PutIdentityPolicy", Identity="shop.test", PolicyName=name, Policy=POLICY) for name in names),
        calls("ses", "SetIdentityDkimEnabled", Identity="shop.test", DkimEnabled=False),
    )
    found = await get(calls)
    assert sorted(found["Policies"]) == names
    assert found["DkimAttributes"]["SigningEnabled"] is False


async def test_every_change_of_what_is_not_there_is_refused(calls: Calls) -> None:
    changes: dict[tuple[str, str], dict[str, Any]] = {
        ("ses", "SetIdentityDkimEnabled"): {"DkimEnabled": True},
        ("ses", "SetIdentityMailFromDomain"): {"MailFromDomain": "b.no.test"},
        ("ses", "SetIdentityNotificationTopic"): {"NotificationType": "Bounce"},
        ("ses", "SetIdentityHeadersInNotificationsEnabled"): {"NotificationType": "Bounce", "Enabled": True},
        ("ses", "SetIdentityFeedbackForwardingEnabled"): {"ForwardingEnabled": True},
        ("ses", "PutIdentityPolicy"): {"PolicyName": "p", "Policy": POLICY},
        ("sesv2", "PutEmailIdentityDkimAttributes"): {},
        ("sesv2", "PutEmailIdentityDkimSigningAttributes"): {"SigningAttributesOrigin": "AWS_SES"},
        ("sesv2", "PutEmailIdentityMailFromAttributes"): {},
        ("sesv2", "PutEmailIdentityFeedbackAttributes"): {},
        ("sesv2", "PutEmailIdentityConfigurationSetAttributes"): {},
        ("sesv2", "CreateEmailIdentityPolicy"): {"PolicyName": "p", "Policy": POLICY},
        ("sesv2", "UpdateEmailIdentityPolicy"): {"PolicyName": "p", "Policy": POLICY},
        ("sesv2", "DeleteEmailIdentityPolicy"): {"PolicyName": "p"},
        ("sesv2", "GetEmailIdentityPolicies"): {},
    }
    for (dialect, operation), params in changes.items():
        for name in ("no.test", "no@shop.test"):
            member = "Identity" if dialect == "ses" else "EmailIdentity"
            with pytest.raises(SesError) as caught:
                await calls(dialect, operation, **{member: name}, **params)
            v1 = ("InvalidParameterValue", f"Identity <{name}> does not exist.")
            v2 = ("NotFound", f"Email identity {name} does not exist.")
            assert (caught.value.code, caught.value.message) == (v1 if dialect == "ses" else v2), operation


# --- policies --------------------------------------------------------------------------------------------------------


async def test_policies_of_both_versions_are_the_same(calls: Calls) -> None:
    await calls("ses", "PutIdentityPolicy", Identity="shop.test", PolicyName="one", Policy=POLICY)
    with pytest.raises(SesError, match="AlreadyExists"):
        await calls("sesv2", "CreateEmailIdentityPolicy", EmailIdentity="shop.test", PolicyName="one", Policy=POLICY)
    with pytest.raises(SesError, match="NotFound"):
        await calls("sesv2", "UpdateEmailIdentityPolicy", EmailIdentity="shop.test", PolicyName="two", Policy=POLICY)
    await calls("sesv2", "CreateEmailIdentityPolicy", EmailIdentity="shop.test", PolicyName="two", Policy=POLICY)
    changed = POLICY.replace("SendEmail", "SendRawEmail")
    await calls("sesv2", "UpdateEmailIdentityPolicy", EmailIdentity="shop.test", PolicyName="two", Policy=changed)
    found = await calls("ses", "GetIdentityPolicies", Identity="shop.test", PolicyNames=["two", "three"])
    assert found["Policies"] == {"two": changed}
    assert (await calls("ses", "ListIdentityPolicies", Identity="shop.test"))["PolicyNames"] == ["one", "two"]
    await calls("sesv2", "DeleteEmailIdentityPolicy", EmailIdentity="shop.test", PolicyName="two")
    for name in ("one", "one", "three"):
        await calls("ses", "DeleteIdentityPolicy", Identity="shop.test", PolicyName=name)
    assert (await calls("sesv2", "GetEmailIdentityPolicies", EmailIdentity="shop.test"))["Policies"] == {}
    assert (await calls("ses", "ListIdentityPolicies", Identity="no.test"))["PolicyNames"] == []


async def test_policies_have_limits(calls: Calls) -> None:
    for name, policy, code in (
        ("p", "no json", "InvalidPolicy"),
        ("p", "[]", "InvalidPolicy"),
        ("p", '{"Version": "2012-10-17"}', "InvalidPolicy"),
        ("p", json.dumps({"Statement": ["x" * 4096]}), "InvalidPolicy"),
        ("p q", POLICY, "InvalidParameterValue"),
    ):
        with pytest.raises(SesError) as caught:
            await calls("ses", "PutIdentityPolicy", Identity="shop.test", PolicyName=name, Policy=policy)
        assert caught.value.code == code
    for number in range(20):
        await calls("ses", "PutIdentityPolicy", Identity="shop.test", PolicyName=f"p{number}", Policy=POLICY)
    with pytest.raises(SesError, match="LimitExceeded"):
        await calls("ses", "PutIdentityPolicy", Identity="shop.test", PolicyName="p20", Policy=POLICY)
    await calls("ses", "PutIdentityPolicy", Identity="shop.test", PolicyName="p19", Policy=POLICY)


# --- tags ------------------------------------------------------------------------------------------------------------


async def test_tags_of_a_resource(calls: Calls) -> None:
    arn = ARN.format(account=calls.account, resource="identity/shop.test")
    await calls("sesv2", "TagResource", ResourceArn=arn, Tags=[{"Key": "a", "Value": "1"}, {"Key": "b", "Value": ""}])
    await calls("sesv2", "TagResource", ResourceArn=arn, Tags=[{"Key": "a", "Value": "2"}])
    await calls("sesv2", "UntagResource", ResourceArn=arn, TagKeys=["b", "none"])
    assert (await calls("sesv2", "ListTagsForResource", ResourceArn=arn))["Tags"] == [{"Key": "a", "Value": "2"}]
    assert (await get(calls))["Tags"] == [{"Key": "a", "Value": "2"}]
    many = [{"Key": f"k{number}", "Value": ""} for number in range(50)]
    for wrong, text in (
        (many, "at most 50 tags"),
        ([{"Key": "", "Value": "x"}], "1 to 128"),
        ([{"Key": "k" * 129, "Value": "x"}], "1 to 128"),
        ([{"Key": "k", "Value": "x" * 257}], "at most 256"),
        ([{"Key": "aws:k", "Value": "x"}], "reserved"),
        ([{"Key": "k", "Value": "x"}] * 2, "Duplicate"),
    ):
        with pytest.raises(SesError, match=text):
            await calls("sesv2", "TagResource", ResourceArn=arn, Tags=wrong)
    assert (await get(calls))["Tags"] == [{"Key": "a", "Value": "2"}]


async def test_what_is_tagged_must_be_there(calls: Calls) -> None:
    kinds = {
        "configuration-set/main": (Kind.CONFIGURATION_SET, "main"),
        "contact-list/all": (Kind.CONTACT_LIST, "all"),
        "dedicated-ip-pool/pool": (Kind.DEDICATED_IP_POOL, "pool"),
        "tenant/shop/tn-1": (Kind.TENANT, "shop"),
        "custom-verification-email-template/hello": (Kind.VERIFICATION_TEMPLATE, "hello"),
    }
    for resource, (kind, name) in kinds.items():
        arn = ARN.format(account=calls.account, resource=resource)
        with pytest.raises(SesError) as caught:
            await calls("sesv2", "ListTagsForResource", ResourceArn=arn)
        assert v2_spelling(caught.value).code == "NotFoundException"
        await calls.document(kind, name, other=1)
        await calls("sesv2", "TagResource", ResourceArn=arn, Tags=[{"Key": "k", "Value": "v"}])
        elsewhere = arn.replace("us-east-1", "eu-west-1")  # nothing has a region
        found = await calls("sesv2", "ListTagsForResource", ResourceArn=elsewhere)
        assert found["Tags"] == [{"Key": "k", "Value": "v"}]
        kept = await calls.database.read(lambda c, k=kind, n=name: documents.get(c, calls.account, k, n))  # type: ignore[misc]  # a default binds the loop variable
        assert kept
        assert kept.body["other"] == 1
    for arn, code in (
        ("shop.test", "InvalidParameterValue"),
        (ARN.format(account=calls.account, resource="thing/x"), "InvalidParameterValue"),
        (ARN.format(account=calls.account + 1, resource="identity/shop.test"), "AccessDenied"),
        (ARN.format(account=calls.account, resource="identity/no.test"), "NotFound"),
    ):
        with pytest.raises(SesError) as caught:
            await calls("sesv2", "TagResource", ResourceArn=arn, Tags=[])
        assert caught.value.code == code


async def test_tags_made_with_a_tenant_and_put_to_it_are_the_same(calls: Calls) -> None:
    tenant = await calls("sesv2", "CreateTenant", TenantName="shop", Tags=[{"Key": "a", "Value": "1"}])
    arn = tenant["TenantArn"]
    await calls("sesv2", "TagResource", ResourceArn=arn, Tags=[{"Key": "b", "Value": "2"}])
    both = [{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "2"}]
    assert (await calls("sesv2", "ListTagsForResource", ResourceArn=arn))["Tags"] == both
    assert (await calls("sesv2", "GetTenant", TenantName="shop"))["Tenant"]["Tags"] == both


async def test_a_template_has_tags(calls: Calls) -> None:
    arn = ARN.format(account=calls.account, resource="template/a b/c")
    with pytest.raises(SesError) as caught:
        await calls("sesv2", "TagResource", ResourceArn=arn, Tags=[{"Key": "a", "Value": "1"}])
    assert caught.value.code == "NotFound"
    await calls("sesv2", "CreateEmailTemplate", TemplateName="a b/c", TemplateContent={"Subject": "Hello"})
    await calls("sesv2", "TagResource", ResourceArn=arn, Tags=[{"Key": "a", "Value": "1"}])
    assert (await calls("sesv2", "ListTagsForResource", ResourceArn=arn))["Tags"] == [{"Key": "a", "Value": "1"}]
    await calls("sesv2", "DeleteEmailTemplate", TemplateName="a b/c")
    await calls("sesv2", "CreateEmailTemplate", TemplateName="a b/c", TemplateContent={"Subject": "Hello"})
    assert (await calls("sesv2", "ListTagsForResource", ResourceArn=arn))["Tags"] == []


MADE_WITH_TAGS: dict[str, dict[str, Any]] = {
    "CreateConfigurationSet": {"ConfigurationSetName": "main"},
    "CreateContactList": {"ContactListName": "all"},
    "CreateCustomVerificationEmailTemplate": {
        "TemplateName": "hello",
        "FromEmailAddress": "hello@shop.test",
        "TemplateSubject": "Hello",
        "TemplateContent": "<p>Hello</p>",
        "SuccessRedirectionURL": "https://shop.test/yes",
        "FailureRedirectionURL": "https://shop.test/no",
    },
    "CreateDedicatedIpPool": {"PoolName": "pool"},
    "CreateEmailIdentity": {"EmailIdentity": "other.test"},
    "CreateEmailTemplate": {"TemplateName": "hello", "TemplateContent": {"Subject": "Hello"}},
    "CreateTenant": {"TenantName": "shop"},
}


async def test_tags_that_a_resource_is_made_with_are_judged_as_those_that_it_is_given(calls: Calls) -> None:
    await calls.verified("shop.test")
    for operation, params in MADE_WITH_TAGS.items():
        for wrong in ([{"Key": "k", "Value": "x"}] * 2, [{"Key": "aws:k", "Value": "x"}]):
            with pytest.raises(SesError, match=r"Duplicate|reserved"):
                await calls("sesv2", operation, Tags=wrong, **params)
        await calls("sesv2", operation, Tags=[{"Key": "k", "Value": "x"}], **params)


async def test_new_keys_for_a_deleted_domain_change_nothing(calls: Calls) -> None:
    domain = await calls.domain("shop.test")
    actor = Actor("user", 1, "Ann")
    await calls.database.write(lambda c: domain_changes.remove(c, domain, actor, 5))
    keys = [("x", "ed25519-sha256", b"private", "public")]
    assert await calls.database.write(lambda c: domain_changes.replace_keys(c, SEALER, domain, keys, actor, 6)) is None
