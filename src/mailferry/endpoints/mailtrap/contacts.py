"""`.../contacts` and `.../contacts/{uuid or address}`: made, shown, changed or made, deleted.

Times are integers of milliseconds here. Whether a contact is subscribed is what the suppression list says of its address.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError
from starlette.responses import Response

from mailferry.endpoints.mailtrap.contact_forms import TAKEN, Known, field_values, list_ids, moves, shown
from mailferry.endpoints.mailtrap.deps import Call
from mailferry.endpoints.mailtrap.errors import Fault, answer
from mailferry.endpoints.mailtrap.forms import BLANK, AnsweredError, Form, invalid, members, refuse
from mailferry.resources import audit
from mailferry.resources.contacts import contacts, subscription
from mailferry.resources.contacts.contacts import Change, Contact, Found, Identifier
from mailferry.resources.contacts.values import Value

EXISTS = "Contact exists"
NOT_FOUND = "Contact(s) not found"


async def create(call: Call) -> Response:
    form = Form(await members(call, "contact"))
    known = await call.read(lambda connection: Known.of(connection, call.account_id))
    change = Change(form.email("email"), field_values(form, known), list_ids(form, "list_ids", known))
    form.check()
    now = call.deps.clock()

    def write(connection: Connection) -> Contact | None:
        made = contacts.create(connection, call.account_id, change, now)
        if made is None:
            return None
        _tell(call, connection, "contact.created", made, change.email, now)
        return contacts.read_one(connection, call.account_id, made)

    made = await call.write(write)
    return answer({"data": shown(made)}, 201) if made else _refuse_taken(call)


async def get_one(call: Call) -> Response:
    wanted = identifier(call)

    def read(connection: Connection) -> list[Contact]:
        found = contacts.find(connection, call.account_id, wanted) if wanted else None
        return contacts.read(connection, call.account_id, [found.id]) if found else []

    found = await call.read(read)
    return answer({"data": shown(found[0])}) if found else refuse(call, Fault.NOT_FOUND)


async def delete(call: Call) -> Response:
    wanted = identifier(call)
    now = call.deps.clock()

    def write(connection: Connection) -> bool:
        gone = contacts.remove(connection, call.account_id, wanted) if wanted else None
        if gone is not None:
            _tell(call, connection, "contact.deleted", gone.id, gone.email, now)
        return gone is not None

    if not await call.write(write):
        # The older contract has the other key here, so its clients are given both.
        raise AnsweredError(
            answer({"errors": NOT_FOUND} | ({"error": "Not Found"} if call.legacy else {}), 404, [NOT_FOUND])
        )
    return Response(status_code=204)


# --- changed or made -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Patch:
    #: Empty: it stays.
    email: str
    values: Mapping[int, Value | None]
    included: frozenset[int]
    excluded: frozenset[int]
    unsubscribed: bool | None


async def update(call: Call) -> Response:
    """A contact that is not there is made, under the address of the body or else of the path."""
    wanted = identifier(call)
    form = Form(await members(call, "contact"))
    known = await call.read(lambda connection: Known.of(connection, call.account_id))
    email = form.email("email", required=False)
    patch = _Patch(email, field_values(form, known), *moves(form, known), form.flag("unsubscribed"))
    form.check()
    try:
        outcome = await call.write(lambda connection: _update(call, connection, wanted, patch))
    except IntegrityError:  # somebody else has taken the new address in this very moment
        outcome = TAKEN
    if outcome == TAKEN:
        _refuse_taken(call)
    if isinstance(outcome, str):
        invalid({"email": [outcome]})
    action, contact = outcome
    return answer({"action": action, "data": shown(contact)})


def _update(call: Call, connection: Connection, wanted: Identifier | None, patch: _Patch) -> tuple[str, Contact] | str:
    """What was done, and to whom; or what is wrong with the address."""
    now = call.deps.clock()
    found = _find(call, connection, wanted, patch)
    email = patch.email or (found.email if found else wanted.address if wanted else "")
    if not email:
        return BLANK
    before = contacts.read_one(connection, call.account_id, found.id) if found else None
    if found and email != found.email and not contacts.rename(connection, call.account_id, found, email):
        return TAKEN
    change = Change(email, patch.values, patch.included, patch.excluded)
    saved = contacts.save(connection, call.account_id, [change], now)
    if patch.unsubscribed is not None:
        subscribe = subscription.end if patch.unsubscribed else subscription.resume
        subscribe(connection, call.account_id, email, _actor(call), now)
    (identity,) = (saved.created | saved.updated).values()
    after = contacts.read_one(connection, call.account_id, identity)
    action = "updated" if before else "created"
    _tell(call, connection, f"contact.{action}", after.id, after.email, now, _differences(before, after))
    return action, after


def _find(call: Call, connection: Connection, wanted: Identifier | None, patch: _Patch) -> Found | None:
    """By the path, or else by the body: a change of address that is asked for twice is done once."""
    for each in (wanted, Identifier(address=patch.email) if patch.email else None):
        if each and (found := contacts.find(connection, call.account_id, each, lock=True)):
            return found
    return None


def _differences(before: Contact | None, after: Contact) -> dict[str, tuple[Any, Any]]:
    if before is None:
        return {}
    old, new = shown(before), shown(after)
    fields = {tag: (before.fields.get(tag), after.fields.get(tag)) for tag in before.fields | after.fields}
    return {name: (old[name], new[name]) for name in ("email", "status", "list_ids")} | fields


def identifier(call: Call) -> Identifier | None:
    """The path was decoded once, and is not decoded again. An address may hold a slash."""
    return contacts.identify(call.request.path_params["contact_identifier"].removesuffix("/"))


def _actor(call: Call) -> str:
    """As the history of suppressions names it."""
    return f"{call.actor.kind} {call.actor.id} {call.actor.name}"


def _refuse_taken(call: Call) -> NoReturn:
    """The older contract knows a conflict here, the newer one does not."""
    if call.legacy:
        raise AnsweredError(answer({"errors": EXISTS}, 409, [EXISTS]))
    invalid({"email": [TAKEN]})


def _tell(
    call: Call,
    connection: Connection,
    event: str,
    identity: str,
    email: str,
    now: int,
    changes: Mapping[str, tuple[Any, Any]] | None = None,
) -> None:
    resource = ("contact", identity, email)
    audit.note(connection, call.account_id, call.actor, event, resource, now, changes)
