"""One at a time may change what an account's contacts are described by: numbers are limited, and names are unique."""

from sqlalchemy import Connection, select

from mailferry.store.schema import accounts


def take(connection: Connection, account_id: int) -> None:
    """Until the transaction ends. SQLite has one writer anyway, and no such clause."""
    connection.execute(select(accounts.c.id).where(accounts.c.id == account_id).with_for_update())
