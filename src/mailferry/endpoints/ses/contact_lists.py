"""Contact lists, v2: one an account, with topics that are lists of contacts on Mailtrap's side too."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection

from mailferry.endpoints.ses import paging, tags
from mailferry.endpoints.ses.deps import Call, Params, Result
from mailferry.endpoints.ses.errors import SesError, invalid, not_found
from mailferry.resources import audit
from mailferry.resources.contacts import lists, locks, topics
from mailferry.resources.contacts.topics import Board, Topic

MOST_TOPICS = 20
MOST_DESCRIPTION = 500
MOST_DISPLAY_NAME = 128
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_DEFAULTS = {"OPT_IN": True, "OPT_OUT": False}
STATUS = {yes: word for word, yes in _DEFAULTS.items()}


async def create(call: Call, params: Params) -> Result:
    name = params["ContactListName"]
    _check_name(name, "ContactListName")
    board = Board(name, _description(params.get("Description")), _topics(params.get("Topics", ())))
    given = tags.read(params)

    def write(connection: Connection) -> None:
        locks.take(connection, call.account_id)
        if topics.of_account(connection, call.account_id):
            raise invalid("A maximum of 1 Lists allowed per account.")
        _saved(connection, call, board)
        tags.put(connection, call, _resource(name), given)
        _tell(call, connection, "contact_list.created", name)

    await call.write(write)
    call.deps.documents.forget()
    return {}


async def get(call: Call, params: Params) -> Result:
    name = params["ContactListName"]

    def read(connection: Connection) -> tuple[Board, tags.Tags]:
        found = topics.find(connection, call.account_id, checked(name))
        if found is None:
            raise missing(name)
        return found, tags.of(connection, call.account_id, _resource(name))

    found, kept = await call.read(read)
    return {
        "ContactListName": found.name,
        "Topics": [_shown(each) for each in found.topics],
        "Description": found.description,
        "CreatedTimestamp": found.created_at,
        "LastUpdatedTimestamp": found.updated_at,
        "Tags": kept,
    }


async def update(call: Call, params: Params) -> Result:
    """What is not given stays; topics that are given replace those that stood."""
    name = params["ContactListName"]

    def write(connection: Connection) -> None:
        found = topics.lock(connection, call.account_id, checked(name))
        if found is None:
            raise missing(name)
        chosen = _topics(params["Topics"]) if "Topics" in params else found.topics
        description = _description(params["Description"]) if "Description" in params else found.description
        _saved(connection, call, Board(name, description, chosen))
        _tell(call, connection, "contact_list.updated", name)

    await call.write(write)
    call.deps.documents.forget()
    return {}


async def delete(call: Call, params: Params) -> Result:
    name = params["ContactListName"]

    def write(connection: Connection) -> None:
        found = topics.lock(connection, call.account_id, checked(name))
        if found is None:
            raise missing(name)
        topics.remove(connection, call.account_id, found, call.now())
        tags.forget(connection, call.account_id, _resource(name))
        _tell(call, connection, "contact_list.deleted", name)

    await call.write(write)
    call.deps.documents.forget()
    return {}


async def list_of(call: Call, params: Params) -> Result:
    """There is one at most, and so there is no second page."""
    after = paging.after(params)
    found = await call.read(lambda connection: topics.of_account(connection, call.account_id))
    shown = [{"ContactListName": each.name, "LastUpdatedTimestamp": each.updated_at} for each in found]
    return {"ContactLists": [] if after else shown}


def checked(name: str) -> str:
    _check_name(name, "ContactListName")
    return name


def missing(name: str) -> SesError:
    return not_found(f"List with name: {name} doesn't exist.")


def no_topic(list_name: str, topic: str) -> SesError:
    return invalid(f"List: {list_name} doesn't contain Topic: {topic}")


def _resource(name: str) -> str:
    return f"{tags.CONTACT_LIST}/{name}"


def _saved(connection: Connection, call: Call, board: Board) -> None:
    try:
        topics.save(connection, call.account_id, board, call.now())
    except lists.TooMany:
        text = f"The account has {lists.MOST} lists of contacts already, and each topic is one."
        raise SesError("LimitExceeded", text) from None


def _topics(given: Sequence[Mapping[str, str]]) -> tuple[Topic, ...]:
    if len(given) > MOST_TOPICS:
        raise invalid(f"Maximum of <{MOST_TOPICS}> topics allowed per ContactList")
    found: list[Topic] = []
    for each in given:
        name, display = each["TopicName"], each["DisplayName"]
        _check_name(name, "TopicName")
        if len(display) > MOST_DISPLAY_NAME:
            raise invalid(f"Topic DisplayName can contain up to <{MOST_DISPLAY_NAME}> characters.")
        if any(name == other.name for other in found):
            raise invalid("Duplicate topic names are not allowed within a List.")
        found.append(Topic(name, display, each.get("Description"), _DEFAULTS[each["DefaultSubscriptionStatus"]]))
    return tuple(found)


def _shown(topic: Topic) -> dict[str, Any]:
    return {
        "TopicName": topic.name,
        "DisplayName": topic.display_name,
        "Description": topic.description,
        "DefaultSubscriptionStatus": STATUS[topic.default],
    }


def _check_name(name: str, member: str) -> None:
    if not name.strip():
        raise invalid(f"{member} can't be blank.")
    if not _NAME.fullmatch(name):
        raise invalid(
            f"{member} can contain up to 64 characters. Only alphanumeric characters, underscores(_) and hyphens(-) "
            "are allowed."
        )


def _description(text: str | None) -> str | None:
    if text is not None and len(text) > MOST_DESCRIPTION:
        raise invalid(f"List description can contain up to {MOST_DESCRIPTION} characters.")
    return text


def _tell(call: Call, connection: Connection, event: str, name: str) -> None:
    audit.note(connection, call.account_id, call.actor, event, ("contact_list", name, name), call.now())
