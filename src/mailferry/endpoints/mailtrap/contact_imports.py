"""`.../contacts/imports`: up to 50,000 contacts in one request, all of them checked before any of them is taken.

The body is taken apart without decoding it, since decoding ten megabytes would hold everybody else up for half a second;
pieces of it are decoded and checked in a thread, one after the other.
"""

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import Any, NoReturn

import msgspec
from sqlalchemy import Connection
from starlette.responses import Response

from mailferry.endpoints.bodies import Share
from mailferry.endpoints.mailtrap import weight, wire
from mailferry.endpoints.mailtrap.contact_forms import Known, field_values, moves
from mailferry.endpoints.mailtrap.deps import Call
from mailferry.endpoints.mailtrap.errors import Fault, Problem, answer
from mailferry.endpoints.mailtrap.forms import BLANK, AnsweredError, Form, held_body, identity, refuse
from mailferry.resources import audit
from mailferry.resources.contacts import imports, jobs
from mailferry.resources.contacts.contacts import Change
from mailferry.resources.contacts.jobs import Job, Kind, Status

#: Contacts that are decoded and checked at once.
STEP = 500
#: Contacts whose errors an answer tells.
MOST_ERRORS = 1_000
#: Of an address that is told with its errors.
_MOST_EMAIL = 320
#: Octets that msgspec takes for a piece that it leaves undecoded. There are not more of them than commas.
_RAW = 72

Errors = list[dict[str, Any]]


class _Body(msgspec.Struct):
    contacts: list[msgspec.Raw]


async def create(call: Call) -> Response:
    async with held_body(call) as (body, share):
        given = await _split(call, body, share)
        pieces = await _understood(call, body, given)
    job_id = await _keep(call, pieces, len(given))
    return answer({"id": job_id, "status": Status.CREATED}, 201)


async def get_one(call: Call) -> Response:
    import_id = identity(call, "import_id")
    found = await call.read(lambda connection: jobs.by_id(connection, call.account_id, Kind.IMPORT, import_id))
    return answer(_shown(found)) if found else refuse(call, Fault.NOT_FOUND)


def _shown(job: Job) -> dict[str, Any]:
    told: dict[str, Any] = {"id": job.id, "status": job.status}
    if job.status is Status.FINISHED:
        told |= {
            "created_contacts_count": job.created_count,
            "updated_contacts_count": job.updated_count,
            "contacts_over_limit_count": 0,  # there is no limit
        }
    return told


async def _keep(call: Call, pieces: Sequence[bytes], count: int) -> int:
    """Kept in several transactions, of which the last makes it an import."""
    now = call.deps.clock()
    groups = list(imports.groups(pieces))
    job_id = await call.write(lambda connection: imports.begin(connection, call.account_id, now))
    for group in groups[:-1]:
        await call.write(partial(imports.keep, job_id, *group))

    def ready(connection: Connection) -> None:
        imports.keep(job_id, *groups[-1], connection)
        imports.ready(connection, job_id, now)
        resource = ("contact_import", job_id, f"{count} contacts")
        audit.note(connection, call.account_id, call.actor, "contact_import.created", resource, now)

    await call.write(ready)
    return job_id


# --- what came -----------------------------------------------------------------------------------------------------


async def _split(call: Call, body: bytearray, share: Share) -> list[msgspec.Raw]:
    """The contacts, undecoded."""
    needed = _RAW * body.count(b",")
    if not await share.take(needed):
        refuse(call, Fault.VALUES_TOO_MANY if needed > share.largest else Fault.BUSY)
    try:
        given = await asyncio.to_thread(msgspec.json.decode, body, type=_Body)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        await _explain(call, body)
    if not given.contacts:
        _refuse_all(f"contacts {BLANK}")
    if len(given.contacts) > imports.MOST:
        _refuse_all(f"cannot import more than {imports.MOST} contacts at once")
    return given.contacts


async def _explain(call: Call, body: bytearray) -> NoReturn:
    """Slowly, what is wrong with a body that holds no array of contacts."""
    found = await asyncio.to_thread(wire.decode, body) if body.strip() else {}
    if isinstance(found, Problem):
        raise AnsweredError(call.problem(found))
    _refuse_all(f"contacts {BLANK}" if found.get("contacts") is None else "contacts must be an array of objects")


async def _understood(call: Call, body: bytearray, given: Sequence[msgspec.Raw]) -> list[bytes]:
    """Checked, and in the pieces that are kept."""
    known = await call.read(lambda connection: Known.of(connection, call.account_id))
    pieces: list[bytes] = []
    errors: Errors = []
    wrong = 0
    for start in range(0, len(given), STEP):
        found = await asyncio.to_thread(_check, given[start : start + STEP], known, call.deps.budget.total)
        if isinstance(found, Problem):
            explained = await asyncio.to_thread(wire.decode, body) if found.fault is Fault.JSON_INVALID else found
            raise AnsweredError(call.problem(explained if isinstance(explained, Problem) else found))
        some, refused = found
        pieces += some
        wrong += len(refused)
        errors += refused[: MOST_ERRORS - len(errors)]
    if wrong > len(errors):
        errors.append(_error("", {"base": [f"{wrong - len(errors)} contacts more are invalid"]}))
    if errors:
        _refuse(errors)
    return pieces


def _check(given: Sequence[msgspec.Raw], known: Known, largest: int) -> tuple[list[bytes], Errors] | Problem:
    """In a thread."""
    text = b"[" + b",".join(given) + b"]"
    if len(text) + weight.growth(text, largest) > largest:
        return Problem(Fault.VALUES_TOO_MANY)
    decoded = wire.decode_array(text)
    if isinstance(decoded, Problem):
        return decoded
    changes: list[Change] = []
    errors: Errors = []
    for each in decoded:
        if not isinstance(each, dict):
            errors.append(_error("", {"base": ["must be an object"]}))
            continue
        form = Form(each)
        change = Change(form.email("email"), field_values(form, known), *moves(form, known))
        if form.errors:
            errors.append(_error(each.get("email"), form.errors))
        else:
            changes.append(change)
    return list(imports.pieces(changes)), errors


def _error(email: Any, errors: dict[str, list[str]]) -> dict[str, Any]:
    return {"email": email[:_MOST_EMAIL] if isinstance(email, str) else "", "errors": errors}


def _refuse_all(text: str) -> NoReturn:
    _refuse([_error("", {"base": [text]})])


def _refuse(errors: Errors) -> NoReturn:
    """An array here, with an object a contact."""
    raise AnsweredError(answer({"errors": errors}, 422, ["contacts are invalid"]))
