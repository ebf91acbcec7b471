"""`.../contacts/fields`: what contacts are described by. No envelope, and POST answers 201."""

from typing import Any, NoReturn

from sqlalchemy import Connection
from starlette.responses import Response

from mailferry.endpoints.mailtrap.contact_forms import INVALID, TAKEN
from mailferry.endpoints.mailtrap.deps import Call
from mailferry.endpoints.mailtrap.errors import Fault, answer
from mailferry.endpoints.mailtrap.forms import Form, identity, invalid, members, refuse
from mailferry.resources import audit
from mailferry.resources.contacts import fields, locks, segments
from mailferry.resources.contacts.fields import LONGEST, Field, Taken, TooMany
from mailferry.resources.contacts.values import DataType

#: As templates can name it.


async def get_list(call: Call) -> Response:
    found = await call.read(lambda connection: fields.of_account(connection, call.account_id))
    return answer([_shown(each) for each in found])


async def get_one(call: Call) -> Response:
    return answer(_shown(await _field(call)))


async def create(call: Call) -> Response:
    form = Form(await members(call))
    name, tag = form.text("name", least=1, most=LONGEST), _tag(form, required=True)
    kind = form.choice("data_type", tuple(DataType), required=True)
    form.check()
    now = call.deps.clock()

    def write(connection: Connection) -> Field:
        made = fields.create(connection, call.account_id, name, DataType(kind), tag, now)
        _tell(call, connection, "contact_field.created", made, now)
        return made

    try:
        return answer(_shown(await call.write(write)), 201)
    except (TooMany, Taken) as error:
        _refuse(error)


async def update(call: Call) -> Response:
    before = await _field(call)
    form = Form(await members(call))
    name, tag = form.text("name", least=_least(form, "name"), most=LONGEST), _tag(form, required=False)
    if form.has("data_type") and form.given["data_type"] != before.data_type:
        form.wrong("data_type", "can't be changed")
    form.check()
    now = call.deps.clock()

    def write(connection: Connection) -> Field:
        after = fields.change(connection, before, call.account_id, name, tag)
        changes = {"name": (before.name, after.name), "merge_tag": (before.merge_tag, after.merge_tag)}
        _tell(call, connection, "contact_field.updated", after, now, changes)
        return after

    try:
        return answer(_shown(await call.write(write)))
    except Taken as error:
        _refuse(error)


async def delete(call: Call) -> Response:
    """Not while a segment asks for it."""
    field = await _field(call)
    now = call.deps.clock()

    def write(connection: Connection) -> list[str] | bool:
        locks.take(connection, call.account_id)
        if using := segments.using(connection, call.account_id, field.id):
            return using
        gone = fields.delete(connection, field, now)
        if gone:
            _tell(call, connection, "contact_field.deleted", field, now)
        return gone

    outcome = await call.write(write)
    if isinstance(outcome, list):
        invalid({"usage": [f"This field is used in the conditions of segment(s): {', '.join(outcome)}."]})
    return Response(status_code=204) if outcome else refuse(call, Fault.NOT_FOUND)


async def _field(call: Call) -> Field:
    field_id = identity(call, "field_id")
    found = await call.read(lambda connection: fields.by_id(connection, call.account_id, field_id))
    return found or refuse(call, Fault.NOT_FOUND)


def _tag(form: Form, *, required: bool) -> str:
    tag = form.text("merge_tag", least=1 if required else _least(form, "merge_tag"), most=LONGEST)
    if tag and "merge_tag" not in form.errors and not fields.is_tag(tag):
        form.wrong("merge_tag", INVALID)
        form.wrong("merge_tag", "must consist of letters, digits, underscores and hyphens")
    return tag


def _least(form: Form, name: str) -> int:
    """What is given must not be empty, and null is not given."""
    return 1 if form.has(name) else 0


def _refuse(error: Exception) -> NoReturn:
    if isinstance(error, Taken):
        invalid({name: [TAKEN] for name in error.names})
    invalid({"base": [f"You've reached the maximum number of contact fields ({fields.MOST})"]})


def _shown(field: Field) -> dict[str, Any]:
    return {"id": field.id, "name": field.name, "data_type": field.data_type, "merge_tag": field.merge_tag}


def _tell(
    call: Call,
    connection: Connection,
    event: str,
    field: Field,
    now: int,
    changes: dict[str, tuple[Any, Any]] | None = None,
) -> None:
    resource = ("contact_field", field.id, field.name)
    audit.note(connection, call.account_id, call.actor, event, resource, now, changes)
