"""What several clients change of one thing at the same moment stands all of it: nobody writes back what was before."""

import asyncio
import time
from typing import Any

import pytest

from mailferry.endpoints.ses.errors import SesError
from mailferry.resources import documents
from mailferry.store.database import Database
from tests.conftest import Clock
from tests.ses_calls import Calls

NUMBERS = range(8)


@pytest.fixture
async def calls(database: Database, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Calls:
    """Between reading and writing each of them lets the others read."""
    written = documents.replace

    def replace(*arguments: Any) -> bool:
        time.sleep(0.03)
        return written(*arguments)

    monkeypatch.setattr(documents, "replace", replace)
    return await Calls.furnished(database, clock)


async def test_settings_of_the_account(calls: Calls) -> None:
    await asyncio.gather(
        calls("sesv2", "PutAccountSendingAttributes", SendingEnabled=False),
        calls("sesv2", "PutAccountSuppressionAttributes", SuppressedReasons=["BOUNCE"]),
        calls("sesv2", "PutAccountDedicatedIpWarmupAttributes", AutoWarmupEnabled=True),
        calls("sesv2", "PutAccountVdmAttributes", VdmAttributes={"VdmEnabled": "ENABLED"}),
        calls("sesv2", "PutAccountDetails", MailType="TRANSACTIONAL", WebsiteURL="https://shop.test"),
    )
    found = await calls("sesv2", "GetAccount")
    assert found["SendingEnabled"] is False
    assert found["SuppressionAttributes"] == {"SuppressedReasons": ["BOUNCE"]}
    assert found["DedicatedIpAutoWarmupEnabled"] is True
    assert found["VdmAttributes"] == {"VdmEnabled": "ENABLED"}
    assert found["Details"]["WebsiteURL"] == "https://shop.test"


async def test_what_is_set_of_a_pool_beside_its_tags(calls: Calls) -> None:
    await calls("sesv2", "CreateDedicatedIpPool", PoolName="own")
    arn = "arn:aws:ses:us-east-1:000000000001:dedicated-ip-pool/own"
    tags = [{"Key": str(number), "Value": "x"} for number in NUMBERS]
    await asyncio.gather(
        calls("sesv2", "PutDedicatedIpPoolScalingAttributes", PoolName="own", ScalingMode="MANAGED"),
        *(calls("sesv2", "TagResource", ResourceArn=arn, Tags=[tag]) for tag in tags),
    )
    assert (await calls("sesv2", "GetDedicatedIpPool", PoolName="own"))["DedicatedIpPool"]["ScalingMode"] == "MANAGED"
    found = (await calls("sesv2", "ListTagsForResource", ResourceArn=arn))["Tags"]
    assert sorted(found, key=lambda each: each["Key"]) == tags
    with pytest.raises(SesError, match="cannot become a standard one"):
        await calls("sesv2", "PutDedicatedIpPoolScalingAttributes", PoolName="own", ScalingMode="STANDARD")


async def test_resources_of_a_tenant(calls: Calls) -> None:
    await calls("sesv2", "CreateTenant", TenantName="shop")
    arns = [f"arn:aws:ses:us-east-1:000000000001:identity/{number}.test" for number in NUMBERS]
    await asyncio.gather(
        *(calls("sesv2", "CreateTenantResourceAssociation", TenantName="shop", ResourceArn=arn) for arn in arns)
    )
    found = await calls("sesv2", "ListTenantResources", TenantName="shop")
    assert [each["ResourceArn"] for each in found["TenantResources"]] == arns


async def test_rules_of_a_receipt_rule_set(calls: Calls) -> None:
    await calls("ses", "CreateReceiptRuleSet", RuleSetName="all")
    names = [f"rule-{number}" for number in NUMBERS]
    await asyncio.gather(*(calls("ses", "CreateReceiptRule", RuleSetName="all", Rule={"Name": name}) for name in names))
    found = await calls("ses", "DescribeReceiptRuleSet", RuleSetName="all")
    assert sorted(each["Name"] for each in found["Rules"]) == names


async def test_status_and_policy_of_a_reputation_entity(calls: Calls) -> None:
    entity = {
        "ReputationEntityType": "RESOURCE",
        "ReputationEntityReference": "arn:aws:ses:us-east-1:1:identity/a.test",
    }
    policy = "arn:aws:ses:us-east-1:aws:reputation-policy/strict"
    await asyncio.gather(
        calls("sesv2", "UpdateReputationEntityCustomerManagedStatus", **entity, SendingStatus="DISABLED"),
        calls("sesv2", "UpdateReputationEntityPolicy", **entity, ReputationEntityPolicy=policy),
    )
    found = (await calls("sesv2", "GetReputationEntity", **entity))["ReputationEntity"]
    assert (found["CustomerManagedStatus"]["Status"], found["ReputationManagementPolicy"]) == ("DISABLED", policy)
