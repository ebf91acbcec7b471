"""What a key that is confined to a domain is told of the rest of its account: nothing."""

from collections.abc import Iterator

import pytest
from sqlalchemy import insert

from mailferry.endpoints.ses.errors import SesError
from mailferry.endpoints.ses.table import TABLE
from mailferry.journal.events import Kind
from mailferry.resources.permissions import ADMIN, VIEWER, Grant, Resource, Rights
from mailferry.store.schema import events, messages
from tests import delivery_support
from tests.delivery_support import Office
from tests.ses_calls import Calls

office, engines = delivery_support.office, delivery_support.engines

#: They read of things that belong to no domain.
WHOLE = ("ReceiptRule", "ReceiptFilter", "Tenant", "ReputationEntit", "Topic", "Subscription", "ContactList", "Job")


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
    await office.accept("a@dest.test", "b@dest.test")
    now = office.clock()
    row = {"id": "m", "account_id": office.account, "domain_id": other.id, "created_at": now}
    happened = {"at": now, "kind": str(Kind.BOUNCE), "account_id": office.account, "message_id": "m"}
    await office.database.write(lambda c: c.execute(insert(messages).values(row)))
    await office.database.write(lambda c: c.execute(insert(events).values(happened | {"recipient_id": "r"})))

    async def told(rights: Rights) -> tuple[int, int]:
        calls.rights = rights
        points = (await calls("ses", "GetSendStatistics"))["SendDataPoints"]
        return sum(each["DeliveryAttempts"] for each in points), sum(each["Bounces"] for each in points)

    assert await told(calls.rights) == (2, 1)
    assert await told(Rights.of(office.account, 0, [Grant(Resource.DOMAIN, other.id, VIEWER)])) == (0, 1)


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
