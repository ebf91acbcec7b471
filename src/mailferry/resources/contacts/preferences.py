"""What contacts of a list with topics (topics.py) want: yes, no, or nothing said, for each topic; or nothing at all.

Yes is membership of the topic's list, as Mailtrap's side sees and changes it. No is kept beside it, and wins: who said no
is not asked back in by whoever adds members. Nothing at all is an unsubscription in the suppression list.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, exists, or_, select, update

from mailferry.mail import address as addresses
from mailferry.resources import suppressions
from mailferry.resources.contacts import contacts
from mailferry.resources.contacts.contacts import STREAMS, Change
from mailferry.resources.contacts.topics import Board, Topic
from mailferry.resources.suppressions import UNSUBSCRIPTION
from mailferry.store.given import among, delete_rows, insert_if_new, pack, rows
from mailferry.store.schema import contact_list_members, contact_opt_outs
from mailferry.store.schema import contacts as table
from mailferry.store.schema import suppressions as suppressed


@dataclass(frozen=True, slots=True)
class Preferences:
    """Of one contact. ``said`` by the topic's name: what it chose itself."""

    id: str
    email: str
    said: Mapping[str, bool]
    #: It wants nothing at all.
    unsubscribed: bool
    attributes: str
    #: Unix milliseconds.
    created_at: int
    updated_at: int

    def wants(self, topic: Topic | None) -> bool:
        """None: whatever is sent to the whole list."""
        return not self.unsubscribed and (topic is None or self.said.get(topic.name, topic.default))


@dataclass(frozen=True, slots=True)
class Wish:
    """What is said of one contact. ``said`` by the topic's name; None: what stands, stays."""

    #: In its stored form (mail/address.parse).
    email: str
    said: Mapping[str, bool] = field(default_factory=dict)
    unsubscribed: bool | None = None
    attributes: str | None = None
    #: Topics that are not said anything of lose what was said before.
    whole: bool = False


def of_addresses(connection: Connection, account_id: int, board: Board, emails: Iterable[str]) -> list[Preferences]:
    """Of those that are on the list, in the order of their ids."""
    given = select(rows(connection.dialect.name, [table.c.address]).c.address)
    packed = pack([{"address": addresses.key(each)} for each in emails])
    return _read(connection, account_id, board, [among(connection.dialect.name, table.c.address, given)], packed)


def page(
    connection: Connection,
    account_id: int,
    board: Board,
    wanted: Sequence[ColumnElement[bool]] = (),
    *,
    after: str = "",
    limit: int,
) -> list[Preferences]:
    """In the order of the contacts' ids, those behind ``after``."""
    return _read(connection, account_id, board, [table.c.id > after, *wanted], "[]", limit)


def unsubscribed() -> ColumnElement[bool]:
    """A condition on a row of contacts: it said so. (A bounce stops its mail too, and is nothing that it said.)"""
    return exists().where(
        suppressed.c.account_id == table.c.account_id,
        suppressed.c.address == table.c.address,
        suppressed.c.stream.in_(STREAMS),
        suppressed.c.type == UNSUBSCRIPTION,
    )


def said(topic: Topic, answer: bool, *, default: bool = False) -> ColumnElement[bool]:
    """A condition on a row of contacts. ``default``: also those who said nothing, where the topic's default is that."""
    no, yes = _has(contact_opt_outs, topic.list_id), _has(contact_list_members, topic.list_id)
    found = and_(yes, ~no) if answer else no
    return or_(found, and_(~yes, ~no)) if default and topic.default is answer else found


def save(
    connection: Connection, account_id: int, board: Board, wishes: Iterable[Wish], actor: str, now: int
) -> Mapping[str, bool]:
    """Contacts that are new are made, and all are on the list. By address (key form): whether the contact is new."""
    wanted = {addresses.key(each.email): each for each in wishes}
    moves = {address: _moves(board, each) for address, each in wanted.items()}
    changes = [
        Change(wanted[address].email, {}, yes | {board.list_id}, no | unsaid)
        for address, (yes, no, unsaid) in moves.items()
    ]
    saved = contacts.save(connection, account_id, changes, now)
    known = saved.created | saved.updated
    insert_if_new(connection, contact_opt_outs, _pairs(known, {a: no for a, (_, no, _) in moves.items()}))
    delete_rows(connection, contact_opt_outs, _pairs(known, {a: yes | unsaid for a, (yes, _, unsaid) in moves.items()}))
    _keep_attributes(connection, {known[address]: each.attributes for address, each in wanted.items()})
    _subscribe(connection, account_id, wanted, actor, now)
    return {address: address in saved.created for address in wanted}


