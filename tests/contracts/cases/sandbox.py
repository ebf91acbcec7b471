"""The sandbox: projects, inboxes and what they caught."""

import secrets
from typing import Any

from tests.contracts.cases.case import Case, Request, case
from tests.contracts.cases.sending import FULL
from tests.contracts.cases.templates import kept_uuid
from tests.working_house import WorkingHouse, mail

HIDDEN = {"bcc": [{"email": "hidden@dest.test"}]}
FILE = {"content": "aGVsbG8=", "filename": "a.txt", "type": "text/plain"}


async def caught(house: WorkingHouse, **fields: Any) -> int:
    """The id of a message that came by the API."""
    body = mail(**{"html": "<p>Hi</p>", "attachments": [FILE]} | HIDDEN | fields)
    return int((await house.send(path=f"/api/send/{house.inbox}", **body))[0])


async def caught_by_smtp(house: WorkingHouse) -> int:
    (found,) = await house.deps.sandbox.capture([house.by_smtp()])
    return found


def _wrapper(legacy: bool) -> str:
    return "inbox" if legacy else "sandbox"


# --- sending


@case("POST send/{sandbox_id}")
async def send(house: WorkingHouse, legacy: bool) -> Case:
    at = (house.inbox,)
    plain = FULL | {"subject": "Hello", "category": "orders"}
    filled = FULL | {"template_uuid": await kept_uuid(house), "template_variables": {"name": "Bob"}}
    right = [plain | {"text": "Hi"}, plain | {"html": "<p>Hi</p>"}, plain | {"text": "Hi", "html": "<p>Hi</p>"}, filled]
    return Case([Request(at, body) for body in right], {400: Request(at, {"subject": ""})})


@case("POST batch/{sandbox_id}")
async def batch(house: WorkingHouse, legacy: bool) -> Case:
    at = (house.inbox,)
    to = {name: FULL[name] for name in ("to", "cc", "bcc")}
    base = {name: value for name, value in FULL.items() if name not in to} | {"subject": "Hello", "category": "orders"}
    base |= {"text": "Hi", "html": "<p>Hi</p>"}
    filled = {"template_uuid": await kept_uuid(house), "template_variables": {"name": "Bob"}}
    shared = {name: value for name, value in base.items() if name not in ("subject", "text", "html", "category")}
    right = [
        {"base": base, "requests": [to, {"to": []}]},
        {"base": {}, "requests": [base | to, {}]},
        {"base": shared | filled, "requests": [to, {}]},
        {"base": {}, "requests": [shared | filled | to, {}]},
    ]
    return Case([Request(at, body) for body in right], {400: Request(at, {"requests": []})})


# --- projects


@case("GET projects")
async def projects(house: WorkingHouse, legacy: bool) -> Case:
    await caught(house)
    return Case([Request()])


@case("POST projects")
async def project_made(house: WorkingHouse, legacy: bool) -> Case:
    return Case([Request(body={"project": {"name": "Second"}})], {422: Request(body={"project": {"name": "x"}})})


@case("GET projects/{project_id}")
async def project_shown(house: WorkingHouse, legacy: bool) -> Case:
    return Case([Request((house.project,))])


@case("PATCH projects/{project_id}")
async def project_changed(house: WorkingHouse, legacy: bool) -> Case:
    at = (house.project,)
    return Case([Request(at, {"project": {"name": "New"}})], {422: Request(at, {"project": {"name": ""}})})


@case("DELETE projects/{project_id}")
async def project_deleted(house: WorkingHouse, legacy: bool) -> Case:
    return Case([Request((house.project,))])


# --- inboxes


@case("POST projects/{project_id}/sandboxes")
async def inbox_made(house: WorkingHouse, legacy: bool) -> Case:
    at, wrapper = (house.project,), _wrapper(legacy)
    return Case([Request(at, {wrapper: {"name": "Second"}})], {422: Request(at, {wrapper: {"name": ""}})})


@case("GET sandboxes")
async def inboxes(house: WorkingHouse, legacy: bool) -> Case:
    await caught(house)
    return Case([Request()])


@case("GET sandboxes/{sandbox_id}")
async def inbox_shown(house: WorkingHouse, legacy: bool) -> Case:
    await caught(house)
    return Case([Request((house.inbox,))])


@case("PATCH sandboxes/{sandbox_id}")
async def inbox_changed(house: WorkingHouse, legacy: bool) -> Case:
    at, wrapper = (house.inbox,), _wrapper(legacy)
    right = [Request(at, {wrapper: {"name": "New", "email_username": f"staging-{secrets.token_hex(3)}"}})]
    return Case(right, {422: Request(at, {wrapper: {"email_username": "not one"}})})


