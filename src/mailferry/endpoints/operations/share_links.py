"""Share links of inboxes for an operator: made, shown and ended."""

from typing import Any

from sqlalchemy import Connection

from mailferry.endpoints import share_paths
from mailferry.endpoints.operations.inboxes import known_inbox
from mailferry.endpoints.operations.invitations import pages_base
from mailferry.endpoints.operations.reading import iso
from mailferry.endpoints.operations.tools import OPERATOR, Mistake, Tools, Verb
from mailferry.resources import share_links
from mailferry.resources.permissions import Resource
from mailferry.resources.share_links import MOST, Shared, ShareLink, Unmade
from mailferry.sandbox import inbox as caught


async def inboxes_links(tools: Tools, inbox: int) -> list[dict[str, Any]]:
    known = await known_inbox(tools, inbox)
    found = await tools.database.read(
        lambda c: share_links.of_resources(c, tools.sealer, known.account_id, Resource.INBOX, [inbox])
    )
    return [_link(tools, each) for each in found]


async def inboxes_share(tools: Tools, inbox: int, message: int = 0) -> dict[str, Any]:
    """All that it holds, or one message."""
    known, now = await known_inbox(tools, inbox), tools.clock()

    def write(connection: Connection) -> ShareLink:
        if message and caught.by_id(connection, inbox, message) is None:
            raise Mistake(f"inbox {inbox} holds no message {message}")
        opens = Shared(known.account_id, Resource.INBOX, inbox, message)
        made = share_links.create(connection, tools.sealer, opens, "", now)
        if not isinstance(made, ShareLink):
            gone = made is Unmade.GONE
            raise Mistake(
                f"inbox {inbox} {'is gone' if gone else f'has {MOST:,} share links, and not more can be made'}"
            )
        share_links.note(connection, OPERATOR, "share_link.created", opens, made.id, now)
        return made

    return _link(tools, await tools.database.write(write))


async def inboxes_unshare(tools: Tools, inbox: int, link: int) -> dict[str, Any]:
    """The link opens nothing any more."""
    await known_inbox(tools, inbox)
    now = tools.clock()

    def write(connection: Connection) -> None:
        gone = share_links.remove(connection, Resource.INBOX, inbox, link)
        if gone is None:
            raise Mistake(f"inbox {inbox} has no share link {link}; mailferry inboxes links {inbox} shows them")
        share_links.note(connection, OPERATOR, "share_link.deleted", gone, link, now)

    await tools.database.write(write)
    return {"revoked": link, "inbox_id": inbox}


VERBS: dict[str, Verb] = {
    "inboxes.links": inboxes_links,
    "inboxes.share": inboxes_share,
    "inboxes.unshare": inboxes_unshare,
}


def _link(tools: Tools, link: ShareLink) -> dict[str, Any]:
    return {
        "id": link.id,
        "url": share_paths.url(pages_base(tools), link),
        "message_id": link.opens.message_id or None,
        "created_by": link.created_by,
        "created_at": iso(link.created_at),
    }
