"""`.../contacts/{uuid or address}/events`: what a contact did, told by the customer's own programs."""

from sqlalchemy import Connection
from starlette.responses import Response

from mailferry.endpoints.mailtrap.contact_forms import is_nothing
from mailferry.endpoints.mailtrap.contacts import identifier
from mailferry.endpoints.mailtrap.deps import Call
from mailferry.endpoints.mailtrap.errors import Fault, answer
from mailferry.endpoints.mailtrap.forms import BLANK, Form, members, refuse
from mailferry.resources.contacts import events
from mailferry.resources.contacts.contacts import Found
from mailferry.resources.contacts.events import Scalar

#: Characters of a name, of a parameter's name and of its value.
LONGEST = 255
MOST_PARAMS = 100


async def create(call: Call) -> Response:
    wanted = identifier(call)
    form = Form(await members(call))
    name, params = _name(form), _params(form)
    form.check()
    now = call.deps.clock()

    def write(connection: Connection) -> Found | None:
        return events.add(connection, call.account_id, wanted, name, params, now) if wanted else None

    found = await call.write(write)
    if found is None:
        refuse(call, Fault.NOT_FOUND)
    return answer({"contact_id": found.id, "contact_email": found.email, "name": name, "params": params}, 201)


def _name(form: Form) -> str:
    """The real service says both of a name that is missing."""
    name = form.given.get("name")
    if name is None or name == "":
        form.wrong("name", BLANK)
    if not isinstance(name, str):
        form.wrong("name", "must be a string")
        return ""
    if len(name) > LONGEST:
        form.wrong("name", "is too long")
    if "\0" in name:  # PostgreSQL has no such text
        form.wrong("name", "must not contain a NUL character")
    return name


def _params(form: Form) -> dict[str, Scalar]:
    params = form.given.get("params")
    if is_nothing(params):
        return {}
    if not isinstance(params, dict):
        form.wrong("params", "must be a hash")
        return {}
    if len(params) > MOST_PARAMS:
        form.wrong("params", f"is too long (maximum is {MOST_PARAMS} keys)")
        return {}
    for key, value in params.items():
        if len(key) > LONGEST:
            form.wrong("params", f"key '{key[:LONGEST]}' is too long")
        elif isinstance(value, (dict, list)):
            form.wrong("params", f"value for '{key}' must be a string, a number, a boolean or null")
        elif isinstance(value, str) and len(value) > LONGEST:
            form.wrong("params", f"value for '{key}' is too long")
    return params
