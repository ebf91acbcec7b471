"""What is too much, or what no database takes, is refused before it costs anything, and is no mistake of the server."""

import base64
from typing import Any

import msgspec
import pytest

from mailferry.endpoints.ses import rest_json
from mailferry.endpoints.ses.errors import SesError, v2_spelling
from mailferry.endpoints.ses.model import service
from mailferry.resources.arns import account_of
from mailferry.store.database import Database
from tests.conftest import Clock
from tests.ses_calls import Calls

DAY = 86_400_000
#: Stands for the name in a request.
NAME = "NAME"


def watching(name: str, default: str = "none") -> dict[str, Any]:
    dimension = {"DimensionName": name, "DimensionValueSource": "MESSAGE_TAG", "DefaultDimensionValue": default}
    return {"CloudWatchDestination": {"DimensionConfigurations": [dimension]}}


@pytest.fixture
async def calls(database: Database, clock: Clock) -> Calls:
    return await Calls.furnished(database, clock)


@pytest.mark.parametrize(
    ("dialect", "operation", "member"),
    [
        ("sesv2", "GetTenant", "TenantName"),
        ("sesv2", "CreateTenant", "TenantName"),
        ("sesv2", "GetDedicatedIpPool", "PoolName"),
        ("ses", "DescribeReceiptRuleSet", "RuleSetName"),
        ("ses", "CreateReceiptRuleSet", "RuleSetName"),
    ],
)
async def test_no_name_holds_a_nul(calls: Calls, dialect: str, operation: str, member: str) -> None:
    with pytest.raises(SesError, match="must not hold a NUL"):
        await calls(dialect, operation, **{member: "a\0b"})


@pytest.mark.parametrize("name", ["", "a b", "ü", "a" * 65])
@pytest.mark.parametrize(
    ("dialect", "operation", "params"),
    [
        ("ses", "CreateConfigurationSet", {"ConfigurationSet": {"Name": NAME}}),
        ("sesv2", "CreateConfigurationSet", {"ConfigurationSetName": NAME}),
        ("sesv2", "CreateTenant", {"TenantName": NAME}),
        ("sesv2", "CreateDedicatedIpPool", {"PoolName": NAME}),
        ("ses", "CreateReceiptRuleSet", {"RuleSetName": NAME}),
        ("ses", "CreateReceiptRule", {"RuleSetName": "set", "Rule": {"Name": NAME}}),
        (
            "ses",
            "CreateReceiptFilter",
            {"Filter": {"Name": NAME, "IpFilter": {"Policy": "Block", "Cidr": "10.0.0.0/8"}}},
        ),
    ],
)
async def test_a_name_that_nobody_could_use_is_given_to_nothing(
    calls: Calls, dialect: str, operation: str, params: dict[str, Any], name: str
) -> None:
    with pytest.raises(SesError, match=r"1 to 64 letters|Member must") as caught:
        await calls(dialect, operation, **_named(params, name))
    assert v2_spelling(caught.value).code == "BadRequestException"


def _named(params: Any, name: str) -> Any:
    if isinstance(params, dict):
        return {key: _named(value, name) for key, value in params.items()}
    return name if params is NAME else params


@pytest.mark.parametrize(
    ("name", "destination", "code"),
    [
        ("", watching("order"), "InvalidParameterValue"),
        ("d" * 65, watching("order"), "InvalidParameterValue"),
        ("d", watching(""), "InvalidCloudWatchDestination"),
        ("d", watching('a"}\nb{'), "InvalidCloudWatchDestination"),
        ("d", watching("n" * 257), "InvalidCloudWatchDestination"),
        ("d", watching("order", "v" * 257), "InvalidCloudWatchDestination"),
        ("d", watching("order", ""), "InvalidCloudWatchDestination"),
        ("d", {"EventBridgeDestination": {"EventBusArn": "default"}}, "InvalidParameterValue"),
        (
            "d",
            {"KinesisFirehoseDestination": {"IamRoleArn": "role", "DeliveryStreamArn": "mail"}},
            "InvalidFirehoseDestination",
        ),
    ],
)
async def test_a_destination_is_one_that_can_be_told(
    calls: Calls, name: str, destination: dict[str, Any], code: str
) -> None:
    await calls("sesv2", "CreateConfigurationSet", ConfigurationSetName="set")
    body = {"MatchingEventTypes": ["SEND"], **destination}
    names = {"ConfigurationSetName": "set", "EventDestinationName": name}
    with pytest.raises(SesError) as caught:
        await calls("sesv2", "CreateConfigurationSetEventDestination", **names, EventDestination=body)
    assert caught.value.code == code
    found = await calls("sesv2", "GetConfigurationSetEventDestinations", ConfigurationSetName="set")
    assert found == {"EventDestinations": []}


async def test_no_page_s_token_holds_a_nul(calls: Calls) -> None:
    with pytest.raises(SesError, match="Invalid NextToken"):
        await calls("sesv2", "ListTenants", NextToken=base64.urlsafe_b64encode(b"a\0b").decode())


@pytest.mark.parametrize(
    "name", ["arn:aws:sns:us-east-1:000000000001:a\0", f"arn:aws:sns:us-east-1:{'9' * 20}:a", f"a:b:c:d:{'9' * 5000}:e"]
)
def test_an_arn_without_an_account_that_can_be(name: str) -> None:
    """Whoever has no key asks by ARNs too."""
    assert account_of(name) is None


def test_lists_have_an_end() -> None:
    operation = service("sesv2").operations["SendEmail"]
    many = msgspec.json.encode({"Content": {}, "EmailTags": [{"Name": "a", "Value": "b"}] * 1001})
    with pytest.raises(SesError, match="at most 1000") as caught:
        rest_json.read(operation, {}, [], many)
    assert caught.value.code == "SerializationException"


@pytest.mark.parametrize("moment", ["1e300", "1e15", "-1e12", "253402300800"])
def test_moments_are_of_this_calendar(moment: str) -> None:
    operation = service("sesv2").operations["BatchGetMetricData"]
    body = b'{"Queries": [{"Id": "a", "Namespace": "VDM", "Metric": "SEND", "StartDate": %b, "EndDate": 1}]}'
    with pytest.raises(SesError, match="is no timestamp"):
        rest_json.read(operation, {}, [], body % moment.encode())
