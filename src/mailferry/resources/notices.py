"""What those who keep an account are to be told by mail: written with what it tells of, sent by consumers/notices."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, Select, delete, func, insert, select

from mailferry.store.schema import domains, notices

#: Read at once.
SOME = 100


class Kind(StrEnum):
    """And the facts of each."""

    #: state, reason.
    REVIEW_DECIDED = "review_decided"
    #: text.
    REVIEW_MESSAGE = "review_message"
    #: questions, company_info.
    REVIEW_ASKED = "review_asked"
    #: webhook, url, error, since; the last also of a recovery.
    WEBHOOK_FAILS = "webhook_fails"
    WEBHOOK_RECOVERED = "webhook_recovered"
    #: webhook, url, error.
    WEBHOOK_PARKED = "webhook_parked"
    #: week (of its Monday, days since 1970), now and before (counters by name).
    HEALTH = "health"


@dataclass(frozen=True, slots=True)
class Notice:
    id: int
    account_id: int
    #: Empty: it is about no domain.
    domain: str
    #: The domain's alert_recipient_email; empty: whoever owns the account.
    recipient: str
    kind: Kind
    facts: Mapping[str, Any]
    #: Unix milliseconds.
    at: int


def put(
    connection: Connection, account_id: int, kind: Kind, facts: Mapping[str, Any], now: int, *, domain_id: int = 0
) -> None:
    values = {"account_id": account_id, "domain_id": domain_id, "kind": kind, "at": now}
    connection.execute(insert(notices).values(facts=msgspec.json.encode(facts).decode(), **values))


def waiting(connection: Connection, after: int = 0) -> list[Notice]:
    """Some, in the order in which they came."""
    found: Select[Any] = (
        select(
            *(notices.c[name] for name in ("id", "account_id", "kind", "facts", "at")),
            func.coalesce(domains.c.name, "").label("domain"),
            func.coalesce(domains.c.alert_recipient_email, "").label("recipient"),
        )
        .outerjoin(domains, domains.c.id == notices.c.domain_id)
        # A newer node may have written a kind that this one has no words for: it sends that itself, and holds up nothing here.
        .where(notices.c.id > after, notices.c.kind.in_([*Kind]))
    )
    return [_of(row) for row in connection.execute(found.order_by(notices.c.id).limit(SOME))]


def done(connection: Connection, notice: Notice) -> None:
    """It was accepted as mail, or cannot be."""
    connection.execute(delete(notices).where(notices.c.id == notice.id))


def _of(row: Row[Any]) -> Notice:
    facts = msgspec.json.decode(row.facts)
    return Notice(row.id, row.account_id, row.domain, row.recipient, Kind(row.kind), facts, row.at)
