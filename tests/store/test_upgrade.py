"""A database with mail in it comes from an older step to this one, and nothing in it is forgotten."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, text

from mailferry.delivery import release
from mailferry.store.database import Database, open_database
from mailferry.store.migrations import HEAD, current, migrate

HOUR = 3_600_000


def migrate_to(connection: Connection, step: str) -> None:
    config = Config()
    config.set_main_option("script_location", "mailferry.store:migrations")
    config.attributes["connection"] = connection
    command.upgrade(config, step)


@pytest.fixture
async def old(blank_url: str, tmp_path: Path) -> AsyncIterator[Database]:
    """A database at step 0002."""
    opened = open_database(blank_url, tmp_path, 2)
    await opened.write(lambda c: migrate_to(c, "0002"))
    yield opened
    await opened.close()


def fill(connection: Connection) -> None:
    """A domain that was approved, with one recipient held before that, and one that waits for a retry."""
    for statement in (
        "INSERT INTO domains (id, account_id, name, state, dns_verified) VALUES (7, 1, 'shop.test', 'compliant', true)",
        "INSERT INTO lanes (id, domain_id, stream, destination, next_due)"
        " VALUES (3, 7, 'transactional', 'one.test', 900)",
        "INSERT INTO messages (id, account_id, domain_id) VALUES ('m', 1, 7)",
        "INSERT INTO recipients (id, message_id, account_id, state, reason, updated_at)"
        " VALUES ('held', 'm', 1, 'held', 'domain_suspended', 100), ('queued', 'm', 1, 'queued', '', 500)",
        "INSERT INTO queue (recipient_id, lane_id, due, tries, expires_at)"
        " VALUES ('held', 3, NULL, 0, 1000), ('queued', 3, 900, 2, 1000)",
        "INSERT INTO attempts (recipient_id, number) VALUES ('queued', 1), ('queued', 2)",
    ):
        connection.execute(text(statement))


async def test_held_mail_of_an_older_step_is_let_go(old: Database) -> None:
    await old.write(fill)
    await old.write(migrate)
    assert await old.read(current) == HEAD
    row = "SELECT due, tries, expires_at, domain_id, released FROM queue ORDER BY recipient_id"

    async def rows() -> list[tuple[object, ...]]:
        return await old.read(lambda c: [tuple(each) for each in c.execute(text(row))])

    assert await rows() == [(None, 0, 1000, 0, False), (900, 2, 1000, 0, False)]
    assert await old.write(release.adopt) == 1
    assert await old.read(release.domains_with_held) == [7]
    assert await old.write(lambda c: release.release_domain(c, 7, 100 + HOUR)) == 1
    assert await rows() == [(100 + HOUR, 0, 1000 + HOUR, 7, False), (900, 2, 1000, 0, False)]


async def test_a_node_of_the_step_before_still_writes(old: Database) -> None:
    await old.write(migrate)
    await old.write(fill)
    assert await old.write(release.adopt) == 1
    assert await old.write(lambda c: release.release_domain(c, 7, 100 + HOUR)) == 1


async def test_opt_outs_of_an_older_step_get_ids(old: Database) -> None:
    await old.write(lambda c: migrate_to(c, "0011"))
    row = "INSERT INTO tracking_opt_outs (domain_id, address, created_at) VALUES (7, 'a@x.test', 1000), (7, 'b@x.test', 9)"
    await old.write(lambda c: c.execute(text(row)))
    await old.write(migrate)
    found = await old.read(
        lambda c: c.execute(text("SELECT address FROM tracking_opt_outs ORDER BY id")).scalars().all()
    )
    assert found == ["b@x.test", "a@x.test"]  # by their moments
