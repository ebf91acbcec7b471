"""`.../projects`: what inboxes are grouped in."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection
from starlette.responses import Response

from mailferry.endpoints import share_paths
from mailferry.endpoints.mailtrap import inboxes as inbox_paths
from mailferry.endpoints.mailtrap import links
from mailferry.endpoints.mailtrap.deps import Call
from mailferry.endpoints.mailtrap.errors import Fault, answer
from mailferry.endpoints.mailtrap.forms import Form, identity, members, refuse
from mailferry.resources import audit, inboxes, projects, share_links
from mailferry.resources.inboxes import Inbox
from mailferry.resources.permissions import ADMIN, INDETERMINATE, VIEWER, Resource
from mailferry.resources.projects import LEAST_NAME, MOST_NAME, Project


async def get_list(call: Call) -> Response:
    """Those that the token may see, and those that hold an inbox which it may."""
    found, held = await call.read(lambda c: _all(c, call))
    shared = await _shared(call, found)
    return answer([_shown(call, project, held, shared) for project in found if _level(call, project, held)])


async def get_one(call: Call) -> Response:
    project, held = await visible(call)
    return answer(_shown(call, project, held, await _shared(call, [project])))


async def create(call: Call) -> Response:
    name, now = await _name(call), call.deps.clock()

    def make(connection: Connection) -> Project:
        made = projects.create(connection, call.account_id, name, now)
        audit.note(connection, call.account_id, call.actor, "project.created", ("project", made.id, name), now)
        return made

    return answer(_shown(call, await call.write(make), (), {}))


async def update(call: Call) -> Response:
    project, _ = await visible(call, ADMIN)
    name, now = await _name(call), call.deps.clock()

    def change(connection: Connection) -> None:
        projects.rename(connection, project.id, name)
        changes, named = {"name": (project.name, name)}, ("project", project.id, name)
        audit.note(connection, call.account_id, call.actor, "project.updated", named, now, changes)

    await call.write(change)
    return await get_one(call)


async def delete(call: Call) -> Response:
    """With its inboxes and all that they caught."""
    project, held = await visible(call, ADMIN)
    for inbox in held:
        await inbox_paths.remove(call, inbox)
    now = call.deps.clock()

    def remove(connection: Connection) -> bool:
        projects.lock(connection, project.id)
        if inboxes.of_project(connection, project.id):  # made in this moment
            return False
        projects.remove(connection, project.id)
        named = ("project", project.id, project.name)
        audit.note(connection, call.account_id, call.actor, "project.deleted", named, now)
        return True

    if not await call.write(remove):
        return await delete(call)
    call.deps.credentials.forget()
    return answer({"id": project.id})


async def create_inbox(call: Call) -> Response:
    project, _ = await visible(call, ADMIN)
    form = Form(await members(call, inbox_paths.wrapper(call)))
    name = form.text("name", least=inbox_paths.LEAST_NAME, most=inbox_paths.MOST_NAME)
    sizes, sealer, now = inbox_paths.sizes(form), call.deps.sealer, call.deps.clock()
    form.check()

    def make(connection: Connection) -> Inbox | None:
        # It may be deleted in this moment, which deletes its inboxes as well.
        if not projects.lock(connection, project.id):
            return None
        made = inboxes.create(connection, sealer, call.account_id, project.id, name, now, **sizes)
        audit.note(connection, call.account_id, call.actor, "inbox.created", ("inbox", made.id, name), now)
        return made

    made = await call.write(make)
    return answer(inbox_paths.shown(call, made or refuse(call, Fault.NOT_FOUND)))


def _all(connection: Connection, call: Call, ids: Collection[int] | None = None) -> tuple[list[Project], list[Inbox]]:
    found = projects.of_account(connection, call.account_id, ids)
    return found, inboxes.of_account(connection, call.deps.sealer, call.account_id)


def _level(call: Call, project: Project, held: Sequence[Inbox]) -> int:
    """INDETERMINATE where the token may see an inbox of it alone."""
    below = any(inbox_paths.level(call.rights, inbox) >= VIEWER for inbox in held if inbox.project_id == project.id)
    return call.rights.shown(Resource.PROJECT, project.id, below)


async def visible(call: Call, least: int = INDETERMINATE) -> tuple[Project, list[Inbox]]:
    """The project of the path with all of its inboxes. Ends the request when the caller may not see it, or not enough."""
    wanted = identity(call, "project_id")
    found, held = await call.read(lambda c: _all(c, call, (wanted,)))
    own = _level(call, found[0], held) if found else 0
    if not own:
        refuse(call, Fault.NOT_FOUND)
    if own < least:
        refuse(call, Fault.FORBIDDEN)
    return found[0], [inbox for inbox in held if inbox.project_id == wanted]


async def _name(call: Call) -> str:
    form = Form(await members(call, "project"))
    name = form.text("name", least=LEAST_NAME, most=MOST_NAME)
    form.check()
    return name


async def _shared(call: Call, found: Sequence[Project]) -> dict[int, str]:
    """The newest share link of each that has one."""
    ids, base = [project.id for project in found], call.deps.public_url or links.base(call)
    made = await call.read(
        lambda c: share_links.of_resources(c, call.deps.sealer, call.account_id, Resource.PROJECT, ids)
    )
    return {link.opens.resource_id: share_paths.url(base, link) for link in made}


def _shown(call: Call, project: Project, held: Sequence[Inbox], shared: Mapping[int, str]) -> dict[str, Any]:
    own = _level(call, project, held)
    seen = [inbox for inbox in held if inbox.project_id == project.id]
    seen = [inbox for inbox in seen if inbox_paths.level(call.rights, inbox) >= VIEWER]
    return {
        "id": project.id,
        "name": project.name,
        # Off until somebody makes one; for admins alone. One that makes admins of people would need a sign-in.
        **({"share_links": {"admin": "", "viewer": shared.get(project.id, "")}} if own >= ADMIN else {}),
        "inboxes" if call.legacy else "sandboxes": [inbox_paths.shown(call, inbox) for inbox in seen],
        "permissions": inbox_paths.permissions(own),
    }
