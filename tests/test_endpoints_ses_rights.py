"""What a key that is confined to a domain is told of the rest of its account: nothing."""

from collections.abc import Iterator

import pytest
from sqlalchemy import insert

from mailferry.endpoints.ses.errors import SesError
from mailferry.endpoints.ses.table import TABLE
from mailferry.resources.permissions import ADMIN, VIEWER, Grant, Resource, Rights
from mailferry.store.schema import stats
from tests import delivery_support
from tests.delivery_support import Office
from tests.ses_calls import Calls

office, engines = delivery_support.office, delivery_support.engines

#: They read of things that belong to no domain.
WHOLE = (
    "ConfigurationSet",
    "ContactList",
    "DedicatedIp",
    "Job",
    "ReceiptFilter",
    "ReceiptRule",
    "ReputationEntit",
    "Subscription",
    "Tenant",
    "Topic",
)


def operations() -> Iterator[tuple[str, str]]:
    for dialect, ops in TABLE.items():
        for name, op in ops.items():
            if op.function and name.startswith(("Get", "List", "Describe")) and any(word in name for word in WHOLE):
                yield dialect, name


@pytest.mark.parametrize(("dialect", "name"), list(operations()))
def test_what_belongs_to_no_domain_needs_the_account(dialect: str, name: str) -> None:
    op = TABLE[dialect][name]
    assert not op.allows(Rights.of(1, 0, [Grant(Resource.DOMAIN, 1, ADMIN)]))
    assert op.allows(Rights.of(1, 0, [Grant(Resource.ACCOUNT, 1, VIEWER)]))


def test_a_viewer_changes_nothing() -> None:
    viewer = Rights.of(1, 0, [Grant(Resource.ACCOUNT, 1, VIEWER)])
    reading = ("Get", "List", "Describe", "TestRender", "BatchGet", "Send")  # sending looks for itself
    for dialect, ops in TABLE.items():
        for name, op in ops.items():
            if op.function and not name.startswith(reading):
                assert not op.allows(viewer), (dialect, name)


async def test_a_confined_key_is_told_the_numbers_of_its_domain(office: Office) -> None:
    other = await office.add_domain("other.test")
    calls = Calls(office.database, office.clock, office.account)
    hour = office.clock() // 3_600_000
    rows = [
        {"domain_id": office.domain, "hour": hour, "sent": 2, "delivered": 2, "spam": 1},
        {"domain_id": other.id, "hour": hour, "sent": 1, "bounced": 1},
        {"domain_id": other.id, "hour": hour - 14 * 24 + 1, "rejected": 3},
        {"domain_id": other.id, "hour": hour - 14 * 24, "sent": 9},
    ]
    common = {"account_id": office.account, "stream": "bulk", "category": "", "provider": "", "template_id": 0}
    counts = dict.fromkeys(("sent", "delivered", "bounced", "rejected", "spam"), 0)
    await office.database.write(lambda c: c.execute(insert(stats), [common | counts | row for row in rows]))

    def point(at: int, *numbers: int) -> dict[str, int]:
        names = ("Timestamp", "DeliveryAttempts", "Bounces", "Complaints", "Rejects")
        return dict(zip(names, (at * 3_600_000, *numbers), strict=True))

    old = point(hour - 14 * 24 + 1, 3, 0, 0, 3)
    assert (await calls("ses", "GetSendStatistics"))["SendDataPoints"] == [old, point(hour, 3, 1, 1, 0)]
    calls.rights = Rights.of(office.account, 0, [Grant(Resource.DOMAIN, other.id, VIEWER)])
    assert (await calls("ses", "GetSendStatistics"))["SendDataPoints"] == [old, point(hour, 1, 1, 0, 0)]


async def test_a_confined_key_is_not_told_who_is_behind_the_account(office: Office) -> None:
    calls = Calls(office.database, office.clock, office.account)
    await calls("sesv2", "PutAccountDetails", MailType="TRANSACTIONAL", WebsiteURL="https://shop.test")
    await calls("sesv2", "CreateTenant", TenantName="shop")
    assert "Details" in await calls("sesv2", "GetAccount")
    calls.rights = Rights.of(office.account, 0, [Grant(Resource.DOMAIN, office.domain, ADMIN)])
    assert "Details" not in await calls("sesv2", "GetAccount")
    arn = calls.call("sesv2", "GetTenant").arn("ses", "tenant/shop")
    with pytest.raises(SesError, match="not authorized"):
        await calls("sesv2", "ListTagsForResource", ResourceArn=arn)
