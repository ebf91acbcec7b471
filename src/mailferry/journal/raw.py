"""Where the bytes of a message lie that the log tells of, for as long as retention leaves them there."""

from sqlalchemy import Connection, or_, select

from mailferry.store.content import Place
from mailferry.store.schema import messages, recipients


def place(connection: Connection, account_id: int | None, identity: str, *, but_of: str = "") -> Place | None:
    """By a message's id, or one of its recipients'. None: the account, or with None no account at all, has no such message.

    The bytes themselves may be gone already. ``but_of``: an endpoint whose messages are not shown.
    """
    of_recipient = select(recipients.c.message_id).where(recipients.c.id == identity)
    wanted = select(messages.c.id, messages.c.segment, messages.c.place, messages.c.size).where(
        or_(messages.c.id == identity, messages.c.id.in_(of_recipient))
    )
    if but_of:
        wanted = wanted.where(messages.c.endpoint != but_of)
    if account_id is not None:
        wanted = wanted.where(messages.c.account_id == account_id)
    row = connection.execute(wanted).one_or_none()
    return None if row is None else Place(row.segment, row.place, row.size, row.id)
