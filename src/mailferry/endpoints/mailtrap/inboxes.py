"""`.../inboxes`, over the newer paths `.../sandboxes`: what each is called, its credentials and limits."""

import re
from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import Connection
from starlette.responses import Response

from mailferry.endpoints.mailtrap.api_tokens import time
from mailferry.endpoints.mailtrap.deps import Call
from mailferry.endpoints.mailtrap.errors import Fault, answer, refused
from mailferry.endpoints.mailtrap.forms import Form, identity, invalid, members, refuse
from mailferry.endpoints.mailtrap.links import reached
from mailferry.intake.refusal import Reason, Refusal
from mailferry.resources import audit, inboxes
from mailferry.resources.inboxes import MOST_MESSAGES, MOST_OCTETS, Inbox
from mailferry.resources.permissions import ADMIN, VIEWER, VIEWER_PLUS, Resource, Rights
from mailferry.sandbox import inbox as caught

LEAST_NAME, MOST_NAME = 1, 255
#: The local part of an address (RFC 5321 4.5.3.1.1 allows 64), of what needs no quotes.
_EMAIL_USERNAME = re.compile(r"[a-z0-9](?:[a-z0-9._-]{0,61}[a-z0-9])?")
#: Where real mail is asked for, so that nobody takes what people write to.
_RESERVED = frozenset({"abuse", "postmaster", "hostmaster", "webmaster", "root", "mailer-daemon"})


async def get_list(call: Call) -> Response:
    """Those that the token may see."""
    found = await call.read(lambda c: inboxes.of_account(c, call.deps.sealer, call.account_id))
    return answer([shown(call, inbox) for inbox in found if level(call.rights, inbox) >= VIEWER])


async def get_one(call: Call) -> Response:
    return answer(shown(call, await visible(call)))


async def update(call: Call) -> Response:
    """Only what is given changes."""
    inbox = await visible(call, ADMIN)
    given = await members(call, wrapper(call))
    form = Form(given)
    values: dict[str, Any] = sizes(form)
    if "name" in given:
        values["name"] = form.text("name", least=LEAST_NAME, most=MOST_NAME)
    if form.given.get("email_username"):
        values["email_username"] = _email_username(form)
    form.check()
    return await _change(call, inbox, values, "inbox.updated")


async def delete(call: Call) -> Response:
    """With all that it caught. The inbox is answered as it was."""
    inbox = await visible(call, ADMIN)
    await remove(call, inbox)
    return answer(shown(call, inbox))


async def clean(call: Call) -> Response:
    inbox = await visible(call, VIEWER_PLUS)
    await _empty(call, inbox.id)
    return await _again(call, inbox)


async def mark_all_read(call: Call) -> Response:
    inbox, now = await visible(call, VIEWER_PLUS), call.deps.clock()
    last, after = await call.read(lambda c: caught.newest(c, inbox.id)), 0
    while True:
        after = await call.write(lambda c, after=after: caught.mark_all(c, inbox.id, now, after, last))  # type: ignore[misc]
        if not after:
            return await _again(call, inbox)


async def reset_credentials(call: Call) -> Response:
    inbox, now = await visible(call, ADMIN), call.deps.clock()

    def reset(connection: Connection) -> None:
        inboxes.reset_credentials(connection, call.deps.sealer, inbox.id)
        named = ("inbox", inbox.id, inbox.name)
        audit.note(connection, call.account_id, call.actor, "inbox.credentials_reset", named, now)

    await call.write(reset)
    call.deps.forget_inboxes()
    return await _again(call, inbox)


async def toggle_email_username(call: Call) -> Response:
    """Whether it takes mail to its own address: on becomes off, off becomes on."""
    inbox = await visible(call, ADMIN)
    return await _change(call, inbox, {"email_username_enabled": not inbox.email_username_enabled}, "inbox.updated")


async def reset_email_username(call: Call) -> Response:
    inbox = await visible(call, ADMIN)
    return await _change(call, inbox, {"email_username": inboxes.fresh_email_username()}, "inbox.updated")


# --- for the other files of the sandbox ----------------------------------------------------------------------------


def inbox_id(call: Call) -> int:
    return identity(call, "inbox_id" if "inbox_id" in call.request.path_params else "sandbox_id")


def level(rights: Rights, inbox: Inbox) -> int:
    return rights.on(Resource.INBOX, inbox.id, inbox.project_id)


async def visible(call: Call, least: int = VIEWER) -> Inbox:
    """The inbox of the path. Ends the request when the caller may not see it, or only look where ``least`` is more."""
    wanted = inbox_id(call)
    found = await call.read(lambda c: inboxes.by_id(c, call.deps.sealer, call.account_id, wanted))
    if found is None or level(call.rights, found) < VIEWER:
        refuse(call, Fault.NOT_FOUND)
    if level(call.rights, found) < least:
        refuse(call, Fault.FORBIDDEN)
    return found


async def sending_inbox(call: Call) -> Inbox | Response:
    """What the path of a send request names, or the answer that says no in the shape of those."""
    named = str(call.request.path_params.get("inbox_id", ""))
    known = int(named) if re.fullmatch(r"[0-9]{1,18}", named) else 0
    found = await call.read(lambda c: inboxes.by_id(c, call.deps.sealer, call.account_id, known)) if known else None
    if found and level(call.rights, found) >= ADMIN:
        return found
    may_look = found is not None and level(call.rights, found) >= VIEWER
    why = "may look at this inbox and not send to it" if may_look else "has no inbox of this number"
    return refused([Refusal(Reason.INBOX_NOT_ALLOWED, detail=f"this token {why}")])


