"""`.../contacts/segments`: contacts by what their fields, lists and subscription are now.

Mailtrap makes segments on its pages only; this part of the API is Mailferry's own. Conditions on lists and subscription
are spelled like the filters of exports.
"""

from collections.abc import Mapping
from typing import Any, NoReturn

from sqlalchemy import Connection
from starlette.responses import Response

from mailferry.endpoints.mailtrap.contact_forms import TAKEN, Known, shown, time
from mailferry.endpoints.mailtrap.contact_rules import condition, spelled
from mailferry.endpoints.mailtrap.deps import Call
from mailferry.endpoints.mailtrap.errors import Fault, answer
from mailferry.endpoints.mailtrap.forms import BLANK, Form, identity, invalid, members, refuse
from mailferry.endpoints.mailtrap.query import BadQueryError, first, parse
from mailferry.resources import audit
from mailferry.resources.contacts import contacts, segments
from mailferry.resources.contacts.rules import Rule
from mailferry.resources.contacts.segments import FieldGone, Segment, Taken, TooMany

#: Conditions of one segment.
MOST = 20
#: Contacts of one answer.
PAGE = 100

_ALL, _ANY = "all", "any"


async def get_list(call: Call) -> Response:
    def read(connection: Connection) -> list[dict[str, Any]]:
        known = Known.of(connection, call.account_id)
        return [_shown(each, known) for each in segments.of_account(connection, call.account_id)]

    return answer(await call.read(read))


async def get_one(call: Call) -> Response:
    segment = await _segment(call)

    def read(connection: Connection) -> dict[str, Any]:
        count = segments.count(connection, call.account_id, segment.rule)
        return _shown(segment, Known.of(connection, call.account_id)) | {"contacts_count": count}

    return answer(await call.read(read))


async def get_contacts(call: Call) -> Response:
    """A page in the order of ids; ``last_id`` is the last one of the page before."""
    segment = await _segment(call)
    try:
        after = first(parse(call.request.scope["query_string"]), "last_id")
    except BadQueryError as error:
        refuse(call, Fault.QUERY_INVALID, str(error))
    wanted = contacts.identify(after)
    if after and not (wanted and wanted.id):
        refuse(call, Fault.QUERY_INVALID, "'last_id' must be the id of a contact")
    last = wanted.id if wanted else ""
    found = await call.read(lambda connection: segments.page(connection, call.account_id, segment.rule, last, PAGE))
    return answer({"data": [shown(each) for each in found]})


async def create(call: Call) -> Response:
    known = await call.read(lambda connection: Known.of(connection, call.account_id))
    form = Form(await members(call))
    name, rule = form.text("name", least=1), _rule(form, known)
    form.check()
    now = call.deps.clock()

    def write(connection: Connection) -> Segment:
        made = segments.create(connection, call.account_id, name, rule, now)
        _tell(call, connection, "contact_segment.created", made, now)
        return made

    try:
        return answer(_shown(await call.write(write), known), 201)
    except (TooMany, Taken, FieldGone) as error:
        _refuse(error)


async def update(call: Call) -> Response:
    before = await _segment(call)
    known = await call.read(lambda connection: Known.of(connection, call.account_id))
    form = Form(await members(call))
    name = form.text("name", least=1) if form.has("name") else before.name
    rule = _rule(form, known) if form.has("conditions") or form.has("match") else before.rule
    form.check()
    now = call.deps.clock()

    def write(connection: Connection) -> Segment:
        after = segments.change(connection, call.account_id, before, name, rule, now)
        changes = {"name": (before.name, name), "conditions": (spelled(before.rule, known), spelled(rule, known))}
        _tell(call, connection, "contact_segment.updated", after, now, changes)
        return after

    try:
        return answer(_shown(await call.write(write), known))
    except (Taken, FieldGone) as error:
        _refuse(error)


async def delete(call: Call) -> Response:
    segment_id = identity(call, "segment_id")
    now = call.deps.clock()

    def write(connection: Connection) -> Segment | None:
        gone = segments.remove(connection, call.account_id, segment_id)
        if gone is not None:
            _tell(call, connection, "contact_segment.deleted", gone, now)
        return gone

    return Response(status_code=204) if await call.write(write) else refuse(call, Fault.NOT_FOUND)


async def _segment(call: Call) -> Segment:
    segment_id = identity(call, "segment_id")
    found = await call.read(lambda connection: segments.by_id(connection, call.account_id, segment_id))
    return found or refuse(call, Fault.NOT_FOUND)


def _rule(form: Form, known: Known) -> Rule:
    match = form.choice("match", (_ALL, _ANY)) or _ALL
    found = [each for each in form.items("conditions", lambda item: condition(item, known), MOST) if each]
    if not found and "conditions" not in form.errors:
        form.wrong("conditions", BLANK)
    return Rule(tuple(found), match == _ALL)


def _refuse(error: Exception) -> NoReturn:
    if isinstance(error, Taken):
        invalid({"name": [TAKEN]})
    if isinstance(error, FieldGone):
        invalid({"conditions": ["ask for a field that was deleted"]})
    invalid({"base": [f"You've reached the maximum number of contact segments ({segments.MOST})"]})


def _shown(segment: Segment, known: Known) -> dict[str, Any]:
    return {
        "id": segment.id,
        "name": segment.name,
        "match": _ALL if segment.rule.all_of else _ANY,
        "conditions": spelled(segment.rule, known),
        "created_at": time(segment.created_at),
        "updated_at": time(segment.updated_at),
    }


def _tell(
    call: Call,
    connection: Connection,
    event: str,
    segment: Segment,
    now: int,
    changes: Mapping[str, tuple[Any, Any]] | None = None,
) -> None:
    resource = ("contact_segment", segment.id, segment.name)
    audit.note(connection, call.account_id, call.actor, event, resource, now, changes)