def leave(connection: Connection, account_id: int, emails: Iterable[str]) -> list[str]:
    """The contacts are deleted, with all that is known of them; the addresses of those that there were."""
    wanted = (contacts.Identifier(address=email) for email in emails)
    return [gone.email for each in wanted if (gone := contacts.remove(connection, account_id, each))]


# --- reading -------------------------------------------------------------------------------------------------------


def _read(
    connection: Connection,
    account_id: int,
    board: Board,
    wanted: Sequence[ColumnElement[bool]],
    packed: str,
    limit: int | None = None,
) -> list[Preferences]:
    asked = select(table, unsubscribed().label("unsubscribed")).where(
        table.c.account_id == account_id, _has(contact_list_members, board.list_id), *wanted
    )
    found = connection.execute(asked.order_by(table.c.id).limit(limit), {"rows": packed}).all()
    yes, no = (_lists(connection, each, [row.id for row in found]) for each in (contact_list_members, contact_opt_outs))
    return [
        Preferences(
            row.id,
            row.email,
            {
                each.name: each.list_id not in no.get(row.id, ())
                for each in board.topics
                if each.list_id in yes.get(row.id, ()) or each.list_id in no.get(row.id, ())
            },
            bool(row.unsubscribed),
            row.attributes,
            row.created_at,
            row.updated_at,
        )
        for row in found
    ]


def _lists(connection: Connection, member: Any, contact_ids: Sequence[str]) -> dict[str, set[int]]:
    given = select(rows(connection.dialect.name, [table.c.id]).c.id)
    asked = select(member.c.contact_id, member.c.list_id).where(
        among(connection.dialect.name, member.c.contact_id, given)
    )
    found: dict[str, set[int]] = {}
    for contact_id, list_id in connection.execute(asked, {"rows": pack([{"id": each} for each in contact_ids])}):
        found.setdefault(contact_id, set()).add(list_id)
    return found


def _has(member: Any, list_id: int) -> ColumnElement[bool]:
    return exists().where(member.c.list_id == list_id, member.c.contact_id == table.c.id)


# --- saving --------------------------------------------------------------------------------------------------------


def _moves(board: Board, wish: Wish) -> tuple[frozenset[int], frozenset[int], frozenset[int]]:
    """Lists of the topics that it said yes to, no to, and nothing more of."""
    yes = frozenset(each.list_id for each in board.topics if wish.said.get(each.name) is True)
    no = frozenset(each.list_id for each in board.topics if wish.said.get(each.name) is False)
    unsaid = frozenset(each.list_id for each in board.topics if wish.whole and each.name not in wish.said)
    return yes, no, unsaid


def _pairs(known: Mapping[str, str], found: Mapping[str, frozenset[int]]) -> list[dict[str, Any]]:
    return [
        {"list_id": each, "contact_id": known[address]}
        for address, list_ids in sorted(found.items())
        for each in sorted(list_ids)
    ]


def _keep_attributes(connection: Connection, found: Mapping[str, str | None]) -> None:
    given = rows(connection.dialect.name, [table.c.id, table.c.attributes])
    packed = [{"id": contact_id, "attributes": text} for contact_id, text in found.items() if text is not None]
    if packed:
        changed = update(table).where(table.c.id == given.c.id).values(attributes=given.c.attributes)
        connection.execute(changed, {"rows": pack(packed)})


def _subscribe(connection: Connection, account_id: int, wanted: Mapping[str, Wish], actor: str, now: int) -> None:
    """As subscription.py does it for one. What else stands in the place of its own wish makes room for it."""
    ended = [address for address, each in wanted.items() if each.unsubscribed]
    taken = suppressions.of_addresses(connection, account_id, ended) if ended else []
    place = [each for each in taken if (each.domain_id, each.stream) == (suppressions.ALL_DOMAINS, "bulk")]
    suppressions.remove(connection, [each for each in place if each.type != UNSUBSCRIPTION], actor, now)
    entries = [suppressions.entry(account_id, each, now, stream="bulk", type=UNSUBSCRIPTION) for each in ended]
    suppressions.add(connection, entries, actor)
    resumed = [address for address, each in wanted.items() if each.unsubscribed is False]
    standing = suppressions.of_addresses(connection, account_id, resumed) if resumed else []
    mine = [each for each in standing if each.type == UNSUBSCRIPTION and each.stream in STREAMS]
    suppressions.remove(connection, mine, actor, now)