async def remove(call: Call, inbox: Inbox) -> None:
    """Most of what it caught goes before, in pieces; what is caught meanwhile goes with the inbox itself."""
    await _empty(call, inbox.id)
    now = call.deps.clock()

    def finish(connection: Connection) -> None:
        if not caught.lock(connection, inbox.id):
            return
        while caught.clean(connection, call.deps.captured, inbox.id, caught.newest(connection, inbox.id)):
            pass
        inboxes.remove(connection, inbox.id)
        audit.note(connection, call.account_id, call.actor, "inbox.deleted", ("inbox", inbox.id, inbox.name), now)

    await call.write(finish)
    call.deps.forget_inboxes()
    call.deps.credentials.forget()


def shown(call: Call, inbox: Inbox) -> dict[str, Any]:
    """The password is for admins alone."""
    own, host = level(call.rights, inbox), reached(call)
    name = host.partition(":")[0] if not host.startswith("[") else host
    return {
        "id": inbox.id,
        "name": inbox.name,
        "username": inbox.username,
        "password": inbox.password if own >= ADMIN else None,
        "max_size": inbox.max_size,
        "status": inbox.status,
        "email_username": inbox.email_username,
        "email_username_enabled": inbox.email_username_enabled,
        "sent_messages_count": inbox.caught_count,
        "forwarded_messages_count": inbox.forwarded_count,
        "used": inbox.caught_count > 0,
        "forward_from_email_address": f"a{inbox.account_id}-i{inbox.id}@forward.{call.deps.operator.hostname}",
        "project_id": inbox.project_id,
        "domain": name,
        "pop3_domain": name,
        "email_domain": f"inbox.{call.deps.operator.hostname}",
        "api_domain": host,
        "emails_count": inbox.messages_count,
        "emails_unread_count": inbox.unread_count,
        "last_message_sent_at": time(inbox.last_message_at),
        "smtp_ports": list(call.deps.smtp_ports),
        "pop3_ports": list(call.deps.pop3_ports),
        "max_message_size": inbox.max_message_size,
        "permissions": permissions(own),
    }


def permissions(own: int) -> dict[str, bool]:
    """A token cannot leave what it was given."""
    return {"can_read": own > 0, "can_update": own >= ADMIN, "can_destroy": own >= ADMIN, "can_leave": False}


def wrapper(call: Call) -> str:
    """Of a body that is about an inbox."""
    return "inbox" if call.legacy else "sandbox"


def sizes(form: Form) -> dict[str, int]:
    """Ours: Mailtrap's come with the plan."""
    found = {name: form.number(name) for name in ("max_size", "max_message_size")}
    for name, most in (("max_size", MOST_MESSAGES), ("max_message_size", MOST_OCTETS)):
        if (value := found[name]) is not None and not 1 <= value <= most:
            form.wrong(name, f"must be between 1 and {most}")
    return {name: value for name, value in found.items() if value is not None}


# --- changes -------------------------------------------------------------------------------------------------------


def _email_username(form: Form) -> str:
    name = form.text("email_username", most=63).lower()
    if name and "email_username" not in form.errors and (not _EMAIL_USERNAME.fullmatch(name) or name in _RESERVED):
        form.wrong("email_username", "is invalid: letters, digits and . _ - within, and no name that has a meaning")
    return name


async def _change(call: Call, inbox: Inbox, values: Mapping[str, Any], event: str) -> Response:
    now = call.deps.clock()

    def write(connection: Connection) -> bool:
        caught.lock(connection, inbox.id)
        name = values.get("email_username")
        if name and inboxes.email_username_taken(connection, name, inbox.id):
            return False
        if values:
            inboxes.change(connection, inbox.id, values)
        changes = {name: (getattr(inbox, name), value) for name, value in values.items()}
        audit.note(connection, call.account_id, call.actor, event, ("inbox", inbox.id, inbox.name), now, changes)
        return True

    if not await call.write(write):
        invalid({"email_username": ["has already been taken"]})
    call.deps.forget_inboxes()
    if "max_size" in values:
        await _shrink(call, inbox.id, values["max_size"])
    return await _again(call, inbox)


async def _again(call: Call, inbox: Inbox) -> Response:
    """As it is now."""
    found = await call.read(lambda c: inboxes.by_id(c, call.deps.sealer, call.account_id, inbox.id))
    return answer(shown(call, found or refuse(call, Fault.NOT_FOUND)))


async def _empty(call: Call, wanted: int) -> None:
    last = await call.read(lambda c: caught.newest(c, wanted))
    await _in_pieces(call, lambda c: caught.clean(c, call.deps.captured, wanted, last))


async def _shrink(call: Call, wanted: int, most: int) -> None:
    """The oldest go until as many are left as it may hold."""
    await _in_pieces(call, lambda c: caught.shrink(c, call.deps.captured, wanted, most))


async def _in_pieces(call: Call, piece: Callable[[Connection], int]) -> None:
    while await call.write(piece) == caught.SOME:
        pass
