"""What is kept without effect on mail reads back: receipt rules, pools, tenants, reputation, the account's plan; and topics.

Held on both databases, in process. Beside it stands that no operation is said to do something and is tried by no test.
"""

import re
from pathlib import Path
from typing import Any

import pytest
from botocore import xform_name

from mailferry.endpoints.ses.errors import SesError
from mailferry.endpoints.ses.operation import Does
from mailferry.endpoints.ses.table import TABLE
from mailferry.store.database import Database
from tests.conftest import Clock
from tests.ses_calls import Calls

TESTS = Path(__file__).parent
IDENTITY = "arn:aws:ses:us-east-1:000000000001:identity/shop.test"
TEMPLATE = "arn:aws:ses:us-east-1:000000000001:template/welcome"
STOP = {"StopAction": {"Scope": "RuleSet"}}


@pytest.fixture
async def calls(database: Database, clock: Clock) -> Calls:
    return await Calls.furnished(database, clock)


async def code_of(calls: Calls, dialect: str, operation: str, **params: Any) -> str:
    with pytest.raises(SesError) as caught:
        await calls(dialect, operation, **params)
    return caught.value.code


async def rules(calls: Calls, name: str) -> list[str]:
    found = await calls("ses", "DescribeReceiptRuleSet", RuleSetName=name)
    return [each["Name"] for each in found["Rules"]]


async def test_receipt_rules_stand_in_the_order_that_they_were_given(calls: Calls) -> None:
    await calls("ses", "CreateReceiptRuleSet", RuleSetName="main")
    for name, after in (("first", {}), ("last", {"After": "first"}), ("middle", {"After": "first"}), ("zeroth", {})):
        await calls("ses", "CreateReceiptRule", RuleSetName="main", Rule={"Name": name, "Actions": [STOP]}, **after)
    assert await rules(calls, "main") == ["zeroth", "first", "middle", "last"]
    await calls("ses", "SetReceiptRulePosition", RuleSetName="main", RuleName="zeroth", After="last")
    await calls("ses", "ReorderReceiptRuleSet", RuleSetName="main", RuleNames=["last", "first", "middle", "zeroth"])
    await calls("ses", "SetReceiptRulePosition", RuleSetName="main", RuleName="middle")
    assert await rules(calls, "main") == ["middle", "last", "first", "zeroth"]
    for names in (["last"], ["last", "first", "middle", "other"], ["last", "first", "middle", "zeroth", "zeroth"]):
        assert await code_of(calls, "ses", "ReorderReceiptRuleSet", RuleSetName="main", RuleNames=names) == (
            "InvalidParameterValue"
        )
    rule = {"Name": "first", "Enabled": True, "Recipients": ["a@shop.test"], "TlsPolicy": "Require"}
    await calls("ses", "UpdateReceiptRule", RuleSetName="main", Rule=rule)
    found = await calls("ses", "DescribeReceiptRule", RuleSetName="main", RuleName="first")
    assert found == {"Rule": {**rule, "Actions": [], "ScanEnabled": False}}
    await calls("ses", "DeleteReceiptRule", RuleSetName="main", RuleName="first")
    await calls("ses", "DeleteReceiptRule", RuleSetName="main", RuleName="first")
    assert await rules(calls, "main") == ["middle", "last", "zeroth"]
    missing = {"RuleSetName": "main", "RuleName": "first"}
    assert await code_of(calls, "ses", "DescribeReceiptRule", **missing) == "RuleDoesNotExist"
    lambda_ = {
        "Name": "amazon",
        "Actions": [{"LambdaAction": {"FunctionArn": "arn:aws:lambda:us-east-1:1:function:f"}}],
    }
    assert await code_of(calls, "ses", "CreateReceiptRule", RuleSetName="main", Rule=lambda_) == "InvalidParameterValue"


async def test_one_receipt_rule_set_is_active_and_stays(calls: Calls) -> None:
    await calls("ses", "CreateReceiptRuleSet", RuleSetName="main")
    await calls("ses", "CreateReceiptRule", RuleSetName="main", Rule={"Name": "stop", "Actions": [STOP]})
    await calls("ses", "CloneReceiptRuleSet", RuleSetName="copy", OriginalRuleSetName="main")
    assert await rules(calls, "copy") == ["stop"]
    assert await code_of(calls, "ses", "CreateReceiptRuleSet", RuleSetName="copy") == "AlreadyExists"
    assert await calls("ses", "DescribeActiveReceiptRuleSet") is None
    await calls("ses", "SetActiveReceiptRuleSet", RuleSetName="copy")
    active = await calls("ses", "DescribeActiveReceiptRuleSet")
    assert active["Metadata"]["Name"] == "copy"
    assert await code_of(calls, "ses", "DeleteReceiptRuleSet", RuleSetName="copy") == "CannotDelete"
    assert await code_of(calls, "ses", "SetActiveReceiptRuleSet", RuleSetName="none") == "RuleSetDoesNotExist"
    await calls("ses", "SetActiveReceiptRuleSet")
    for _ in range(2):
        await calls("ses", "DeleteReceiptRuleSet", RuleSetName="copy")
    assert [each["Name"] for each in (await calls("ses", "ListReceiptRuleSets"))["RuleSets"]] == ["main"]


