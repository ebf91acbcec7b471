"""`.../inboxes/{inbox_id}/messages`: what an inbox caught, listed, shown, marked and deleted."""

import re
from collections.abc import Sequence
from typing import Any

from starlette.responses import Response

from mailferry.endpoints.mailtrap import message_parts
from mailferry.endpoints.mailtrap.api_tokens import time
from mailferry.endpoints.mailtrap.deps import Call
from mailferry.endpoints.mailtrap.errors import Fault, answer
from mailferry.endpoints.mailtrap.forms import BLANK, MAX_ID, Form, identity, members, refuse
from mailferry.endpoints.mailtrap.inboxes import visible
from mailferry.endpoints.mailtrap.query import BadQueryError, first, parse
from mailferry.endpoints.mailtrap.sandbox_reports import blacklists_report_info
from mailferry.mail import address, reading
from mailferry.mail.reading import Reading
from mailferry.resources.permissions import VIEWER, VIEWER_PLUS
from mailferry.sandbox import inbox
from mailferry.sandbox.inbox import PAGE, Caught
from mailferry.sandbox.summary import kept_line


async def get_list(call: Call) -> Response:
    """A page of the newest. `last_id` wins over `page`: those that are older than it."""
    found = await visible(call)
    search, last_id, page = _query(call)
    skip = 0 if last_id else (page - 1) * PAGE
    caught = await call.read(lambda c: inbox.page(c, found.id, search=search, before=last_id, skip=skip))
    return answer([shown(call, each) for each in caught])


async def get_one(call: Call) -> Response:
    """Blocklists, where there are any, are asked for the one that is looked at."""
    caught = await existing(call)
    await call.deps.listed.ask(caught.from_email)
    return answer(shown(call, caught))


async def update(call: Call) -> Response:
    """Whether it was read; there is nothing else to change."""
    caught, now = await existing(call, VIEWER_PLUS), call.deps.clock()
    form = Form(await members(call, "message"))
    is_read = form.flag("is_read")
    if is_read is None and not form.errors:
        form.wrong("is_read", BLANK)
    form.check()
    if not await call.write(lambda c: inbox.mark(c, caught.inbox_id, caught.id, bool(is_read), now)):
        refuse(call, Fault.NOT_FOUND)
    return await get_one(call)


async def delete(call: Call) -> Response:
    """It is answered as it was."""
    caught = await existing(call, VIEWER_PLUS)
    if not await call.write(lambda c: inbox.remove(c, call.deps.captured, caught.inbox_id, (caught.id,))):
        refuse(call, Fault.NOT_FOUND)
    return answer(shown(call, caught))


async def get_text(call: Call) -> Response:
    return await message_parts.read(call.deps, await existing(call), message_parts.text)


async def get_html(call: Call) -> Response:
    return await message_parts.read(call.deps, await existing(call), message_parts.html)


async def get_html_source(call: Call) -> Response:
    return await message_parts.read(call.deps, await existing(call), message_parts.html)


async def get_raw(call: Call) -> Response:
    return await message_parts.read(call.deps, await existing(call), message_parts.raw)


async def get_eml(call: Call) -> Response:
    return await message_parts.read(call.deps, await existing(call), message_parts.eml)


async def get_headers(call: Call) -> Response:
    """By their names in Mailtrap's spelling; one that stands there several times is an array. `bcc` is the envelope's."""
    caught = await existing(call)
    return await message_parts.read(call.deps, caught, lambda message: answer({"headers": _headers(caught, message)}))


async def existing(call: Call, least: int = VIEWER) -> Caught:
    """The message of the path. Ends the request when there is none that the caller may see, or do as much with."""
    found, wanted = await visible(call, least), identity(call, "inbox_message_id")
    caught = await call.read(lambda c: inbox.by_id(c, found.id, wanted))
    return caught or refuse(call, Fault.NOT_FOUND)


def shown(call: Call, caught: Caught) -> dict[str, Any]:
    link = message_parts.link(call.deps, caught)
    return {
        "id": caught.id,
        "inbox_id" if call.legacy else "sandbox_id": caught.inbox_id,
        "subject": caught.subject,
        "sent_at": time(caught.created_at),
        "from_email": caught.from_email,
        "from_name": caught.from_name,
        "to_email": caught.to_email,
        "to_name": caught.to_name,
        "email_size": caught.size,
        "is_read": caught.is_read,
        "created_at": time(caught.created_at),
        "updated_at": time(caught.updated_at),
        "template_id": caught.template_id,
        "template_variables": caught.template_variables,
        "html_body_size": caught.html_size,
        "text_body_size": caught.text_size,
        "human_size": human(caught.size),
        **{name: link + path for name, path in message_parts.PATHS.items()},
        "blacklists_report_info": blacklists_report_info(call.deps.listed.known(caught.from_email)),
        "smtp_information": _smtp(caught),
        # Ours.
        "category": caught.category,
        "custom_variables": caught.custom_variables,
    }


def human(octets: int) -> str:
    """``691 Bytes``, ``1.5 KB``: as Ruby on Rails writes sizes, three digits that count."""
    if octets < 1024:
        return "1 Byte" if octets == 1 else f"{octets} Bytes"
    size, unit = octets / 1024, "KB"
    for larger in ("MB", "GB"):
        if size >= 1024:
            size, unit = size / 1024, larger
    digits = max(3 - len(str(int(size))), 0)
    return f"{size:.{digits}f}".rstrip("0").rstrip(".") + f" {unit}" if digits else f"{size:.0f} {unit}"


def _smtp(caught: Caught) -> dict[str, Any]:
    if caught.endpoint != "smtp":
        return {"ok": False}
    data = {
        "mail_from_addr": caught.envelope_from,
        "client_ip": caught.client_ip,
        "rcpt_to_addrs": caught.envelope_to,
    }
    return {"ok": True, "data": data}


def _headers(caught: Caught, message: bytes) -> dict[str, Any]:
    read = reading.read(message)
    found: dict[str, list[str]] = {}
    for each in read.headers:
        found.setdefault(each.name.lower().replace("-", "_"), []).append(kept_line(each.text))
    if hidden := _hidden(caught, read):
        found["bcc"] = [", ".join(hidden)]
    return {name: values[0] if len(values) == 1 else values for name, values in found.items()}


def _hidden(caught: Caught, read: Reading) -> Sequence[str]:
    """Of the envelope those that the header does not name."""
    seen = {address.key(each.address) for name in ("to", "cc") for each in read.mailboxes(name)}
    return [each for each in caught.envelope_to if address.key(each) not in seen]


def _query(call: Call) -> tuple[str, int, int]:
    """What is searched for, the id before the page, the page's number."""
    try:
        pairs = parse(call.request.scope["query_string"])
        return first(pairs, "search"), _number(pairs, "last_id", 0), _number(pairs, "page", 1)
    except BadQueryError as error:
        refuse(call, Fault.QUERY_INVALID, str(error))


def _number(pairs: list[tuple[tuple[str, ...], str]], name: str, default: int) -> int:
    text = first(pairs, name)
    if not text:
        return default
    if not re.fullmatch(r"[0-9]{1,19}", text) or not 0 < int(text) <= MAX_ID // PAGE:
        raise BadQueryError(f"'{name}' must be a positive integer")
    return int(text)
