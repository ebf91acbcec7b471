"""Values that no client of Amazon's sends, and somebody will: numbers out of range, NUL in names, periods without end."""

from typing import Any

import pytest

from mailferry.endpoints.ses import paging, query, rest_json
from mailferry.endpoints.ses.errors import SesError
from mailferry.endpoints.ses.metrics import MOST_DAYS
from mailferry.endpoints.ses.model import service
from mailferry.resources import accounts, arns, documents
from mailferry.resources.documents import Kind
from mailferry.store.database import Database
from tests.conftest import Clock
from tests.ses_calls import Calls

V1, V2 = service("ses"), service("sesv2")
DAY_MS = 86_400_000


@pytest.fixture
async def calls(database: Database, clock: Clock) -> Calls:
    return Calls(database, clock, await database.write(lambda c: accounts.create_account(c, "Shop", clock())))


def metrics(**members: Any) -> dict[str, Any]:
    return {"Id": "q", "Namespace": "VDM", "Metric": "SEND", "StartDate": 0, "EndDate": DAY_MS, **members}


async def test_a_period_of_metrics_has_an_end(calls: Calls) -> None:
    """Every day is answered, so a period of a million years would fill the memory."""
    longest, longer = (metrics(EndDate=days * DAY_MS) for days in (MOST_DAYS, MOST_DAYS + 1))
    found = await calls("sesv2", "BatchGetMetricData", Queries=[longest, {**longer, "Id": "long"}])
    assert [(each["Id"], len(each["Values"])) for each in found["Results"]] == [("q", MOST_DAYS)]
    assert [(each["Id"], str(MOST_DAYS) in each["Message"]) for each in found["Errors"]] == [("long", True)]


@pytest.mark.parametrize("value", [1e300, -1e300, 10**30, 2**63 - 1])
def test_a_moment_has_a_year_of_four_digits(value: float) -> None:
    body = (
        b'{"Queries":[{"Id":"q","Namespace":"VDM","Metric":"SEND","StartDate":0,"EndDate":%s}]}' % repr(value).encode()
    )
    with pytest.raises(SesError, match="is no timestamp"):
        rest_json.read(V2.operations["BatchGetMetricData"], {}, [], body)


def test_an_integer_is_one_of_java() -> None:
    named = V2.operations["ListContactLists"]
    for digits in (str(2**31), str(-(2**31) - 1), "9" * 30):
        with pytest.raises(SesError, match="is no integer"):
            rest_json.read(named, {}, [("PageSize", digits)], b"")
        with pytest.raises(SesError, match="is no integer"):
            query.read(V1.operations["ListIdentities"], [("MaxItems", digits)])
        with pytest.raises(SesError, match="is no integer"):
            body = b'{"Filter":{},"PageSize":%s}' % digits.encode()
            rest_json.read(V2.operations["ListContacts"], {"ContactListName": "l"}, [], body)
    assert rest_json.read(named, {}, [("PageSize", str(2**31 - 1))], b"") == {"PageSize": 2**31 - 1}


@pytest.mark.parametrize(
    ("dialect", "operation", "params"),
    [
        ("ses", "CreateConfigurationSet", {"ConfigurationSet": {"Name": "a\0b"}}),
        ("ses", "CreateReceiptRuleSet", {"RuleSetName": "a\0b"}),
        ("sesv2", "CreateDedicatedIpPool", {"PoolName": "a\0b"}),
        ("sesv2", "CreateTenant", {"TenantName": "a\0b"}),
        ("sesv2", "DeleteConfigurationSet", {"ConfigurationSetName": "a\0b"}),
        ("sns", "GetTopicAttributes", {"TopicArn": "arn:aws:sns:us-east-1:000000000001:a\0b"}),
    ],
)
async def test_no_name_holds_a_nul(calls: Calls, dialect: str, operation: str, params: dict[str, Any]) -> None:
    with pytest.raises(SesError, match="Member must not hold a NUL"):
        await calls(dialect, operation, **params)


def test_a_token_of_a_page_holds_no_nul() -> None:
    with pytest.raises(SesError, match="InvalidNextToken"):
        paging.after({"NextToken": paging.token("a\0b")})


async def test_no_document_is_found_by_a_name_with_a_nul(database: Database, clock: Clock) -> None:
    """A header of mail may name one: X-SES-CONFIGURATION-SET; and links that nobody signs."""
    account = await database.write(lambda c: accounts.create_account(c, "Shop", clock()))
    kind, name = Kind.CONFIGURATION_SET, "a\0b"
    assert await database.read(lambda c: documents.get(c, account, kind, name)) is None
    assert await database.write(lambda c: documents.get(c, account, kind, name, locked=True)) is None
    assert not await database.write(lambda c: documents.replace(c, account, kind, name, {}, clock()))
    assert not await database.write(lambda c: documents.remove(c, account, kind, name))


@pytest.mark.parametrize("number", ["9" * 19, "9" * 5000, "-1", "", "\u0663"])
def test_a_number_that_is_no_accounts_is_nobodys(number: str) -> None:
    """It comes in links that nobody signs, too."""
    assert arns.account_of(f"arn:aws:sns:us-east-1:{number}:topic:id") is None
