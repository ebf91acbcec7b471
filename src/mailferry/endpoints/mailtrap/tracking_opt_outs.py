"""`.../tracking_opt_outs`: recipients of a domain whose opens and clicks are not followed.

In no released contract yet; Mailtrap's SDKs call it, and the bodies are those that its SDK for Ruby has recorded.
"""

from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection
from starlette.responses import Response

from mailferry.endpoints.mailtrap.deps import Call
from mailferry.endpoints.mailtrap.errors import Fault, answer
from mailferry.endpoints.mailtrap.forms import AnsweredError, Form, invalid, members, refuse
from mailferry.endpoints.mailtrap.query import BadQueryError, first, moment, parse
from mailferry.endpoints.mailtrap.suppressions import TAKEN, UUID, check_domain, domain_of, may_change, sought
from mailferry.resources import audit, tracking_opt_outs
from mailferry.resources.permissions import Resource
from mailferry.resources.tracking_opt_outs import OptOut, Query

#: Of one answer.
PAGE = 1000
NOT_FOUND = "Tracking opt-out not found"

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


async def get_list(call: Call) -> Response:
    try:
        query = _query(call, parse(call.request.scope["query_string"]))
    except BadQueryError as error:
        refuse(call, Fault.QUERY_INVALID, str(error))
    found = await call.read(lambda connection: tracking_opt_outs.page(connection, query))
    shown = found[:PAGE]
    return answer({"data": [_shown(each) for each in shown], "last_id": shown[-1].id if found[PAGE:] else None})


async def create(call: Call) -> Response:
    form = Form(await members(call))
    email, domain_id = form.email("email"), domain_of(form)
    form.check()
    await check_domain(call, domain_id)
    now = call.deps.clock()

    def write(connection: Connection) -> OptOut | None:
        made = tracking_opt_outs.add(connection, domain_id, email, now)
        found = tracking_opt_outs.find(connection, call.account_id, made) if made else None
        if found:
            _tell(call, connection, "tracking_opt_out.created", found, now)
        return found

    made = await call.write(write)
    if made is None:
        invalid({"email": [TAKEN]})
    return answer({"data": _shown(made)}, 201)


async def delete(call: Call) -> Response:
    """Opens and clicks may be followed again. The answer is what stood."""
    wanted = call.request.path_params["tracking_opt_out_id"].lower()
    seen = call.rights.granted(Resource.DOMAIN)
    now = call.deps.clock()

    def write(connection: Connection) -> OptOut | Fault:
        found = tracking_opt_outs.find(connection, call.account_id, wanted)
        if found is None or (seen is not None and found.domain_id not in seen):
            return Fault.NOT_FOUND
        if not may_change(call, found.domain_id):
            return Fault.FORBIDDEN
        if not tracking_opt_outs.remove(connection, found.domain_id, found.address):
            return Fault.NOT_FOUND
        _tell(call, connection, "tracking_opt_out.deleted", found, now)
        return found

    outcome = await call.write(write) if UUID.fullmatch(wanted) else Fault.NOT_FOUND
    if outcome is Fault.NOT_FOUND:
        raise AnsweredError(answer({"errors": {"base": [NOT_FOUND]}}, 404, [NOT_FOUND]))
    return refuse(call, outcome) if isinstance(outcome, Fault) else answer(_shown(outcome))


def _tell(call: Call, connection: Connection, event: str, found: OptOut, now: int) -> None:
    audit.note(connection, call.account_id, call.actor, event, ("tracking_opt_out", found.id, found.address), now)


def _shown(found: OptOut) -> dict[str, str]:
    when = _EPOCH + timedelta(milliseconds=found.created_at)
    return {
        "id": found.id,
        "email": found.address,
        "created_at": when.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "domain_name": found.domain_name,
    }


def _query(call: Call, pairs: list[tuple[tuple[str, ...], str]]) -> Query:
    """Raises :class:`BadQueryError`."""
    since, until = (moment(first(pairs, name).strip(), name) for name in ("start_time", "end_time"))
    if since is not None and until is not None and since > until:
        raise BadQueryError("'start_time' must not be later than 'end_time'")
    cursor = first(pairs, "last_id").lower()
    if cursor and not UUID.fullmatch(cursor):
        raise BadQueryError("'last_id' must be the id of a tracking opt-out")
    email = first(pairs, "email")
    return Query(
        account_id=call.account_id,
        domain_ids=call.rights.granted(Resource.DOMAIN),
        address=sought(email) if email else None,
        since=since,
        until=until,
        older_than=cursor,
        limit=PAGE + 1,
    )
