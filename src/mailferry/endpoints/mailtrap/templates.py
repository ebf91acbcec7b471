"""`.../email_templates`, wrapped and bare, and the newer `.../templates`, flat and in an envelope: the same templates.

Mailtrap calls the newer paths experimental and lists their pages by number. Its Python SDK asks for them below the account.
"""

import re
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import msgspec
from starlette.responses import Response, StreamingResponse

from mailferry.endpoints.mailtrap.api_tokens import time
from mailferry.endpoints.mailtrap.deps import Call
from mailferry.endpoints.mailtrap.errors import Fault, answer, json_response
from mailferry.endpoints.mailtrap.forms import MAX_ID, Form, identity, invalid, members, refuse
from mailferry.endpoints.mailtrap.query import BadQueryError, first, parse
from mailferry.intake import texts
from mailferry.resources import template_syntax, templates
from mailferry.resources.templates import Facts, Head, Template, Texts

WRAPPER = "email_template"
FULL = "You've reached the maximum number of templates allowed. Please upgrade your plan to add more."
PER_PAGE, MAX_PER_PAGE = 50, 100
#: A list names all bodies, of which each may have megabytes: so many octets of them are read at once.
SLICE_OCTETS = 4 * 1024 * 1024

_REQUIRED = ("name", "category", "subject")
BODIES = ("body_html", "body_text")


async def get_list(call: Call) -> Response:
    """All of them, newest first."""
    heads = await call.read(lambda connection: templates.heads(connection, call.account_id))
    return await _array(call, heads, b"[", b"]")


