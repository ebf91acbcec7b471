"""Contacts for an operator: shown, deleted, taken over from a file and written to one in pieces; their lists and fields."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from sqlalchemy import Connection

from mailferry.credentials import ACCOUNT
from mailferry.endpoints.operations.domains import known_account
from mailferry.endpoints.operations.reading import iso
from mailferry.endpoints.operations.tools import OPERATOR, Mistake, Tools, Verb, one_line
from mailferry.resources import audit
from mailferry.resources.contacts import contacts, exports, fields, lists, segments, subscription
from mailferry.resources.contacts.contacts import Change, Contact, Found, Identifier
from mailferry.resources.contacts.fields import Field
from mailferry.resources.contacts.lists import ContactList
from mailferry.resources.contacts.rules import InLists, Rule, Subscribed
from mailferry.resources.contacts.values import DataType

#: Of one piece of an export.
EXPORTED = exports.PIECE


async def contacts_list(
    tools: Tools, of_list: str = "", subscribed: bool | None = None, limit: int = 50, account: int = ACCOUNT
) -> list[dict[str, Any]]:
    """Newest first."""
    rule = await _rule(tools, account, of_list, subscribed)

    def read(connection: Connection) -> list[Contact]:
        return segments.newest(connection, account, rule, limit)

    return [shown(each) for each in await tools.database.read(read)]


async def contacts_show(tools: Tools, contact: str, account: int = ACCOUNT) -> dict[str, Any]:
    """By id or address, with the names of its lists."""
    wanted = _identifier(contact)

    def read(connection: Connection) -> dict[str, Any] | None:
        found = contacts.find(connection, account, wanted)
        if found is None:
            return None
        whole = contacts.read_one(connection, account, found.id)
        names = {each.id: each.name for each in lists.of_account(connection, account)}
        return shown(whole) | {"lists": [names[each] for each in whole.list_ids if each in names]}

    told = await tools.database.read(read)
    if told is None:
        raise _no_contact(contact)
    return told


async def contacts_delete(tools: Tools, contact: str, account: int = ACCOUNT) -> dict[str, Any]:
    """With its values, events and places in lists; what suppresses its address stays."""
    wanted, now = _identifier(contact), tools.clock()

    def write(connection: Connection) -> Found | None:
        gone = contacts.remove(connection, account, wanted)
        if gone is not None:
            audit.note(connection, account, OPERATOR, "contact.deleted", ("contact", gone.id, gone.email), now)
        return gone

    gone = await tools.database.write(write)
    if gone is None:
        raise _no_contact(contact)
    return asdict(gone)


async def contacts_import(
    tools: Tools, rows: Sequence[Sequence[Any]], source: str = "", first: bool = False, account: int = ACCOUNT
) -> dict[str, int]:
    """One piece of a file: (address, values by the field's id, ids of lists, whether it is unsubscribed) a row.

    Doing it twice is doing it once. ``first``: with this piece the import begins, which the audit log tells.
    """
    await known_account(tools, account)
    changes = [Change(email, _by_id(values), frozenset(list_ids)) for email, values, list_ids, _ in rows]
    ended = [email for email, _, _, unsubscribed in rows if unsubscribed]
    now, actor = tools.clock(), f"{OPERATOR.name}: {source}"

    def write(connection: Connection) -> dict[str, int]:
        if first:
            audit.note(connection, account, OPERATOR, "contact.imported", ("file", "", source), now)
        saved = contacts.save(connection, account, changes, now)
        for email in ended:
            subscription.end(connection, account, email, actor, now)
        return {"created": len(saved.created), "updated": len(saved.updated)}

    return await tools.database.write(write)


async def contacts_export(
    tools: Tools, after: str = "", of_list: str = "", subscribed: bool | None = None, account: int = ACCOUNT
) -> dict[str, Any]:
    """Contacts of one piece, the merge tags of the account's fields, and where the next piece begins; empty: that was all."""
    rule = await _rule(tools, account, of_list, subscribed)

    def read(connection: Connection) -> dict[str, Any]:
        found = segments.page(connection, account, rule, after, EXPORTED)
        tags = [field.merge_tag for field in fields.of_account(connection, account)]
        goes_on = len(found) == EXPORTED
        return {"rows": [asdict(each) for each in found], "tags": tags, "after": found[-1].id if goes_on else ""}

    return await tools.database.read(read)


async def contacts_lists(tools: Tools, account: int = ACCOUNT) -> list[dict[str, Any]]:
    await known_account(tools, account)
    return [asdict(each) for each in await tools.database.read(lambda c: lists.of_account(c, account))]


async def contacts_add_list(tools: Tools, name: str, account: int = ACCOUNT) -> dict[str, Any]:
    await known_account(tools, account)
    wanted, now = one_line(name, "a list's name"), tools.clock()

    def write(connection: Connection) -> ContactList:
        made = lists.create(connection, account, wanted, now)
        audit.note(connection, account, OPERATOR, "contact_list.created", ("contact_list", made.id, made.name), now)
        return made

    try:
        return asdict(await tools.database.write(write))
    except lists.Taken:
        raise Mistake(f"there is a list {wanted!r} already") from None
    except lists.TooMany:
        raise Mistake(f"the account has {lists.MOST} lists already, which is the most") from None


async def contacts_fields(tools: Tools, account: int = ACCOUNT) -> list[dict[str, Any]]:
    await known_account(tools, account)
    return [asdict(each) for each in await tools.database.read(lambda c: fields.of_account(c, account))]


async def contacts_add_field(
    tools: Tools, tag: str, name: str = "", type: str = DataType.TEXT, account: int = ACCOUNT
) -> dict[str, Any]:
    await known_account(tools, account)
    if not fields.is_tag(tag) or len(tag) > fields.LONGEST or tag.casefold() == fields.EMAIL:
        raise Mistake(
            f"{tag!r} is no merge tag: letters, digits, - and _, at most {fields.LONGEST}, and not {fields.EMAIL}"
        )
    wanted, now = one_line(name or tag, "a field's name", fields.LONGEST), tools.clock()

    def write(connection: Connection) -> Field:
        made = fields.create(connection, account, wanted, DataType(type), tag, now)
        audit.note(connection, account, OPERATOR, "contact_field.created", ("contact_field", made.id, made.name), now)
        return made

    try:
        return asdict(await tools.database.write(write))
    except fields.Taken as error:
        what = " and ".join(each.replace("_", " ") for each in error.names)
        raise Mistake(f"another field has this {what} already; mailferry contacts fields shows them") from None
    except fields.TooMany:
        raise Mistake(f"the account has {fields.MOST} fields already, which is the most") from None


VERBS: dict[str, Verb] = {
    "contacts.list": contacts_list,
    "contacts.show": contacts_show,
    "contacts.delete": contacts_delete,
    "contacts.import": contacts_import,
    "contacts.export": contacts_export,
    "contacts.lists": contacts_lists,
    "contacts.add_list": contacts_add_list,
    "contacts.fields": contacts_fields,
    "contacts.add_field": contacts_add_field,
}


def shown(contact: Contact) -> dict[str, Any]:
    return {
        "id": contact.id,
        "email": contact.email,
        "status": exports.SUBSCRIBED if contact.subscribed else exports.UNSUBSCRIBED,
        "fields": contact.fields,
        "list_ids": [*contact.list_ids],
        "created": iso(contact.created_at),
        "updated": iso(contact.updated_at),
    }


def _by_id(values: Mapping[str, Any]) -> dict[int, Any]:
    """JSON has no numbers for names."""
    return {int(field_id): value for field_id, value in values.items()}


async def _rule(tools: Tools, account: int, name: str, subscribed: bool | None) -> Rule:
    await known_account(tools, account)
    wanted = [Subscribed(subscribed)] if subscribed is not None else []
    if not name:
        return Rule((*wanted,))
    found = await tools.database.read(lambda connection: lists.of_account(connection, account))
    chosen = next((each.id for each in found if name in (each.name, str(each.id))), None)
    if chosen is None:
        raise Mistake(f"{name} is no list here; mailferry contacts lists shows them")
    return Rule((InLists((chosen,)), *wanted))


def _identifier(text: str) -> Identifier:
    wanted = contacts.identify(text)
    if wanted is None:
        raise Mistake(f"{text!r} is neither a contact's id nor a mail address")
    return wanted


def _no_contact(text: str) -> Mistake:
    return Mistake(f"there is no contact {text}")
