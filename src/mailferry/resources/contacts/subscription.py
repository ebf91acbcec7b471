"""Unsubscribed by hand, and subscribed again: both are entries of the suppression list, where senders look.

For all sending domains and the bulk stream: who wants no newsletter still gets a receipt.
"""

from sqlalchemy import Connection

from mailferry.mail import address as addresses
from mailferry.resources import suppressions
from mailferry.resources.contacts.contacts import STREAMS
from mailferry.resources.suppressions import UNSUBSCRIPTION, Query


def end(connection: Connection, account_id: int, email: str, actor: str, now: int) -> None:
    entry = suppressions.entry(account_id, email, now, stream="bulk", type=UNSUBSCRIPTION)
    suppressions.add(connection, [entry], actor)


def resume(connection: Connection, account_id: int, email: str, actor: str, now: int) -> None:
    """Lifts unsubscriptions. A bounce or a complaint stays, and with it the contact stays unsubscribed."""
    query = Query(account_id, address=addresses.key(email), type=UNSUBSCRIPTION)
    standing = [each for each in suppressions.page(connection, query) if each.stream in STREAMS]
    suppressions.remove(connection, standing, actor, now)
