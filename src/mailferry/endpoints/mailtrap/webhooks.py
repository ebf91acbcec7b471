"""`.../webhooks`: who is told what happens, in an envelope. Their secret is in the answer to POST and to a reset, and nowhere
else.

Mailtrap has the test on its pages only, and no log, replay or reset in its API; these parts are Mailferry's own. A URL's
password is shown to admins of the account alone.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NoReturn

from sqlalchemy import Connection
from starlette.responses import Response

from mailferry.consumers.mailtrap_words import WEBHOOK_KIND, WEBHOOK_TYPE
from mailferry.consumers.webhooks import deeds, pending, replays, signing
from mailferry.consumers.webhooks.pending import State
from mailferry.consumers.webhooks.replays import Replay
from mailferry.endpoints.mailtrap.deps import Call
from mailferry.endpoints.mailtrap.errors import Fault, answer
from mailferry.endpoints.mailtrap.forms import BLANK, MAX_ID, Form, identity, invalid, members, refuse
from mailferry.endpoints.mailtrap.query import BadQueryError, first, moment, parse
from mailferry.journal.events import Kind
from mailferry.net.http_call import BadUrl, Url, parse_url
from mailferry.resources import domains, webhooks
from mailferry.resources.permissions import ADMIN
from mailferry.resources.webhooks import AUDIT_LOG, EMAIL_SENDING, JSON, JSON_LINES, TooMany, Webhook, Wish

#: Rows of one page of a log.
PAGE = 100
TYPES = (EMAIL_SENDING, "campaigns", AUDIT_LOG, "inbound_receiving")
STREAMS = ("transactional", "bulk")
NOT_YET = "is not served by this version: {}"

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NOWHERE = Url("https", "", 443, "/")


async def get_list(call: Call) -> Response:
    found = await call.read(lambda connection: webhooks.of_account(connection, call.account_id))
    return answer({"data": [_shown(call, each) for each in found]})


async def get_one(call: Call) -> Response:
    return answer({"data": _shown(call, await _webhook(call))})


async def create(call: Call) -> Response:
    form = Form(await members(call, "webhook"))
    url = _url(call, form)
    of_audits = _type(form) == AUDIT_LOG
    active = form.flag("active")
    payload_format = form.choice("payload_format", (JSON, JSON_LINES)) or JSON
    if of_audits:
        _blank(form, "event_types", "sending_stream", "domain_id")
    kinds = (Kind.AUDIT,) if of_audits else _kinds(form)
    stream = "" if of_audits else form.choice("sending_stream", STREAMS, required=True)
    domain_id = 0 if of_audits else form.number("domain_id") or 0
    _blank(form, "inbound_inbox_id")
    form.check()
    if domain_id and not await call.read(lambda connection: _has_domain(call, connection, domain_id)):
        invalid({"domain_id": ["must be a domain of this account"]})
    wish, now = Wish(url, active is not False, payload_format, stream, domain_id, kinds), call.deps.clock()
    try:
        made, secret = await call.write(
            lambda connection: webhooks.create(connection, call.deps.sealer, call.account_id, wish, call.actor, now)
        )
    except TooMany:
        invalid({"base": [f"You've reached the maximum number of webhooks ({webhooks.MOST})"]})
    return answer({"data": _with_secret(call, made, secret)})


async def update(call: Call) -> Response:
    """Only what is given changes; type, stream and domain stay what they are, as at Mailtrap."""
    before = await _webhook(call)
    form = Form(await members(call, "webhook"))
    url = _url(call, form) if "url" in form.given else before.target(call.deps.sealer)
    active = form.flag("active")
    payload_format = form.choice("payload_format", (JSON, JSON_LINES)) or before.payload_format
    of_audits = before.type == AUDIT_LOG
    kinds = _kinds(form) if "event_types" in form.given and not of_audits else before.kinds
    _blank(form, "inbound_inbox_id", *(["event_types"] if of_audits else []))
    form.check()
    wish = Wish(
        url, before.active if active is None else active, payload_format, before.stream, before.domain_id, kinds
    )
    now = call.deps.clock()
    after = await call.write(
        lambda connection: webhooks.change(connection, call.deps.sealer, before, wish, call.actor, now)
    )
    return answer({"data": _shown(call, after)}) if after else refuse(call, Fault.NOT_FOUND)


async def delete(call: Call) -> Response:
    """The answer is what stood."""
    gone, now = await _webhook(call), call.deps.clock()
    if not await call.write(lambda connection: webhooks.remove(connection, gone, call.actor, now)):
        refuse(call, Fault.NOT_FOUND)
    return answer({"data": _shown(call, gone)})


# --- ours ----------------------------------------------------------------------------------------------------------


async def reset_secret(call: Call) -> Response:
    """Requests are signed with the new one from now on."""
    webhook, now = await _webhook(call), call.deps.clock()
    made = await call.write(
        lambda connection: webhooks.reset_secret(connection, call.deps.sealer, webhook, call.actor, now)
    )
    return answer({"data": _with_secret(call, *made)}) if made else refuse(call, Fault.NOT_FOUND)


async def test(call: Call) -> Response:
    """Sends one invented event of each type that the webhook asks for, now, and tells what came of it."""
    webhook, now = await _webhook(call), call.deps.clock()
    outcome = await deeds.test(call.deps.db, call.deps.poster, webhook, now)
    shown = {"status": outcome.status or None, "error": outcome.error or None, "response": outcome.response}
    return answer({"data": {"success": outcome.status == 200, **shown, "duration_ms": outcome.ms}})


async def replay(call: Call) -> Response:
    """`{"parked": true}`: what is parked is tried again now. Else `from` and `to`: what happened then is sent again."""
    webhook = await _webhook(call)
    form, now = Form(await members(call)), call.deps.clock()
    if form.flag("parked"):
        form.check()
        count = await call.write(lambda connection: deeds.unpark(connection, webhook, call.actor, now))
        return answer({"data": {"parked_events": count}})
    since, until = _moment(form, "from", required=True), _moment(form, "to")
    if webhook.type == AUDIT_LOG:
        form.wrong("base", "a webhook of the audit log has no replay of a time, only of what is parked")
    form.check()
    from_at, until_at = since or 0, now if until is None else until
    if from_at > until_at:
        invalid({"from": ["must not be later than 'to'"]})
    made = await call.write(lambda connection: deeds.replay(connection, webhook, from_at, until_at, call.actor, now))
    return answer({"data": _replay(made)})


async def get_replays(call: Call) -> Response:
    webhook = await _webhook(call)
    found = await call.read(lambda connection: replays.of_webhook(connection, webhook.id))
    return answer({"data": [_replay(each) for each in found]})


async def get_log(call: Call) -> Response:
    """Events, newest first, each with the last request that carried it; `state`, `message_id` and `last_id` choose."""
    webhook = await _webhook(call)
    try:
        pairs = parse(call.request.scope["query_string"])
    except BadQueryError as error:
        refuse(call, Fault.QUERY_INVALID, str(error))
    state, before = first(pairs, "state"), _last_id(call, first(pairs, "last_id"))
    if state and state not in list(State):
        refuse(call, Fault.QUERY_INVALID, f"'state' must be one of {', '.join(State)}")
    message_id = first(pairs, "message_id").lower()
    found = await call.read(
        lambda connection: pending.log(
            connection, webhook.id, state=state, message_id=message_id, before=before, limit=PAGE
        )
    )
    return answer({"data": [_event(row) for row in found]})


async def get_attempts(call: Call) -> Response:
    """Requests, newest first."""
    webhook = await _webhook(call)
    try:
        before = _last_id(call, first(parse(call.request.scope["query_string"]), "last_id"))
    except BadQueryError as error:
        refuse(call, Fault.QUERY_INVALID, str(error))
    found = await call.read(lambda connection: pending.attempts(connection, webhook.id, before=before, limit=PAGE))
    return answer({"data": [_attempt(row) for row in found]})


# --- what came -----------------------------------------------------------------------------------------------------


async def _webhook(call: Call) -> Webhook:
    webhook_id = identity(call, "webhook_id")
    found = await call.read(lambda connection: webhooks.by_id(connection, webhook_id))
    own = found is not None and found.account_id == call.account_id and not found.subscription
    return found if found and own else refuse(call, Fault.NOT_FOUND)


def _url(call: Call, form: Form) -> Url:
    given = form.given.get("url")
    if given is None or given == "":
        form.wrong("url", BLANK)
        form.wrong("url", "is invalid")
        return _NOWHERE
    if not isinstance(given, str):
        form.wrong("url", "must be a string")
        return _NOWHERE
    try:
        url = parse_url(given)
    except BadUrl as error:
        form.wrong("url", f"is invalid: it {error}")
        return _NOWHERE
    if not call.deps.poster.may_have(url.port):
        form.wrong("url", "is invalid: webhooks are called on ports 443 and 80")
    return url


def _type(form: Form) -> str:
    given = form.choice("webhook_type", TYPES, required=True)
    if given and given not in (EMAIL_SENDING, AUDIT_LOG):
        form.wrong("webhook_type", NOT_YET.format(given))
    return given


def _kinds(form: Form) -> tuple[Kind, ...]:
    given = form.given.get("event_types")
    if not given:
        form.wrong("event_types", BLANK)
        return ()
    if not isinstance(given, list) or not all(isinstance(each, str) for each in given):
        form.wrong("event_types", "must be an array of strings")
        return ()
    unknown = [each for each in given if each not in WEBHOOK_KIND]
    if unknown:
        form.wrong("event_types", f"is not included in the list: {', '.join(WEBHOOK_KIND)}")
    return tuple(dict.fromkeys(WEBHOOK_KIND[each] for each in given if each in WEBHOOK_KIND))


def _blank(form: Form, *names: str) -> None:
    for name in names:
        if form.has(name) and form.given[name] != []:
            form.wrong(name, "must be blank")


def _has_domain(call: Call, connection: Connection, domain_id: int) -> bool:
    found = domains.by_id(connection, domain_id)
    return found is not None and found.account_id == call.account_id


def _moment(form: Form, name: str, *, required: bool = False) -> int | None:
    given = form.given.get(name)
    if given is None:
        if required:
            form.wrong(name, BLANK)
        return None
    try:
        return moment(given, name) if isinstance(given, str) else _bad_time(name)
    except BadQueryError:
        form.wrong(name, "must be a time such as 2026-01-31T12:00:00Z")
        return None


def _bad_time(name: str) -> NoReturn:
    raise BadQueryError(name)


def _last_id(call: Call, text: str) -> int:
    if not text:
        return 0
    if not (text.isascii() and text.isdigit() and len(text) <= 19) or int(text) > MAX_ID:
        _bad_last_id(call)
    return int(text)


def _bad_last_id(call: Call) -> NoReturn:
    refuse(call, Fault.QUERY_INVALID, "'last_id' must be the id of a row of the page before")


# --- what is shown -------------------------------------------------------------------------------------------------


def _shown(call: Call, webhook: Webhook) -> dict[str, Any]:
    return {
        "id": webhook.id,
        "url": _whole_url(webhook, webhook.userinfo(call.deps.sealer), hidden=call.rights.account < ADMIN),
        "active": webhook.active,
        "webhook_type": webhook.type,
        "payload_format": webhook.payload_format,
        "sending_stream": webhook.stream or None,
        "domain_id": webhook.domain_id or None,
        "inbound_inbox_id": None,
        "event_types": _types(webhook.kinds) if webhook.type == EMAIL_SENDING else [],
    }


def _with_secret(call: Call, webhook: Webhook, secret: str) -> dict[str, Any]:
    shown = {"signing_secret": secret, "standard_webhooks_secret": signing.standard_secret(secret)}
    return _shown(call, webhook) | shown


def _whole_url(webhook: Webhook, userinfo: str, *, hidden: bool) -> str:
    return deeds.url_with(webhook.url, "***" if hidden and userinfo else userinfo)


def _types(kinds: Sequence[Kind]) -> list[str]:
    return [WEBHOOK_TYPE[kind] for kind in kinds]


def _event(row: Any) -> dict[str, Any]:
    return {
        "id": row.id,
        "state": row.state,
        "event": WEBHOOK_TYPE[Kind(row.kind)],
        "message_id": row.message_id,
        "happened_at": _time(row.at),
        "queued_at": _time(row.created_at),
        "replayed": bool(row.replayed),
        "next_attempt_at": _time(row.due) if row.state in pending.OPEN and row.due else None,
        "delivered_at": _time(row.done_at) if row.state == State.DELIVERED else None,
        "failed_alone": row.tries,
        "last_attempt": _last_attempt(row),
    }


def _last_attempt(row: Any) -> dict[str, Any] | None:
    if row.attempt_id is None:
        return None
    return {"id": row.attempt_id, "created_at": _time(row.attempted_at), **_outcome(row)}


def _attempt(row: Any) -> dict[str, Any]:
    return {"id": row.id, "created_at": _time(row.at), "kind": row.kind, "events_count": row.events, **_outcome(row)}


def _outcome(row: Any) -> Mapping[str, Any]:
    return {
        "status": row.status or None,
        "error": row.error or None,
        "response": row.response,
        "duration_ms": row.ms,
    }


def _replay(found: Replay) -> dict[str, Any]:
    return {
        "id": found.id,
        "from": _time(found.from_at),
        "to": _time(found.until_at),
        "queued_events": found.queued,
        "created_at": _time(found.created_at),
        "done_at": _time(found.done_at) if found.done_at else None,
    }


def _time(ms: int) -> str:
    return (_EPOCH + timedelta(milliseconds=ms)).isoformat(timespec="milliseconds").replace("+00:00", "Z")
