"""The inboxes of a shared project, and what an inbox has caught."""

from collections.abc import Sequence
from urllib.parse import urlencode

from starlette.responses import HTMLResponse

from mailferry.endpoints.shared import words
from mailferry.endpoints.shared.frame import Crumb, kept, page
from mailferry.resources.inboxes import Glance
from mailferry.sandbox.inbox import PAGE, Caught


def project(name: str, base: str, found: Sequence[Glance]) -> HTMLResponse:
    rows = "".join(_inbox_row(each, f"{base}/inboxes/{each.id}") for each in found)
    body = f'<ul class="mails">{rows}</ul>' if found else "<p>This project has no inboxes.</p>"
    return page(name, f"<h1>{kept(name)}</h1>{body}")


def inbox(
    found: Glance, here: str, crumbs: Sequence[Crumb], caught: Sequence[Caught], search: str, number: int
) -> HTMLResponse:
    """``here``: the inbox's path. ``number``: of the page, from 1."""
    field = (
        f'<form class="search" role="search" action="{kept(here)}"><input type="search" name="search" '
        f'value="{kept(search)}" maxlength="200" placeholder="Subject or recipient" aria-label="Search">'
        '<button class="quiet">Search</button></form>'
    )
    count = f'<span class="soft">{words.plural(found.messages_count, "message")} in the inbox</span>'
    rows = "".join(_row(each, f"{here}/messages/{each.id}") for each in caught)
    none = (
        f"Nothing matches “{kept(search)}”." if search else "Nothing here." if number > 1 else "Nothing was caught yet."
    )
    listed = f'<ul class="mails">{rows}</ul>' if caught else f"<p>{none}</p>"
    body = f'<h1>{kept(found.name)}</h1><div class="bar">{field}{count}</div>{listed}{_pages(here, caught, search, number)}'
    return page(found.name, body, crumbs)


def _inbox_row(found: Glance, href: str) -> str:
    last = words.moment(found.last_message_at) if found.last_message_at else "nothing yet"
    return (
        f'<li><a href="{kept(href)}"><span class="name subject">{kept(found.name)}</span>'
        f'<span>{words.plural(found.messages_count, "message")}</span><span class="soft when">{last}</span></a></li>'
    )


def _row(caught: Caught, href: str) -> str:
    to = caught.to_name or caught.to_email
    return (
        f'<li><a href="{kept(href)}"><span class="name">{kept(words.sender(caught))}</span>'
        f'<span class="subject">{kept(words.subject(caught))}</span><span class="soft when">{words.moment(caught.created_at)}</span>'
        f'<span class="to soft">{f"to {kept(to)}" if to else "&nbsp;"}</span>'
        f'<span class="soft size">{words.size(caught.size)}</span></a></li>'
    )


def _pages(here: str, caught: Sequence[Caught], search: str, number: int) -> str:
    def link(wanted: int, text: str) -> str:
        query = ({"search": search} if search else {}) | ({"page": str(wanted)} if wanted > 1 else {})
        href = f"{here}?{urlencode(query)}" if query else here
        return f'<a class="button quiet" href="{kept(href)}">{text}</a>'

    newer = link(number - 1, "‹ Newer") if number > 1 else "<span></span>"
    older = link(number + 1, "Older ›") if len(caught) == PAGE else "<span></span>"
    return f'<nav class="bar" aria-label="Pages">{newer}{older}</nav>' if number > 1 or len(caught) == PAGE else ""