async def test_receipt_filters_read_back(calls: Calls) -> None:
    block = {"Name": "block", "IpFilter": {"Policy": "Block", "Cidr": "10.0.0.0/8"}}
    await calls("ses", "CreateReceiptFilter", Filter=block)
    assert await code_of(calls, "ses", "CreateReceiptFilter", Filter=block) == "AlreadyExists"
    assert await calls("ses", "ListReceiptFilters") == {"Filters": [block]}
    for _ in range(2):
        await calls("ses", "DeleteReceiptFilter", FilterName="block")
    assert await calls("ses", "ListReceiptFilters") == {"Filters": []}


async def test_pools_read_back_and_hold_no_address(calls: Calls) -> None:
    for name in ("bulk", "news"):
        await calls("sesv2", "CreateDedicatedIpPool", PoolName=name)
    assert await calls("sesv2", "ListDedicatedIpPools") == {"DedicatedIpPools": ["bulk", "news"]}
    await calls("sesv2", "PutDedicatedIpPoolScalingAttributes", PoolName="news", ScalingMode="MANAGED")
    found = await calls("sesv2", "GetDedicatedIpPool", PoolName="news")
    assert found["DedicatedIpPool"] == {"PoolName": "news", "ScalingMode": "MANAGED"}
    assert await calls("sesv2", "GetDedicatedIps", PoolName="news") == {"DedicatedIps": []}
    assert await code_of(calls, "sesv2", "GetDedicatedIps", PoolName="other") == "NotFound"
    for operation, more in (
        ("GetDedicatedIp", {}),
        ("PutDedicatedIpInPool", {"DestinationPoolName": "news"}),
        ("PutDedicatedIpWarmupAttributes", {"WarmupPercentage": 1}),
    ):
        assert await code_of(calls, "sesv2", operation, Ip="192.0.2.1", **more) == "NotFound"
    await calls("sesv2", "DeleteDedicatedIpPool", PoolName="bulk")
    assert await calls("sesv2", "ListDedicatedIpPools") == {"DedicatedIpPools": ["news"]}
    assert await code_of(calls, "sesv2", "DeleteDedicatedIpPool", PoolName="bulk") == "NotFound"


async def test_tenants_and_what_is_tied_to_them_read_back(calls: Calls) -> None:
    for name in ("acme", "other"):
        await calls("sesv2", "CreateTenant", TenantName=name)
        await calls("sesv2", "CreateTenantResourceAssociation", TenantName=name, ResourceArn=IDENTITY)
    await calls("sesv2", "CreateTenantResourceAssociation", TenantName="acme", ResourceArn=TEMPLATE)
    tied = {"TenantName": "acme", "ResourceArn": TEMPLATE}
    assert await code_of(calls, "sesv2", "CreateTenantResourceAssociation", **tied) == "AlreadyExists"
    found = await calls("sesv2", "ListTenantResources", TenantName="acme")
    assert {each["ResourceArn"] for each in found["TenantResources"]} == {IDENTITY, TEMPLATE}
    chosen = await calls(
        "sesv2", "ListTenantResources", TenantName="acme", Filter={"RESOURCE_TYPE": "EMAIL_TEMPLATE"}, PageSize=1
    )
    assert chosen["TenantResources"] == [{"ResourceType": "EMAIL_TEMPLATE", "ResourceArn": TEMPLATE}]
    names, token = [], {}
    while True:
        page = await calls("sesv2", "ListResourceTenants", ResourceArn=IDENTITY, PageSize=1, **token)
        names += [each["TenantName"] for each in page["ResourceTenants"]]
        if "NextToken" not in page:
            break
        token = {"NextToken": page["NextToken"]}
    assert names == ["acme", "other"]
    await calls("sesv2", "DeleteTenantResourceAssociation", **tied)
    assert await code_of(calls, "sesv2", "DeleteTenantResourceAssociation", **tied) == "NotFound"
    assert await calls("sesv2", "ListResourceTenants", ResourceArn=TEMPLATE) == {"ResourceTenants": []}
    own = {"SuppressedReasons": ["BOUNCE"], "SuppressionScope": "TENANT"}
    await calls("sesv2", "PutTenantSuppressionAttributes", TenantName="acme", **own)
    assert (await calls("sesv2", "GetTenant", TenantName="acme"))["Tenant"]["SuppressionAttributes"] == own
    await calls("sesv2", "DeleteTenant", TenantName="acme")
    assert [each["TenantName"] for each in (await calls("sesv2", "ListTenants"))["Tenants"]] == ["other"]


