"""Messages for an operator: the log of all accounts or of one in pieces of any number, and the bytes of one message."""

import base64
from datetime import UTC, date, datetime, timedelta
from typing import Any

import msgspec
from sqlalchemy import Connection

from mailferry.endpoints.operations import reading
from mailferry.endpoints.operations.domains import one_or_all
from mailferry.endpoints.operations.reading import iso
from mailferry.endpoints.operations.tools import Mistake, Tools, Verb
from mailferry.journal import raw, search
from mailferry.journal.conditions import Condition, Match
from mailferry.journal.search import Entry, Query
from mailferry.store.content import ContentGone

#: Of a file: what a row holds, in this order.
COLUMNS = (
    *("id", "message_id", "account_id", "from", "to", "kind", "subject", "stream", "endpoint", "domain_id", "category"),
    *("custom_variables", "template_id", "template_variables", "client_ip", "rfc_message_id", "state", "reason"),
    *("attempts", "last_code", "last_response", "opens", "clicks", "machine_opens", "machine_clicks", "accepted_at"),
    "updated_at",
)


async def messages_list(tools: Tools, account: int = 0, **filters: Any) -> list[dict[str, Any]]:
    """Here and below account 0 is all of them."""
    await one_or_all(tools, account)
    return await tools.database.read(lambda connection: reading.messages_list(connection, account, **filters))


async def messages_show(tools: Tools, message: str, account: int = 0) -> dict[str, Any]:
    await one_or_all(tools, account)
    now = tools.clock()
    story = await tools.database.read(lambda connection: reading.messages_show(connection, account, message, now))
    if story is None:
        raise _unknown(message, account)
    return story


async def messages_export(
    tools: Tools,
    after: str = "",
    account: int = 0,
    state: str = "",
    to: str = "",
    sender: str = "",
    from_date: str = "",
    to_date: str = "",
) -> dict[str, Any]:
    """A piece of the log, newest first, and where the next one begins: ``after`` is empty at the end. A piece may be empty.

    ``from_date`` and ``to_date``: a day (UTC) or a time, both included.
    """
    await one_or_all(tools, account)
    given = {"state": (state, Match.IS), "recipient": (to, Match.CONTAINS), "sender": (sender, Match.CONTAINS)}
    query = Query(
        account_id=account or None,
        sent_from=_moment("--from-date", from_date),
        sent_until=_moment("--to-date", to_date, last=True),
        conditions=tuple(Condition(name, match, (text,), fold=True) for name, (text, match) in given.items() if text),
        older_than=after,
    )
    stretch = await tools.database.read(lambda connection: search.walk(connection, query))
    return {"rows": [_row(entry) for entry in stretch.entries], "after": stretch.after or ""}


async def messages_raw(tools: Tools, message: str, account: int = 0) -> dict[str, str]:
    """The stored bytes in Base64: by a message's id, or one of its recipients'."""
    await one_or_all(tools, account)

    def read(connection: Connection) -> str:
        place = raw.place(connection, account or None, message)
        if place is None:
            raise _unknown(message, account)
        try:
            return base64.b64encode(tools.content.read(connection, place)).decode()
        except ContentGone:
            days = tools.config["retention.content_days"]
            told = f"the bytes of {message} are not kept any more ([retention] content_days = {days})"
            raise Mistake(f"{told}; mailferry messages show {message} tells what became of it") from None

    return {"content": await tools.database.read(read)}


def _unknown(message: str, account: int) -> Mistake:
    where = f" in account {account}" if account else ""
    return Mistake(f"there is no message or recipient {message}{where}; mailferry messages list shows them")


def _row(entry: Entry) -> dict[str, Any]:
    return {
        "id": entry.recipient_id,
        "message_id": entry.message_id,
        "account_id": entry.account_id,
        "from": entry.sender,
        "to": entry.recipient,
        "kind": entry.kind,
        "subject": entry.subject,
        "stream": entry.stream,
        "endpoint": entry.endpoint,
        "domain_id": entry.domain_id,
        "category": entry.category,
        "custom_variables": msgspec.json.decode(entry.custom_variables or "{}"),
        "template_id": entry.template_id or None,
        "template_variables": msgspec.json.decode(entry.template_variables) if entry.template_variables else None,
        "client_ip": entry.client_ip,
        "rfc_message_id": entry.rfc_message_id,
        "state": entry.state,
        "reason": entry.reason,
        "attempts": entry.attempts,
        "last_code": entry.code,
        "last_response": entry.response,
        "opens": entry.opens,
        "clicks": entry.clicks,
        "machine_opens": entry.machine_opens,
        "machine_clicks": entry.machine_clicks,
        "accepted_at": iso(entry.sent_at),
        "updated_at": iso(entry.updated_at),
    }


def _moment(option: str, text: str, *, last: bool = False) -> int | None:
    """Unix milliseconds; of a day the first one, or the ``last``. None: nothing is given."""
    if not text:
        return None
    try:
        if len(text) == len("2026-11-24"):
            day = date.fromisoformat(text) + timedelta(days=last)
            return _milliseconds(datetime(day.year, day.month, day.day, tzinfo=UTC)) - last
        return _milliseconds(datetime.fromisoformat(text))
    except (ValueError, OverflowError):
        raise Mistake(f"{option} must be a day (2026-11-24) or a time (2026-11-24T08:00:00Z), not {text}") from None


def _milliseconds(when: datetime) -> int:
    """Without a zone it is UTC."""
    at = when if when.tzinfo else when.replace(tzinfo=UTC)
    return (at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)


VERBS: dict[str, Verb] = {
    "messages.list": messages_list,
    "messages.show": messages_show,
    "messages.export": messages_export,
    "messages.raw": messages_raw,
}
