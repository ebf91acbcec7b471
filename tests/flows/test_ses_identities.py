"""By boto3: a domain from its first call to mail that is signed as it, over TXT records, over CNAMEs, with a key of one's own."""

import asyncio
import base64
import email
import json
import time
import urllib.request
from pathlib import Path
from typing import Any
from urllib.parse import quote

import dkim as dkimpy
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from mailferry.mail import dkim
from tests.amazon import Amazon, amazon, in_thread
from tests.fakes.dns import FakeDNS
from tests.fakes.mx import FakeMX
from tests.flows.test_ses import BODY
from tests.flows.test_tracking import check_signatures
from tests.server import dkim_keys, running

POLICY = '{"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Principal": "*", "Action": "ses:SendEmail"}]}'


@pytest.fixture
async def cloud(tmp_path: Path, database_url: str) -> Any:
    async with amazon(tmp_path, database_url) as found:
        yield found


async def publish(cloud: Amazon, name: str) -> None:
    """What the command line says that a domain is to publish, and a look for it at once."""
    for record in await in_thread(cloud.server.command, "domains", "records", name):
        zone = cloud.dns.zone
        zone[record["domain"]] = {**zone.get(record["domain"], {}), record["type"]: record["value"]}
    assert (await in_thread(cloud.server.command, "domains", "verify", name))["dns_verified"]


async def mail_of(cloud: Amazon, sender: str) -> bytes:
    count = len(cloud.mx.transactions)
    await in_thread(
        cloud.client("sesv2").send_email,
        FromEmailAddress=sender,
        Destination={"ToAddresses": ["a@dest.test"]},
        Content={"Simple": {"Subject": {"Data": "Hi"}, "Body": BODY}},
    )
    return bytes((await cloud.mx.received(count + 1))[-1].content)


async def test_a_domain_and_an_address_in_it_are_verified_and_send(cloud: Amazon) -> None:
    v1, v2 = cloud.client("ses"), cloud.client("sesv2")
    token = (await in_thread(v1.verify_domain_identity, Domain="Shop.test"))["VerificationToken"]
    await in_thread(v1.verify_email_identity, EmailAddress="ann@shop.test")
    with pytest.raises(v2.exceptions.AlreadyExistsException):
        await in_thread(v2.create_email_identity, EmailIdentity="shop.test")
    asked = {"Identities": ["shop.test", "ann@shop.test"]}
    found = await in_thread(v1.get_identity_verification_attributes, **asked)
    assert found["VerificationAttributes"] == {
        "shop.test": {"VerificationStatus": "Pending", "VerificationToken": token},
        "ann@shop.test": {"VerificationStatus": "Pending"},
    }
    with pytest.raises(v2.exceptions.MessageRejected, match="Email address is not verified"):
        await mail_of(cloud, "ann@shop.test")

    await publish(cloud, "shop.test")

    waiter = v1.get_waiter("identity_exists")
    await in_thread(waiter.wait, **asked, WaiterConfig={"MaxAttempts": 1})
    shown = await in_thread(v2.get_email_identity, EmailIdentity="shop.test")
    assert shown["VerifiedForSendingStatus"]
    assert shown["DkimAttributes"]["Status"] == "SUCCESS"
    check_signatures(await mail_of(cloud, "ann@shop.test"), cloud.dns)

    listed = await in_thread(
        lambda: list(v1.get_paginator("list_identities").paginate(PaginationConfig={"PageSize": 1}))
    )
    assert [each["Identities"] for each in listed if each["Identities"][0] != "demo.mailferry.test"] == [
        ["ann@shop.test"],
        ["sender.test"],
        ["shop.test"],
    ]
    # A name in a path has its @ encoded.
    await in_thread(v2.delete_email_identity, EmailIdentity="ann@shop.test")
    with pytest.raises(v2.exceptions.NotFoundException):
        await in_thread(v2.get_email_identity, EmailIdentity="ann@shop.test")
    await in_thread(v1.delete_verified_email_address, EmailAddress="ann@shop.test")
    await in_thread(v1.delete_identity, Identity="shop.test")
    with pytest.raises(v2.exceptions.MessageRejected):
        await mail_of(cloud, "ann@shop.test")


async def test_a_key_of_ones_own_signs_once_it_is_seen(cloud: Amazon) -> None:
    v2 = cloud.client("sesv2")
    await in_thread(v2.create_email_identity, EmailIdentity="shop.test")
    await publish(cloud, "shop.test")
    check_signatures(await mail_of(cloud, "a@shop.test"), cloud.dns)
    key = rsa.generate_private_key(public_exponent=65537, key_size=1024)
    octets = key.private_bytes(
        serialization.Encoding.DER, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )
    record = dkim.record("rsa-sha256", dkim.public_part(key))
    cloud.dns.zone["own._domainkey.shop.test"] = {"TXT": record}
    put = await in_thread(
        v2.put_email_identity_dkim_signing_attributes,
        EmailIdentity="shop.test",
        SigningAttributesOrigin="EXTERNAL",
        SigningAttributes={
            "DomainSigningSelector": "own",
            "DomainSigningPrivateKey": base64.b64encode(octets).decode(),
        },
    )
    assert put["DkimTokens"] == ["own"]
    # It is looked for at once, although the domain was looked up a moment ago.
    until = time.monotonic() + 20
    while (await in_thread(v2.get_email_identity, EmailIdentity="shop.test"))["DkimAttributes"]["Status"] != "SUCCESS":
        assert time.monotonic() < until
        await asyncio.sleep(0.1)
    content = await mail_of(cloud, "a@shop.test")
    signatures = email.message_from_bytes(content).get_all("DKIM-Signature")
    assert signatures
    assert ["s=own;" in value for value in signatures] == [True]
    keys = dkim_keys(cloud.dns)
    assert dkimpy.DKIM(content).verify(dnsfunc=lambda name, timeout=5: keys[name.decode().rstrip(".")].encode())