@case("DELETE sandboxes/{sandbox_id}")
@case("PATCH sandboxes/{sandbox_id}/clean")
@case("PATCH sandboxes/{sandbox_id}/all_read")
@case("PATCH sandboxes/{sandbox_id}/reset_credentials")
@case("PATCH sandboxes/{sandbox_id}/toggle_email_username")
@case("PATCH sandboxes/{sandbox_id}/reset_email_username")
async def inbox_turned(house: WorkingHouse, legacy: bool) -> Case:
    await caught(house)
    return Case([Request((house.inbox,))])


# --- messages


@case("GET sandboxes/{sandbox_id}/messages")
async def messages(house: WorkingHouse, legacy: bool) -> Case:
    template = {"template_uuid": await kept_uuid(house), "template_variables": {"name": "Bob"}}
    body = {"from": {"email": "app@a.test"}, "to": [{"email": "bob@dest.test"}], **template}
    await house.send(path=f"/api/send/{house.inbox}", **body, subject=None, text=None)
    found = await caught_by_smtp(house)
    queries = ("", "search=hello&page=1", f"last_id={found + 1}")
    return Case(
        [Request((house.inbox,), query=query) for query in queries], {400: Request((house.inbox,), query="page=x")}
    )


@case("GET sandboxes/{sandbox_id}/messages/{message_id}")
async def message(house: WorkingHouse, legacy: bool) -> Case:
    return Case([Request((house.inbox, await caught_by_smtp(house)))])


@case("PATCH sandboxes/{sandbox_id}/messages/{message_id}")
async def message_marked(house: WorkingHouse, legacy: bool) -> Case:
    at = (house.inbox, await caught_by_smtp(house))
    return Case([Request(at, {"message": {"is_read": "true"}})], {422: Request(at, {"message": {"is_read": "maybe"}})})


@case("DELETE sandboxes/{sandbox_id}/messages/{message_id}")
async def message_deleted(house: WorkingHouse, legacy: bool) -> Case:
    return await message(house, legacy)


@case("POST sandboxes/{sandbox_id}/messages/{message_id}/forward")
async def message_forwarded(house: WorkingHouse, legacy: bool) -> Case:
    at = (house.inbox, await caught(house))
    return Case([Request(at, {"email": house.owner})], {422: Request(at, {"email": "stranger@dest.test"})})


@case("GET sandboxes/{sandbox_id}/messages/{message_id}/body.raw")
@case("GET sandboxes/{sandbox_id}/messages/{message_id}/body.eml")
async def whole(house: WorkingHouse, legacy: bool) -> Case:
    return Case([Request((house.inbox, await caught(house)))])


@case("GET sandboxes/{sandbox_id}/messages/{message_id}/mail_headers")
async def headers(house: WorkingHouse, legacy: bool) -> Case:
    return await whole(house, legacy)


@case("GET sandboxes/{sandbox_id}/messages/{message_id}/body.txt")
async def text(house: WorkingHouse, legacy: bool) -> Case:
    without = await caught(house, text="", attachments=[])
    return Case([Request((house.inbox, await caught(house)))], {409: Request((house.inbox, without))})


@case("GET sandboxes/{sandbox_id}/messages/{message_id}/body.html")
@case("GET sandboxes/{sandbox_id}/messages/{message_id}/body.htmlsource")
async def html(house: WorkingHouse, legacy: bool) -> Case:
    without = await caught_by_smtp(house)
    return Case([Request((house.inbox, await caught(house)))], {409: Request((house.inbox, without))})


@case("GET sandboxes/{sandbox_id}/messages/{message_id}/attachments")
async def attachments(house: WorkingHouse, legacy: bool) -> Case:
    at = (house.inbox, await caught(house))
    return Case(
        [Request(at), Request(at, query="attachment_type=attachment")], {400: Request(at, query="attachment_type=x")}
    )


@case("GET sandboxes/{sandbox_id}/messages/{message_id}/attachments/{attachment_id}")
async def attachment(house: WorkingHouse, legacy: bool) -> Case:
    found = await caught(house)
    (shown,) = await house.made("GET", f"inboxes/{house.inbox}/messages/{found}/attachments")
    return Case([Request((house.inbox, found, shown["id"]))])


@case("GET sandboxes/{sandbox_id}/messages/{message_id}/spam_report")
async def spam(house: WorkingHouse, legacy: bool) -> Case:
    return Case([Request((house.inbox, await caught_by_smtp(house)))])  # it has no Date


@case("GET sandboxes/{sandbox_id}/messages/{message_id}/analyze")
async def analysis(house: WorkingHouse, legacy: bool) -> Case:
    found = await caught(house, html='<p style="display: grid; position: fixed">Hi</p>')
    return Case([Request((house.inbox, found))])
