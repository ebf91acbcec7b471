"""What the tests of sending domains over Mailtrap's API share."""

from typing import Any

import msgspec
import pytest
from sqlalchemy import update

from mailferry.resources import audit
from mailferry.resources.dns_records import Operator
from mailferry.store.database import Database
from mailferry.store.schema import domains as domains_table
from tests.conftest import Clock
from tests.mailtrap_house import MailtrapHouse

FAMILIES = pytest.mark.parametrize("legacy", [True, False], ids=["legacy", "current"])
NOT_FOUND = (404, {"error": "Not Found"})
FORBIDDEN = (403, {"errors": "Access forbidden"})
COMPANY = {
    "name": "Shop",
    "address": "1 Main St\nFloor 2",
    "city": "Kyiv",
    "country": "UA",
    "zip_code": "01001",
    "website_url": "https://shop.test",
}


async def furnished(database: Database, clock: Clock, **changes: Any) -> MailtrapHouse:
    """Its operator has a zone, so that records are CNAMEs as Mailtrap's are."""
    operator = Operator("mail.mailferry.test", "mail.example")
    return await MailtrapHouse(database, clock, operator=operator, **changes).furnish()


def noun(legacy: bool) -> str:
    return "sending_domains" if legacy else "domains"


def wrapped(legacy: bool, **members: Any) -> dict[str, Any]:
    return {"sending_domain" if legacy else "domain": members}


async def change(house: MailtrapHouse, domain_id: int, **values: Any) -> None:
    await house.database.write(
        lambda c: c.execute(update(domains_table).where(domains_table.c.id == domain_id).values(values))
    )


async def events(house: MailtrapHouse) -> list[tuple[str, str, str, Any]]:
    """The audit log: who, what, of what, and the changes."""
    rows = await house.database.read(lambda connection: audit.page(connection, house.account))
    return [(row.actor_name, row.event, row.resource_name, msgspec.json.decode(row.changes)) for row in reversed(rows)]