async def test_what_terraform_does_reads_back(cloud: Amazon) -> None:
    """Each resource created and read at once, then the tags of its ARN, which it makes of the caller's account."""
    v1, v2, sts = cloud.client("ses"), cloud.client("sesv2"), cloud.client("sts")
    tags = [{"Key": "team", "Value": "shop"}]
    await in_thread(v2.create_email_identity, EmailIdentity="shop.test", Tags=tags)
    account = (await in_thread(sts.get_caller_identity))["Account"]
    arn = f"arn:aws:ses:us-east-1:{account}:identity/shop.test"
    assert (await in_thread(v2.list_tags_for_resource, ResourceArn=arn))["Tags"] == tags
    await in_thread(v2.tag_resource, ResourceArn=arn, Tags=[{"Key": "stage", "Value": "test"}])
    await in_thread(v2.untag_resource, ResourceArn=arn, TagKeys=["team"])
    await in_thread(
        v2.put_email_identity_mail_from_attributes,
        EmailIdentity="shop.test",
        MailFromDomain="bounce.shop.test",
        BehaviorOnMxFailure="REJECT_MESSAGE",
    )
    await in_thread(v2.put_email_identity_feedback_attributes, EmailIdentity="shop.test", EmailForwardingEnabled=False)
    await in_thread(v2.create_email_identity_policy, EmailIdentity="shop.test", PolicyName="only", Policy=POLICY)
    shown = await in_thread(v2.get_email_identity, EmailIdentity="shop.test")
    assert {name: shown[name] for name in ("Tags", "Policies", "FeedbackForwardingStatus", "IdentityType")} == {
        "Tags": [{"Key": "stage", "Value": "test"}],
        "Policies": {"only": POLICY},
        "FeedbackForwardingStatus": False,
        "IdentityType": "DOMAIN",
    }
    assert shown["MailFromAttributes"]["MailFromDomain"] == "bounce.shop.test"
    tokens = (await in_thread(v1.verify_domain_dkim, Domain="shop.test"))["DkimTokens"]
    assert len(tokens) == 3
    seen = await in_thread(v1.get_identity_notification_attributes, Identities=["shop.test"])
    assert seen["NotificationAttributes"]["shop.test"]["ForwardingEnabled"] is False
    with pytest.raises(v1.exceptions.InvalidPolicyException):
        await in_thread(v1.put_identity_policy, Identity="shop.test", PolicyName="p", Policy="no")
    await in_thread(v2.delete_email_identity, EmailIdentity="shop.test")
    with pytest.raises(v2.exceptions.NotFoundException):
        await in_thread(v2.list_tags_for_resource, ResourceArn=arn)


async def test_older_clients_list_by_get_and_put_keys_below_v1(cloud: Amazon) -> None:
    """The paths of the models of other SDKs (mistake 19)."""
    found = await in_thread(signed, cloud, "GET", "/v2/email/identities?PageSize=1")
    assert len(found["EmailIdentities"]) == 1
    rest = await in_thread(signed, cloud, "GET", f"/v2/email/identities?NextToken={quote(found['NextToken'])}")
    assert [each["IdentityName"] for each in rest["EmailIdentities"]] == ["sender.test"]
    path = "/v1/email/identities/sender.test/dkim/signing"
    put = await in_thread(signed, cloud, "PUT", path, b'{"SigningAttributesOrigin":"AWS_SES"}')
    assert put["DkimStatus"] == "SUCCESS"


def signed(cloud: Amazon, method: str, path: str, body: bytes | None = None) -> Any:
    request = AWSRequest(method, f"http://127.0.0.1:{cloud.server.http}{path}", data=body)
    pair = cloud.pair
    SigV4Auth(Credentials(pair["access_key_id"], pair["secret_access_key"]), "ses", "us-east-1").add_auth(request)
    prepared = request.prepare()
    asked = urllib.request.Request(prepared.url, body, dict(prepared.headers), method=method)
    with urllib.request.urlopen(asked, timeout=30) as answer:
        return json.loads(answer.read())


async def test_the_cnames_that_a_tool_writes_verify_the_keys(tmp_path: Path) -> None:
    """``<token>._domainkey.<domain>`` is a CNAME to ``<token>.<SigningHostedZone>``, in the operator's own zone."""
    async with (
        FakeDNS() as dns,
        FakeMX() as mx,
        running(tmp_path, dns, smtp_port=mx.port, dns__zone="mail.example") as server,
    ):
        cloud = Amazon(server, dns, mx)
        v2 = cloud.client("sesv2")
        made = (await in_thread(v2.create_email_identity, EmailIdentity="shop.test"))["DkimAttributes"]
        assert made["Status"] == "PENDING"
        for token in made["Tokens"]:
            dns.zone[f"{token}._domainkey.shop.test"] = {"CNAME": f"{token}.{made['SigningHostedZone']}"}
        for line in (await in_thread(server.command, "dns", "export"))["zone"].splitlines():
            if " IN TXT " in line:
                name, _, text = line.partition(". 3600 IN TXT ")
                dns.zone[name] = {"TXT": "".join(text.split('"')[1::2])}
        await in_thread(server.command, "domains", "verify", "shop.test", check=False)
        shown = await in_thread(v2.get_email_identity, EmailIdentity="shop.test")
        assert shown["DkimAttributes"]["Status"] == "SUCCESS"
