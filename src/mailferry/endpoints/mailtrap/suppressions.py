"""`.../suppressions`: who must not be written to, listed with the message that caused it, added, and reactivated.

Only the newer contract describes POST; Mailtrap's Python SDK calls it over the older paths, so both have it. Where there
is nothing, these objects have an empty string and not null.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection
from starlette.responses import Response

from mailferry.endpoints.mailtrap.deps import Call
from mailferry.endpoints.mailtrap.errors import Fault, answer
from mailferry.endpoints.mailtrap.forms import Form, invalid, members, refuse
from mailferry.endpoints.mailtrap.query import BadQueryError, first, moment, parse
from mailferry.mail import address
from mailferry.resources import audit, domains, suppressions
from mailferry.resources.permissions import ADMIN, Resource
from mailferry.resources.suppressions import Query, Story, Suppression

#: Of one answer.
PAGE = 1000
TAKEN = "has already been taken"

UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


async def get_list(call: Call) -> Response:
    try:
        query = _query(call, parse(call.request.scope["query_string"]))
    except BadQueryError as error:
        refuse(call, Fault.QUERY_INVALID, str(error))

    def read(connection: Connection) -> list[dict[str, str]]:
        found = suppressions.page(connection, query)
        stories = suppressions.stories(connection, found)
        return [_shown(each, stories) for each in found]

    return answer(await call.read(read))


async def create(call: Call) -> Response:
    form = Form(await members(call))
    email, domain_id = form.email("email"), domain_of(form)
    stream = _choice(form, "sending_stream", ("transactional", "bulk"))
    type_ = _choice(form, "type", suppressions.TYPES) if form.has("type") else suppressions.MANUAL_IMPORT
    form.check()
    await check_domain(call, domain_id)
    now = call.deps.clock()
    row = suppressions.entry(call.account_id, email, now, domain_id=domain_id, stream=stream, type=type_)

    def write(connection: Connection) -> Suppression | None:
        if not suppressions.add(connection, [row], _actor(call)):
            return None
        made = suppressions.find(connection, call.account_id, row["id"])
        assert made is not None
        _tell(call, connection, "suppression.created", made, now)
        return made

    made = await call.write(write)
    if made is None:
        invalid({"email": [TAKEN]})
    return answer({"data": _shown(made, {})}, 201)


async def delete(call: Call) -> Response:
    """Mailtrap's "reactivate": the address may be written to again. The answer is what stood."""
    wanted = call.request.path_params["suppression_id"].lower()
    seen = call.rights.granted(Resource.DOMAIN)
    now = call.deps.clock()

    def write(connection: Connection) -> dict[str, str] | Fault:
        found = suppressions.find(connection, call.account_id, wanted)
        if found is None or (seen is not None and found.domain_id not in seen):
            return Fault.NOT_FOUND
        if not may_change(call, found.domain_id):
            return Fault.FORBIDDEN
        shown = _shown(found, suppressions.stories(connection, [found]))
        if not suppressions.remove(connection, [found], _actor(call), now):
            return Fault.NOT_FOUND
        _tell(call, connection, "suppression.deleted", found, now)
        return shown

    outcome = await call.write(write) if UUID.fullmatch(wanted) else Fault.NOT_FOUND
    return refuse(call, outcome) if isinstance(outcome, Fault) else answer(outcome)


def _choice(form: Form, name: str, allowed: Sequence[str]) -> str:
    """In the words of the contract, which are others than elsewhere, and the same for what is missing."""
    value = form.given.get(name)
    if value not in allowed:
        form.wrong(name, f"is invalid. Allowed values: {', '.join(allowed)}.")
        return ""
    return str(value)


def domain_of(form: Form) -> int:
    domain_id = form.number("domain_id")
    if domain_id is None and "domain_id" not in form.errors:
        form.wrong("domain", "can't be blank")
    return domain_id or 0


async def check_domain(call: Call, domain_id: int) -> None:
    """Refuses the request unless the domain is the account's and the token may change what is kept of it."""
    if not await call.read(lambda connection: _visible(call, connection, domain_id)):
        invalid({"domain": ["must be a domain of this account"]})
    if not may_change(call, domain_id):
        refuse(call, Fault.FORBIDDEN)


def _visible(call: Call, connection: Connection, domain_id: int) -> bool:
    found = domains.by_id(connection, domain_id)
    seen = call.rights.granted(Resource.DOMAIN)
    return found is not None and found.account_id == call.account_id and (seen is None or domain_id in seen)


def may_change(call: Call, domain_id: int) -> bool:
    """What is suppressed for all domains is changed by whoever has a right on all of them."""
    changeable = call.rights.granted(Resource.DOMAIN, ADMIN)
    return changeable is None or domain_id in changeable


def _actor(call: Call) -> str:
    return f"{call.actor.kind} {call.actor.id} {call.actor.name}"


def _tell(call: Call, connection: Connection, event: str, found: Suppression, now: int) -> None:
    resource = ("suppression", found.id, found.address)
    audit.note(connection, call.account_id, call.actor, event, resource, now)


# --- answers -------------------------------------------------------------------------------------------------------


def _shown(found: Suppression, stories: Mapping[str, Story]) -> dict[str, str]:
    story = stories.get(found.id)
    return {
        "id": found.id,
        "type": found.type,
        "created_at": _time(found.created_at),
        "email": found.address,
        "sending_stream": found.stream,
        "domain_name": found.domain_name,
        "message_bounce_category": found.category,
        "message_category": story.category if story else "",
        "message_client_ip": story.client_ip if story else "",
        "message_created_at": _time(story.sent_at) if story else "",
        "message_esp_response": found.response,
        "message_esp_server_type": "",
        "message_outgoing_ip": story.local_ip if story else "",
        "message_recipient_mx_name": story.host if story else "",
        "message_sender_email": story.sender if story else "",
        "message_subject": story.subject if story else "",
    }


def _time(ms: int) -> str:
    when = _EPOCH + timedelta(seconds=ms // 1000)
    return when.isoformat().replace("+00:00", "Z")


# --- filters -------------------------------------------------------------------------------------------------------


def _query(call: Call, pairs: list[tuple[tuple[str, ...], str]]) -> Query:
    """Raises :class:`BadQueryError`. What is no parameter of this path (``limit``) is ignored, as at Mailtrap."""
    since, until = _moment(pairs, "start_time"), _moment(pairs, "end_time")
    if since is not None and until is not None and since > until:
        raise BadQueryError("'start_time' must not be later than 'end_time'")
    if until is not None and until % 1000 == 0:
        until += 999  # times are shown in whole seconds: one that was read here must find its own suppression
    cursor = first(pairs, "last_id").lower()
    if cursor and not UUID.fullmatch(cursor):
        raise BadQueryError("'last_id' must be the id of a suppression")
    return Query(
        account_id=call.account_id,
        domain_ids=call.rights.granted(Resource.DOMAIN),
        address=sought(first(pairs, "email")),
        since=since,
        until=until,
        older_than=cursor,
        limit=PAGE,
    )


def sought(text: str) -> str:
    """As addresses are kept. A plus that was not percent-encoded came as a space."""
    for form in (text.strip(), text.strip().replace(" ", "+")):
        try:
            return address.key(address.parse(form))
        except address.BadAddress:
            continue
    return address.key(text)  # finds nothing, like an address that is not suppressed


def _moment(pairs: list[tuple[tuple[str, ...], str]], name: str) -> int | None:
    return moment(first(pairs, name).strip(), name)
