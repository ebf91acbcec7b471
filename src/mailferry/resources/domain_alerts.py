"""How well sending domains do, as they were last judged, and what their owners were told of it.

What is judged, and when, is in consumers/alerts.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, Row, delete, func, or_, select, update

from mailferry.resources.domains import DEMO
from mailferry.store.given import insert_if_new
from mailferry.store.schema import domain_alerts, domains

#: Domains looked at in one transaction.
SOME = 200
MINUTE_MS = 60_000


class Level(StrEnum):
    """Mailtrap's colours."""

    GREEN = "green"
    YELLOW = "yellow"
    RED = "red"


@dataclass(frozen=True, slots=True)
class Standing:
    """As last judged; a level is empty as long as it never was. Recipients of the 24 hours before, Unix milliseconds."""

    bounce_level: str = ""
    spam_level: str = ""
    told_bounce_level: str = ""
    told_spam_level: str = ""
    sent: int = 0
    bounced: int = 0
    delivered: int = 0
    spam: int = 0
    judged_at: int = 0
    changed_at: int = 0
    checked_at: int = 0

    @property
    def worst(self) -> str:
        """The worse of the two levels; empty: never judged."""
        return max(self.bounce_level, self.spam_level, key=["", *Level].index)


@dataclass(frozen=True, slots=True)
class Watched:
    """A domain with what is needed to judge it and to tell of it."""

    domain_id: int
    account_id: int
    name: str
    #: Its owner wants to be told.
    enabled: bool
    #: Empty: whoever is the account's.
    recipient: str
    standing: Standing


def due(connection: Connection, before: int, now: int) -> list[Watched]:
    """Some that were not looked at since ``before``, those of one account after the other."""
    checked = func.coalesce(domain_alerts.c.checked_at, 0)
    # A time that is still to come, by more than clocks differ, was written before the clock was set back.
    wanted = _watched().where(or_(checked <= before, checked > now + MINUTE_MS))
    rows = connection.execute(wanted.order_by(domains.c.account_id, domains.c.id).limit(SOME))
    return [_of(row) for row in rows]


def untold(connection: Connection, after: int = 0) -> list[Watched]:
    """Some whose levels are not those that were told, by id, and those beyond ``after``."""
    table = domain_alerts
    differ = or_(table.c.bounce_level != table.c.told_bounce_level, table.c.spam_level != table.c.told_spam_level)
    rows = connection.execute(_watched().where(differ, domains.c.id > after).order_by(domains.c.id).limit(SOME))
    return [_of(row) for row in rows]


def keep(connection: Connection, watched: Watched, now: int, judged: Mapping[str, Any]) -> bool:
    """It was looked at, and where anything could be said, judged. False: another node was quicker, so nothing is kept."""
    insert_if_new(connection, domain_alerts, [{"domain_id": watched.domain_id}])
    mine = (
        domain_alerts.c.domain_id == watched.domain_id,
        domain_alerts.c.checked_at == watched.standing.checked_at,
    )
    return connection.execute(update(domain_alerts).where(*mine).values(**judged, checked_at=now)).rowcount == 1


def told(connection: Connection, watched: Watched) -> None:
    """Its owner knows of these levels, or need not."""
    standing = watched.standing
    # Who judged it anew meanwhile has something else to tell.
    same = (domain_alerts.c.domain_id == watched.domain_id, domain_alerts.c.changed_at == standing.changed_at)
    values = {"told_bounce_level": standing.bounce_level, "told_spam_level": standing.spam_level}
    connection.execute(update(domain_alerts).where(*same).values(values))


@dataclass(frozen=True, slots=True)
class Weekly:
    """A domain whose weekly mail is to be written or passed over."""

    domain_id: int
    account_id: int
    #: Its owner wants it.
    enabled: bool
    #: The newest week that was written or passed over; 0: none.
    week: int


def weekly_due(connection: Connection, week: int) -> list[Weekly]:
    """Some of which this week is neither, those of one account after the other; and those of a week that never was."""
    seen = func.coalesce(domain_alerts.c.health_week, 0)
    found = (
        select(domains.c.id, domains.c.account_id, domains.c.health_alerts_enabled, seen)
        .outerjoin(domain_alerts, domain_alerts.c.domain_id == domains.c.id)
        .where(domains.c.deleted_at == 0, domains.c.state != DEMO, or_(seen < week, seen > week + 1))
    )
    rows = connection.execute(found.order_by(domains.c.account_id, domains.c.id).limit(SOME))
    return [Weekly(row[0], row[1], bool(row[2]), row[3]) for row in rows]


def weekly_written(connection: Connection, weekly: Weekly, week: int) -> bool:
    """False: another node was quicker."""
    insert_if_new(connection, domain_alerts, [{"domain_id": weekly.domain_id}])
    mine = (domain_alerts.c.domain_id == weekly.domain_id, domain_alerts.c.health_week == weekly.week)
    return connection.execute(update(domain_alerts).where(*mine).values(health_week=week)).rowcount == 1


def every(connection: Connection, account_id: int = 0) -> dict[int, Standing]:
    """By domain, of those that were ever looked at; of one account, or with 0 of all."""
    wanted = select(domain_alerts.c.domain_id, *_STANDING)
    if account_id:
        wanted = wanted.where(domain_alerts.c.domain_id.in_(_ids(account_id)))
    return {row.domain_id: _standing(row) for row in connection.execute(wanted)}


def forget(connection: Connection, domain_id: int) -> None:
    """The domain is gone; one that is added again begins anew."""
    connection.execute(delete(domain_alerts).where(domain_alerts.c.domain_id == domain_id))


def _ids(account_id: int) -> Any:
    return select(domains.c.id).where(domains.c.account_id == account_id)


_STANDING = [domain_alerts.c[name] for name in Standing.__dataclass_fields__]
_OF_DOMAIN = ("id", "account_id", "name", "critical_alerts_enabled", "alert_recipient_email")


def _watched() -> Any:
    return (
        select(*(domains.c[name] for name in _OF_DOMAIN), *_STANDING)
        .outerjoin(domain_alerts, domain_alerts.c.domain_id == domains.c.id)
        .where(domains.c.deleted_at == 0, domains.c.state != DEMO)
    )


def _of(row: Row[Any]) -> Watched:
    enabled = bool(row.critical_alerts_enabled)
    return Watched(row.id, row.account_id, row.name, enabled, row.alert_recipient_email, _standing(row))


def _standing(row: Row[Any]) -> Standing:
    found = {name: row._mapping[name] for name in Standing.__dataclass_fields__}
    # There is no row before the first look.
    return Standing(**{name: value for name, value in found.items() if value is not None})
