"""`api_tokens`: an admin of the account sees and makes all of them, any other token sees itself."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row
from starlette.responses import Response

from mailferry.endpoints.mailtrap import names
from mailferry.endpoints.mailtrap.deps import Call
from mailferry.endpoints.mailtrap.errors import Fault, answer
from mailferry.endpoints.mailtrap.forms import Form, identity, invalid, members, refuse
from mailferry.endpoints.mailtrap.query import BadQueryError, moment
from mailferry.resources import accesses, audit, tokens, tree
from mailferry.resources.accesses import Specifier
from mailferry.resources.permissions import ADMIN, Grant

#: As Mailtrap's SDKs say of it: a token may be wanted for ever, but not for longer than this.
LONGEST_LIFE = timedelta(days=5 * 366)

NONE_CHOSEN = "No permissions selected. Please choose at least one."


async def get_list(call: Call) -> Response:
    now = call.deps.clock()

    def read(connection: Connection) -> list[dict[str, Any]]:
        found = tokens.of_account(connection, call.account_id, now)
        return [_token(call, connection, row) for row in found if _visible(call, row.id)]

    return answer(await call.read(read))


async def get_one(call: Call) -> Response:
    token_id = _visible_id(call)
    now = call.deps.clock()

    def read(connection: Connection) -> dict[str, Any] | None:
        row = tokens.by_id(connection, call.account_id, token_id, now)
        return _token(call, connection, row) if row else None

    found = await call.read(read)
    return answer(found) if found else refuse(call, Fault.NOT_FOUND)


async def create(call: Call) -> Response:
    """The token itself is in this answer and in no other."""
    form = Form(await members(call))
    name = form.text("name", least=1)
    wanted = [grant for grant in form.items("resources", grant_of) if grant]
    now = call.deps.clock()
    expires_at = _expires_at(form, now)
    form.check()
    if not wanted:
        invalid({"base": [NONE_CHOSEN]})

    def write(connection: Connection) -> dict[str, Any] | None:
        if not are_there(connection, call.account_id, wanted):
            return None
        granted = tuple(dict.fromkeys(wanted))
        made, secret = tokens.create(
            connection, call.account_id, name, granted, now, created_by=call.token.name, expires_at=expires_at or 0
        )
        return _made(call, connection, "api_token.created", made, secret, now)

    found = await call.write(write)
    if found is None:
        invalid({"resources": ["must be resources of this account"]})
    return answer(found)


async def delete(call: Call) -> Response:
    token_id = _visible_id(call)
    now = call.deps.clock()

    def write(connection: Connection) -> Fault | None:
        row = tokens.by_id(connection, call.account_id, token_id, now)
        if row is None:
            return Fault.NOT_FOUND
        if not call.rights.cover(_granted(connection, token_id)):
            return Fault.FORBIDDEN
        tokens.remove(connection, token_id)
        audit.note(connection, call.account_id, call.actor, "api_token.deleted", ("api_token", token_id, row.name), now)
        return None

    if wrong := await call.write(write):
        refuse(call, wrong)
    call.deps.credentials.forget()
    return Response(status_code=204)


async def reset(call: Call) -> Response:
    """A new id, a new name and a new secret; the old one goes on for twelve hours."""
    token_id = _visible_id(call)
    form, now = Form(await members(call)), call.deps.clock()
    expires_at = _expires_at(form, now)
    form.check()

    def write(connection: Connection) -> dict[str, Any] | Fault | None:
        if tokens.by_id(connection, call.account_id, token_id, now) is None:
            return Fault.NOT_FOUND
        # The secret is the caller's from then on, and with it whatever the token may do.
        if not call.rights.cover(_granted(connection, token_id)):
            return Fault.FORBIDDEN
        made = tokens.reset(connection, call.account_id, token_id, now, expires_at)
        return _made(call, connection, "api_token.reset", *made, now) if made else None

    found = await call.write(write)
    if isinstance(found, Fault):
        refuse(call, found)
    if found is None:
        invalid({"base": ["This token was reset already, or expires within 12 hours."]})
    call.deps.credentials.forget()
    return answer(found)


def _expires_at(form: Form, now: int) -> int | None:
    """Unix milliseconds, 0 for never, None where nothing is said of it."""
    given = form.given.get("expires_at")
    if given is None:
        return 0 if "expires_at" in form.given else None
    try:
        found = moment(given, "expires_at") if isinstance(given, str) else None
    except BadQueryError:
        found = None
    if found is None:
        form.wrong("expires_at", "must be an ISO 8601 time, or null")
    elif not now < found <= now + LONGEST_LIFE // timedelta(milliseconds=1):
        form.wrong("expires_at", "must be in the future, and within five years")
    return found


def _visible(call: Call, token_id: int) -> bool:
    return call.rights.account >= ADMIN or token_id == call.token.id


def _visible_id(call: Call) -> int:
    token_id = identity(call, "api_token_id")
    if not _visible(call, token_id):
        refuse(call, Fault.NOT_FOUND)
    return token_id


def grant_of(form: Form) -> Grant | None:
    kind, identity, level = names.kind(form), form.number("resource_id"), names.level(form)
    if identity is None and "resource_id" not in form.errors:
        form.wrong("resource_id", "can't be blank")
    return Grant(kind, identity, level) if kind and identity and level else None


def are_there(connection: Connection, account_id: int, wanted: Sequence[Grant]) -> bool:
    there = {(node.kind, node.id) for node in tree.of_account(connection, account_id).walk()}
    return all((grant.kind, grant.id) in there for grant in wanted)


def _made(call: Call, connection: Connection, event: str, token_id: int, secret: str, now: int) -> dict[str, Any]:
    row = tokens.by_id(connection, call.account_id, token_id, now)
    assert row is not None
    audit.note(connection, call.account_id, call.actor, event, ("api_token", token_id, str(row.name)), now)
    return _token(call, connection, row) | {"token": secret}


def _token(call: Call, connection: Connection, row: Row[Any]) -> dict[str, Any]:
    return {
        "id": row.id,
        "name": row.name,
        "last_4_digits": row.last_4_digits,
        "created_by": row.created_by,
        "expires_at": time(row.expires_at),
        "last_used_at": time(row.last_used_at),
        "resources": names.grants(_granted(connection, row.id), call.legacy),
    }


def _granted(connection: Connection, token_id: int) -> tuple[Grant, ...]:
    found = accesses.of_specifier(connection, Specifier.API_TOKEN, token_id)
    return tuple(grant for access in found for grant in access.grants)


def time(ms: int) -> str | None:
    """Null: never."""
    if not ms:
        return None
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
