"""`.../contacts/lists`: bodies and answers have no envelope here, and POST answers 200."""

from typing import Any, NoReturn

from sqlalchemy import Connection
from starlette.responses import Response

from mailferry.endpoints.mailtrap.contact_forms import TAKEN
from mailferry.endpoints.mailtrap.deps import Call
from mailferry.endpoints.mailtrap.errors import Fault, answer
from mailferry.endpoints.mailtrap.forms import Form, identity, invalid, members, refuse
from mailferry.endpoints.mailtrap.query import BadQueryError, first, parse
from mailferry.resources import audit
from mailferry.resources.contacts import lists
from mailferry.resources.contacts.lists import ContactList, Taken, TooMany


async def get_list(call: Call) -> Response:
    try:
        search = first(parse(call.request.scope["query_string"]), "search")
    except BadQueryError as error:
        refuse(call, Fault.QUERY_INVALID, str(error))
    found = await call.read(lambda connection: lists.of_account(connection, call.account_id, search))
    return answer([_shown(each) for each in found])


async def get_one(call: Call) -> Response:
    list_id = identity(call, "list_id")
    found = await call.read(lambda connection: lists.by_id(connection, call.account_id, list_id))
    return answer(_shown(found)) if found else refuse(call, Fault.NOT_FOUND)


async def create(call: Call) -> Response:
    name = await _name(call)
    now = call.deps.clock()

    def write(connection: Connection) -> ContactList:
        made = lists.create(connection, call.account_id, name, now)
        _tell(call, connection, "contact_list.created", made, now)
        return made

    try:
        return answer(_shown(await call.write(write)))
    except (TooMany, Taken) as error:
        _refuse(error)


async def update(call: Call) -> Response:
    list_id = identity(call, "list_id")
    name = await _name(call)
    now = call.deps.clock()

    def write(connection: Connection) -> ContactList | None:
        before = lists.rename(connection, call.account_id, list_id, name)
        if before is not None:
            changes = {"name": (before.name, name)}
            _tell(call, connection, "contact_list.updated", ContactList(list_id, name), now, changes)
        return before

    try:
        found = await call.write(write)
    except Taken as error:
        _refuse(error)
    return answer({"id": list_id, "name": name}) if found else refuse(call, Fault.NOT_FOUND)


async def delete(call: Call) -> Response:
    list_id = identity(call, "list_id")
    now = call.deps.clock()

    def write(connection: Connection) -> ContactList | None:
        gone = lists.delete(connection, call.account_id, list_id, now)
        if gone is not None:
            _tell(call, connection, "contact_list.deleted", gone, now)
        return gone

    return Response(status_code=204) if await call.write(write) else refuse(call, Fault.NOT_FOUND)


async def _name(call: Call) -> str:
    form = Form(await members(call))
    name = form.text("name", least=1)
    form.check()
    return name


def _refuse(error: Exception) -> NoReturn:
    if isinstance(error, Taken):
        invalid({"name": [TAKEN]})
    invalid({"base": [f"You've reached the maximum number of contact lists ({lists.MOST})"]})


def _shown(found: ContactList) -> dict[str, Any]:
    return {"id": found.id, "name": found.name}


def _tell(
    call: Call,
    connection: Connection,
    event: str,
    about: ContactList,
    now: int,
    changes: dict[str, tuple[Any, Any]] | None = None,
) -> None:
    resource = ("contact_list", about.id, about.name)
    audit.note(connection, call.account_id, call.actor, event, resource, now, changes)