async def test_reputation_is_what_the_customer_said(calls: Calls) -> None:
    entity = {"ReputationEntityType": "RESOURCE", "ReputationEntityReference": IDENTITY}
    assert await calls("sesv2", "ListReputationEntities") == {"ReputationEntities": []}
    policy = "arn:aws:ses:us-east-1:aws:reputation-policy/strict"
    await calls("sesv2", "UpdateReputationEntityPolicy", **entity, ReputationEntityPolicy=policy)
    await calls("sesv2", "UpdateReputationEntityCustomerManagedStatus", **entity, SendingStatus="DISABLED")
    found = (await calls("sesv2", "GetReputationEntity", **entity))["ReputationEntity"]
    assert (found["CustomerManagedStatus"]["Status"], found["SendingStatusAggregate"]) == ("DISABLED", "DISABLED")
    assert found["ReputationManagementPolicy"] == policy
    assert await calls("sesv2", "ListReputationEntities") == {"ReputationEntities": [found]}
    long = {**entity, "ReputationEntityReference": f"arn:{'x' * 5000}", "SendingStatus": "DISABLED"}
    assert await code_of(calls, "sesv2", "UpdateReputationEntityCustomerManagedStatus", **long) == (
        "InvalidParameterValue"
    )


async def test_what_is_said_of_the_account_is_told_of_it(calls: Calls) -> None:
    before = await calls("sesv2", "GetAccount")
    assert (before["DedicatedIpAutoWarmupEnabled"], "PricingAttributes" in before) == (False, False)
    await calls("sesv2", "PutAccountDedicatedIpWarmupAttributes", AutoWarmupEnabled=True)
    await calls("sesv2", "PutAccountPricingAttributes", Plan="PRO")
    after = await calls("sesv2", "GetAccount")
    assert (after["DedicatedIpAutoWarmupEnabled"], after["PricingAttributes"]) == (True, {"CurrentPlan": "PRO"})
    assert await calls("sesv2", "GetDeliverabilityDashboardOptions") == {"DashboardEnabled": False}


async def test_a_topic_goes_with_its_subscriptions(calls: Calls) -> None:
    kept, gone = [(await calls("sns", "CreateTopic", Name=name))["TopicArn"] for name in ("kept", "gone")]
    assert await calls("sns", "ListTopics") == {"Topics": [{"TopicArn": gone}, {"TopicArn": kept}]}
    made = [
        await calls(
            "sns",
            "Subscribe",
            TopicArn=topic,
            Protocol="https",
            Endpoint="https://receiver.test/hook",
            ReturnSubscriptionArn=True,
            Attributes={"RawMessageDelivery": "true"},
        )
        for topic in (kept, gone)
    ]
    arn, other = [each["SubscriptionArn"] for each in made]
    attributes = (await calls("sns", "GetSubscriptionAttributes", SubscriptionArn=arn))["Attributes"]
    assert (attributes["TopicArn"], attributes["Endpoint"]) == (kept, "https://receiver.test/hook")
    assert (attributes["RawMessageDelivery"], attributes["PendingConfirmation"]) == ("true", "true")
    for _ in range(2):
        await calls("sns", "DeleteTopic", TopicArn=gone)
    assert await calls("sns", "ListTopics") == {"Topics": [{"TopicArn": kept}]}
    assert await code_of(calls, "sns", "GetTopicAttributes", TopicArn=gone) == "NotFound"
    assert await code_of(calls, "sns", "GetSubscriptionAttributes", SubscriptionArn=other) == "NotFound"


@pytest.mark.parametrize("does", [Does.FULL, Does.STORED])
def test_what_an_operation_is_said_to_do_is_tried_by_name(does: Does) -> None:
    """The test that calls every operation shows that it answers, and not that anything comes of it."""
    sources = (each for each in TESTS.rglob("*") if each.suffix in (".py", ".cjs"))
    words = {
        word
        for each in sources
        if each.name != "test_endpoints_ses_every_operation.py"
        for word in re.findall(r"\w[\w-]*", each.read_text())
    }
    spellings = {
        name: {name, f"{name}Command", xform_name(name), xform_name(name, "-")}
        for operations in TABLE.values()
        for name, operation in operations.items()
        if operation.does is does
    }
    assert [name for name, found in spellings.items() if not found & words] == []


def test_each_of_the_twenty_usual_mistakes_has_a_test_that_bears_its_number() -> None:
    named = re.compile(r"def test_((?:\d+_(?:and_)?)+)")
    sources = [*TESTS.glob("test_endpoints_ses_mistakes_*.py"), *(TESTS / "flows").glob("test_ses_*.py")]
    found = {
        int(number)
        for each in sources
        for head in named.findall(each.read_text())
        for number in re.findall(r"\d+", head)
    }
    assert set(range(1, 21)) <= found
