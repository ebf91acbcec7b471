"""`.../contacts/exports`: contacts as a gzipped CSV file, which is fetched over a link that needs no token, for a day.

Each answer has a new link (links.py).
"""

from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import msgspec
from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from mailferry.endpoints.mailtrap import links
from mailferry.endpoints.mailtrap.contact_forms import Known, time
from mailferry.endpoints.mailtrap.contact_rules import named
from mailferry.endpoints.mailtrap.deps import Call, Deps
from mailferry.endpoints.mailtrap.errors import Fault, answer
from mailferry.endpoints.mailtrap.forms import Form, identity, invalid, members, refuse
from mailferry.resources import audit
from mailferry.resources.contacts import exports, jobs
from mailferry.resources.contacts.exports import Running
from mailferry.resources.contacts.jobs import Job, Kind
from mailferry.resources.contacts.rules import Condition, Rule

FILE = "/api/contact_exports/{sealed}/contacts.csv.gz"
#: How long a link is good for. The file is there longer: whoever asks again is given a new link.
LINK_MS = 86_400_000
RUNNING = "There is a previous export initiated."
MOST_FILTERS = 10

_PURPOSE = "contact export link"


async def create(call: Call) -> Response:
    given = (await members(call)).get("filters")
    known = await call.read(lambda connection: Known.of(connection, call.account_id))
    rule = Rule(_filters(given, known))
    now = call.deps.clock()

    def write(connection: Connection) -> Job | None:
        job_id = exports.create(connection, call.account_id, rule, now)
        resource = ("contact_export", job_id, "contacts")
        audit.note(connection, call.account_id, call.actor, "contact_export.created", resource, now)
        return jobs.by_id(connection, call.account_id, Kind.EXPORT, job_id)

    try:
        made = await call.write(write)
    except Running:
        invalid({"base": [RUNNING]})
    assert made is not None
    return answer(_shown(call, made), 201)


async def get_one(call: Call) -> Response:
    export_id = identity(call, "export_id")
    found = await call.read(lambda connection: jobs.by_id(connection, call.account_id, Kind.EXPORT, export_id))
    return answer(_shown(call, found)) if found else refuse(call, Fault.NOT_FOUND)


def _filters(given: Any, known: Known) -> tuple[Condition, ...]:
    """The real service tells no more of what is wrong than that."""
    found: list[Condition] = []
    right = given is None or (isinstance(given, list) and len(given) <= MOST_FILTERS)
    for each in given or () if right else ():
        condition = named(Form(each), known) if isinstance(each, dict) else None
        if condition is None:
            right = False
            break
        found.append(condition)
    if not right:
        invalid({"filters": "invalid"})
    return tuple(found)


def _shown(call: Call, job: Job) -> dict[str, Any]:
    url, now = None, call.deps.clock()
    if exports.available(job, now):
        url = links.address(call, _PURPOSE, _Link(call.account_id, job.id, now + LINK_MS), FILE)
    times = {"created_at": time(job.created_at), "updated_at": time(job.updated_at)}
    return {"id": job.id, **times, "status": job.status, "url": url}


# --- the link ------------------------------------------------------------------------------------------------------


class _Link(msgspec.Struct, array_like=True, frozen=True):
    account_id: int
    job_id: int
    #: Unix milliseconds.
    ends_at: int


def routes(deps: Deps) -> list[Route]:
    """Outside of the table: whoever has the link needs no token."""

    async def download(request: Request) -> Response:
        link = links.opened(deps, _PURPOSE, request.path_params["sealed"], _Link)
        if isinstance(link, Response):
            return link
        sizes = await deps.db.read(lambda connection: _sizes(connection, link, deps.clock()))
        if not sizes:
            return links.refused(Fault.NOT_FOUND)
        headers = {
            "Content-Length": str(sum(sizes)),
            "Content-Disposition": f'attachment; filename="contacts-{link.job_id}.csv.gz"',
            "Cache-Control": "private, no-store",
            "X-Content-Type-Options": "nosniff",
        }
        content = _content(deps, link.job_id, len(sizes)) if request.method == "GET" else _nothing()
        return StreamingResponse(content, headers=headers, media_type="application/gzip")

    return [links.route(FILE, download)]


def _sizes(connection: Connection, link: _Link, now: int) -> list[int]:
    job = jobs.by_id(connection, link.account_id, Kind.EXPORT, link.job_id)
    return exports.sizes(connection, link.job_id) if job and exports.available(job, now) else []


async def _content(deps: Deps, job_id: int, pieces: int) -> AsyncIterator[bytes]:
    for piece in range(pieces):
        yield await deps.db.read(partial(exports.content, job_id, piece))


async def _nothing() -> AsyncIterator[bytes]:
    return
    yield
