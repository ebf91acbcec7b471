"""`.../inboxes/{id}/share_links` and `.../projects/{id}/share_links`: links by which people without an account read mail.

Mailtrap makes them on pages alone, and shows a project's two in `share_links`. There are none until an admin makes one.
"""

from typing import Any

from sqlalchemy import Connection
from starlette.responses import Response

from mailferry.endpoints import share_paths
from mailferry.endpoints.mailtrap import inboxes as inbox_paths
from mailferry.endpoints.mailtrap import links
from mailferry.endpoints.mailtrap import projects as project_paths
from mailferry.endpoints.mailtrap.api_tokens import time
from mailferry.endpoints.mailtrap.deps import Call
from mailferry.endpoints.mailtrap.errors import Fault, answer
from mailferry.endpoints.mailtrap.forms import Form, identity, invalid, members, refuse
from mailferry.resources import share_links
from mailferry.resources.permissions import ADMIN, Resource
from mailferry.resources.share_links import MOST, NO_ADMINS, Level, Shared, ShareLink, Unmade
from mailferry.sandbox import inbox

_TOO_MANY = f"You've reached the maximum number of share links ({MOST}): delete those that nobody needs"


async def of_inbox(call: Call) -> Response:
    return await _list(call, await _inbox(call))


async def of_project(call: Call) -> Response:
    return await _list(call, await _project(call))


async def create_of_inbox(call: Call) -> Response:
    """Of the inbox, or of one message."""
    opens = await _inbox(call)
    form = await _form(call)
    message_id = form.number("message_id") or 0
    form.check()
    if message_id and await call.read(lambda c: inbox.by_id(c, opens.resource_id, message_id)) is None:
        invalid({"message_id": ["is not a message of this inbox"]})
    return await _create(call, Shared(opens.account_id, opens.kind, opens.resource_id, message_id))


async def create_of_project(call: Call) -> Response:
    """Of all its inboxes, those that it will have as well."""
    opens = await _project(call)
    form = await _form(call)
    form.check()
    return await _create(call, opens)


async def delete_of_inbox(call: Call) -> Response:
    return await _delete(call, await _inbox(call))


async def delete_of_project(call: Call) -> Response:
    return await _delete(call, await _project(call))


async def _inbox(call: Call) -> Shared:
    found = await inbox_paths.visible(call, ADMIN)
    return Shared(call.account_id, Resource.INBOX, found.id)


async def _project(call: Call) -> Shared:
    found, _ = await project_paths.visible(call, ADMIN)
    return Shared(call.account_id, Resource.PROJECT, found.id)


async def _form(call: Call) -> Form:
    form = Form(await members(call, "share_link"))
    if form.choice("level", tuple(Level)) == Level.ADMIN:
        form.wrong("level", NO_ADMINS)
    return form


async def _list(call: Call, opens: Shared) -> Response:
    found = await call.read(
        lambda c: share_links.of_resources(c, call.deps.sealer, call.account_id, opens.kind, [opens.resource_id])
    )
    return answer([_shown(call, each) for each in found])


async def _create(call: Call, opens: Shared) -> Response:
    now = call.deps.clock()

    def make(connection: Connection) -> ShareLink | Unmade:
        made = share_links.create(connection, call.deps.sealer, opens, call.token.name, now)
        if isinstance(made, ShareLink):
            share_links.note(connection, call.actor, "share_link.created", opens, made.id, now)
        return made

    made = await call.write(make)
    if isinstance(made, ShareLink):
        return answer(_shown(call, made))
    return invalid({"base": [_TOO_MANY]}) if made is Unmade.TOO_MANY else refuse(call, Fault.NOT_FOUND)


async def _delete(call: Call, opens: Shared) -> Response:
    link_id, now = identity(call, "share_link_id"), call.deps.clock()

    def remove(connection: Connection) -> bool:
        gone = share_links.remove(connection, opens.kind, opens.resource_id, link_id)
        if gone:
            share_links.note(connection, call.actor, "share_link.deleted", gone, link_id, now)
        return gone is not None

    return Response(status_code=204) if await call.write(remove) else refuse(call, Fault.NOT_FOUND)


def _shown(call: Call, link: ShareLink) -> dict[str, Any]:
    return {
        "id": link.id,
        "url": share_paths.url(call.deps.public_url or links.base(call), link),
        "level": Level.VIEWER,
        "message_id": link.opens.message_id or None,
        "created_by": link.created_by,
        "created_at": time(link.created_at),
    }
