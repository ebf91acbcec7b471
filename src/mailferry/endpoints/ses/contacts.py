"""Contacts of a contact list, v2: they are the account's contacts, with what they said of each topic."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection

from mailferry.endpoints.ses import paging
from mailferry.endpoints.ses.contact_lists import STATUS, checked, missing, no_topic
from mailferry.endpoints.ses.deps import Call, Params, Result
from mailferry.endpoints.ses.errors import SesError, invalid, not_found
from mailferry.endpoints.ses.suppressions import actor
from mailferry.mail import address as addresses
from mailferry.mail.address import BadAddress
from mailferry.resources import audit
from mailferry.resources.contacts import preferences, topics
from mailferry.resources.contacts.preferences import Preferences, Wish
from mailferry.resources.contacts.topics import Board

#: Of one page, and its default.
MOST = 1000


async def create(call: Call, params: Params) -> Result:
    email = _email(params["EmailAddress"])

    def write(connection: Connection) -> None:
        board = _locked(connection, call, params["ContactListName"])
        said = said_of(board, params.get("TopicPreferences", ()))
        if preferences.of_addresses(connection, call.account_id, board, [email]):
            raise SesError("AlreadyExists", f"{params['EmailAddress']} already exists in List.")
        # Whoever unsubscribed before is not asked back in by being added: only a program that says so does that.
        wish = Wish(email, said, params.get("UnsubscribeAll"), params.get("AttributesData", ""), whole=True)
        preferences.save(connection, call.account_id, board, [wish], actor(call), call.now())
        _tell(call, connection, "contact.created", email)

    await call.write(write)
    return {}


async def get(call: Call, params: Params) -> Result:
    email = _email(params["EmailAddress"])

    def read(connection: Connection) -> tuple[Board, list[Preferences]]:
        board = _board(connection, call, params["ContactListName"])
        return board, preferences.of_addresses(connection, call.account_id, board, [email])

    board, found = await call.read(read)
    if not found:
        raise _missing(params["EmailAddress"])
    (contact,) = found
    return {
        "ContactListName": board.name,
        **_shown(board, contact),
        "AttributesData": contact.attributes or None,
        "CreatedTimestamp": contact.created_at,
    }


async def update(call: Call, params: Params) -> Result:
    """Preferences are merged by topic; the other members are as given, and as if new where they are not."""
    email = _email(params["EmailAddress"])

    def write(connection: Connection) -> None:
        board = _locked(connection, call, params["ContactListName"])
        said = said_of(board, params.get("TopicPreferences", ()))
        if not preferences.of_addresses(connection, call.account_id, board, [email]):
            raise _missing(params["EmailAddress"])
        wish = Wish(email, said, params.get("UnsubscribeAll", False), params.get("AttributesData", ""))
        preferences.save(connection, call.account_id, board, [wish], actor(call), call.now())
        _tell(call, connection, "contact.updated", email)

    await call.write(write)
    return {}


async def delete(call: Call, params: Params) -> Result:
    email = _email(params["EmailAddress"])

    def write(connection: Connection) -> None:
        board = _locked(connection, call, params["ContactListName"])
        if not preferences.of_addresses(connection, call.account_id, board, [email]):
            raise _missing(params["EmailAddress"])
        preferences.leave(connection, call.account_id, [email])
        _tell(call, connection, "contact.deleted", email)

    await call.write(write)
    return {}


async def list_of(call: Call, params: Params) -> Result:
    """Without AttributesData, as at Amazon."""
    most, after = paging.size(params, MOST, MOST), paging.after(params)

    def read(connection: Connection) -> tuple[Board, list[Preferences]]:
        board = _board(connection, call, params["ContactListName"])
        wanted = _filter(board, params.get("Filter", {}))
        return board, preferences.page(connection, call.account_id, board, wanted, after=after, limit=most + 1)

    board, found = await call.read(read)
    shown, following = paging.page(found, most, lambda each: each.id)
    return {"Contacts": [_shown(board, each) for each in shown], "NextToken": following}


def said_of(board: Board, given: Sequence[Mapping[str, str]]) -> dict[str, bool]:
    for each in given:
        if board.topic(each["TopicName"]) is None:
            raise no_topic(board.name, each["TopicName"])
    return {each["TopicName"]: each["SubscriptionStatus"] == "OPT_IN" for each in given}


def _filter(board: Board, given: Mapping[str, Any]) -> list[ColumnElement[bool]]:
    """Without a topic, by whether somebody unsubscribed from all."""
    chosen = given.get("TopicFilter", {})
    status, name = given.get("FilteredStatus"), chosen.get("TopicName")
    if name is None:
        everything = preferences.unsubscribed()
        return [] if status is None else [~everything if status == "OPT_IN" else everything]
    topic = board.topic(name)
    if topic is None:
        raise no_topic(board.name, name)
    if status is None:
        raise invalid("A filter by topic needs a FilteredStatus.")
    default = chosen.get("UseDefaultIfPreferenceUnavailable", False)
    return [preferences.said(topic, status == "OPT_IN", default=default)]


def _shown(board: Board, contact: Preferences) -> dict[str, Any]:
    said = [each for each in board.topics if each.name in contact.said]
    unsaid = [each for each in board.topics if each.name not in contact.said]
    return {
        "EmailAddress": contact.email,
        "TopicPreferences": [_preference(each.name, contact.said[each.name]) for each in said],
        "TopicDefaultPreferences": [_preference(each.name, each.default) for each in unsaid],
        "UnsubscribeAll": contact.unsubscribed,
        "LastUpdatedTimestamp": contact.updated_at,
    }


def _preference(topic: str, yes: bool) -> dict[str, str]:
    return {"TopicName": topic, "SubscriptionStatus": STATUS[yes]}


def _board(connection: Connection, call: Call, name: str) -> Board:
    found = topics.find(connection, call.account_id, checked(name))
    if found is None:
        raise missing(name)
    return found


def _locked(connection: Connection, call: Call, name: str) -> Board:
    found = topics.lock(connection, call.account_id, checked(name))
    if found is None:
        raise missing(name)
    return found


def _email(text: str) -> str:
    if not text.strip():
        raise invalid("EmailAddress can't be blank.")
    try:
        return addresses.parse(text.strip())
    except BadAddress:
        raise invalid(f"EmailAddress <{text}> is invalid") from None


def _missing(email: str) -> SesError:
    return not_found(f"{email} doesn't exist in List.")


def _tell(call: Call, connection: Connection, event: str, email: str) -> None:
    audit.note(connection, call.account_id, call.actor, event, ("contact", email, email), call.now())