async def get_page(call: Call) -> Response:
    """`token` is the number of the page. One that lies behind the last is empty."""
    page, per_page = _page(call)
    count = await call.read(lambda connection: templates.count(connection, call.account_id))
    start = (page - 1) * per_page
    heads = await call.read(lambda c: templates.heads(c, call.account_id, limit=per_page, offset=start))
    tail = b'],"pagination":' + msgspec.json.encode(_pagination(call, page, -(-count // per_page))) + b"}"
    return await _array(call, heads, b'{"data":[', tail)


async def get_one(call: Call) -> Response:
    return answer(shown(await existing(call)))


async def get_one_enveloped(call: Call) -> Response:
    return answer({"data": shown(await existing(call))})


async def create(call: Call) -> Response:
    return answer(shown(await _create(call, await members(call, WRAPPER))), 201)


async def create_enveloped(call: Call) -> Response:
    return answer({"data": shown(await _create(call, await _flat(call)))}, 201)


async def update(call: Call) -> Response:
    return answer(shown(await _update(call, await members(call, WRAPPER))))


async def update_enveloped(call: Call) -> Response:
    return answer({"data": shown(await _update(call, await _flat(call)))})


async def delete(call: Call) -> Response:
    wanted, now = template_id(call), call.deps.clock()
    if not await call.write(lambda c: templates.remove(c, call.account_id, wanted, call.actor, now)):
        refuse(call, Fault.NOT_FOUND)
    call.deps.renderer.forget()
    return Response(status_code=204)


def template_id(call: Call) -> int:
    return identity(call, "template_id" if "template_id" in call.request.path_params else "email_template_id")


async def existing(call: Call) -> Template:
    """The template of the path. Ends the request when there is none."""
    wanted = template_id(call)
    found = await call.read(lambda connection: templates.by_id(connection, call.account_id, wanted))
    return found or refuse(call, Fault.NOT_FOUND)


def shown(template: Template) -> dict[str, Any]:
    head, source = template.head, template.texts
    return {
        "id": head.id,
        "uuid": head.uuid,
        "name": head.facts.name,
        "category": head.facts.category,
        "subject": source.subject,
        "body_html": source.body_html or None,
        "body_text": source.body_text or None,
        "created_at": time(head.created_at),
        "updated_at": time(head.updated_at),
    }


# --- changes -------------------------------------------------------------------------------------------------------


async def _create(call: Call, given: Mapping[str, Any]) -> Template:
    fields = _fields(given, required=True)
    source = Texts(fields["subject"], fields.get("body_html", ""), fields.get("body_text", ""))
    await check_syntax(call, source)
    facts, now, most = Facts(fields["name"], fields["category"]), call.deps.clock(), call.deps.max_templates
    made = await call.write(lambda c: templates.create(c, call.account_id, facts, source, call.actor, now, most=most))
    return made or invalid({"base": [FULL]})


async def _update(call: Call, given: Mapping[str, Any]) -> Template:
    """Only what is given changes; null and the empty string clear a body."""
    wanted, changes, now = template_id(call), _fields(given, required=False), call.deps.clock()
    await check_syntax(call, Texts(**{name: changes.get(name, "") for name in ("subject", *BODIES)}))
    changed = await call.write(
        lambda c: templates.change(c, call.account_id, wanted, changes, call.actor, now),
    )
    call.deps.renderer.forget()
    return changed or refuse(call, Fault.NOT_FOUND)


async def check_syntax(call: Call, source: Texts) -> None:
    if source == Texts(""):
        return
    flaws = await call.deps.renderer.aside(lambda: template_syntax.flaws(source))
    if flaws:
        invalid({name: [f"is not a valid Handlebars template: {flaw}"] for name, flaw in flaws.items()})


async def _flat(call: Call) -> Mapping[str, Any]:
    """The wrapper of the older paths is taken here, too."""
    given = await members(call)
    inner = given.get(WRAPPER)
    return inner if isinstance(inner, dict) else given


def _fields(given: Mapping[str, Any], *, required: bool) -> dict[str, str]:
    form = Form(given)
    found = {name: form.text(name, least=1, most=templates.MAX_LINE) for name in _REQUIRED if required or name in given}
    found |= {name: body(form, name) for name in BODIES if name in given}
    form.check()
    return found


def body(form: Form, name: str) -> str:
    """Any text that a message may carry, empty when there is none."""
    value = form.given.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        form.wrong(name, "must be a string")
        return ""
    if len(value) > templates.MAX_BODY:
        form.wrong(name, f"is too long (maximum is {templates.MAX_BODY} characters)")
    elif flaw := texts.flaw(value):
        form.wrong(name, f"must not contain {flaw}")
    return value


# --- lists ---------------------------------------------------------------------------------------------------------


async def _array(call: Call, heads: Sequence[Head], before: bytes, after: bytes) -> Response:
    slices = _slices(heads)
    if len(slices) <= 1:
        return json_response(before + b",".join(await _read(call, slices[0] if slices else [])) + after)

    async def pieces() -> AsyncIterator[bytes]:
        start = before
        for ids in slices:
            for each in await _read(call, ids):
                yield start + each
                start = b","
        yield (before if start == before else b"") + after

    return StreamingResponse(pieces(), media_type="application/json; charset=utf-8")


async def _read(call: Call, ids: Sequence[int]) -> list[bytes]:
    """As JSON. Those that were deleted a moment ago are left out."""
    found = await call.read(lambda connection: templates.of_ids(connection, call.account_id, ids))
    return [msgspec.json.encode(shown(template)) for template in found]


def _slices(heads: Sequence[Head]) -> list[list[int]]:
    found: list[list[int]] = []
    room = 0
    for head in heads:
        if not found or head.size > room:
            found.append([])
            room = SLICE_OCTETS
        found[-1].append(head.id)
        room -= head.size
    return found


def _page(call: Call) -> tuple[int, int]:
    try:
        pairs = parse(call.request.scope["query_string"])
        page, per_page = _positive(pairs, "token", 1), min(_positive(pairs, "per_page", PER_PAGE), MAX_PER_PAGE)
    except BadQueryError as error:
        refuse(call, Fault.QUERY_INVALID, str(error))
    if (page - 1) * per_page > MAX_ID:
        invalid("token is out of range")
    return page, per_page


def _positive(pairs: list[tuple[tuple[str, ...], str]], name: str, default: int) -> int:
    text = first(pairs, name)
    if not text:
        return default
    if not re.fullmatch(r"[0-9]{1,30}", text) or not int(text):
        raise BadQueryError(f"'{name}' must be a positive integer")
    return int(text)


def _pagination(call: Call, page: int, pages: int) -> dict[str, Any]:
    before = min(page - 1, max(pages, 1)) or None
    after = page + 1 if page < pages else None
    return {
        "token": page,
        "prev_token": before,
        "next_token": after,
        "first_url": _url(call, 1),
        "prev_url": _url(call, before),
        "current_url": _url(call, page),
        "next_url": _url(call, after),
    }


def _url(call: Call, page: int | None) -> str | None:
    if page is None:
        return None
    asked = first(parse(call.request.scope["query_string"]), "per_page")
    return str(call.request.url.replace(query=f"per_page={asked}&token={page}" if asked else f"token={page}"))
