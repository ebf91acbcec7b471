"""Webhooks for an operator: shown, added, paused, tested, their log read, a range of it sent again."""

from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from mailferry.consumers.mailtrap_words import WEBHOOK_KIND, WEBHOOK_TYPE
from mailferry.consumers.webhooks import deeds, pending, replays, signing
from mailferry.consumers.webhooks import topics as deeds_of_topics
from mailferry.consumers.webhooks.pending import State
from mailferry.consumers.webhooks.replays import Replay
from mailferry.credentials import ACCOUNT
from mailferry.endpoints.operations.domains import known_account
from mailferry.endpoints.operations.reading import iso
from mailferry.endpoints.operations.tools import OPERATOR, Mistake, Tools, Verb
from mailferry.journal.events import Kind
from mailferry.net.http_call import BadUrl, Url, parse_url
from mailferry.resources import arns, domains, topics, webhooks
from mailferry.resources.webhooks import TooMany, Webhook, Wish

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


async def webhooks_list(tools: Tools, account: int = ACCOUNT) -> list[dict[str, Any]]:
    def read(connection: Connection) -> list[dict[str, Any]]:
        found = webhooks.of_account(connection, account) + webhooks.of_account(connection, account, subscriptions=True)
        return [_shown(tools, each, pending.counts(connection, each.id)) for each in found]

    return await tools.database.read(read)


async def webhooks_show(tools: Tools, webhook: int) -> dict[str, Any]:
    def read(connection: Connection) -> dict[str, Any]:
        found = _found(connection, webhook)
        again = [_replay(each) for each in replays.of_webhook(connection, found.id)]
        return _shown(tools, found, pending.counts(connection, found.id)) | {"replays": again}

    return await tools.database.read(read)


async def webhooks_add(
    tools: Tools,
    url: str,
    events: list[str],
    stream: str = "transactional",
    format: str = webhooks.JSON,
    domain: str = "",
    paused: bool = False,
    type: str = webhooks.EMAIL_SENDING,
    destination: str = "",
    account: int = ACCOUNT,
) -> dict[str, Any]:
    """The secret is in this answer alone. ``destination``: told what configuration sets send to that bus or stream of AWS."""
    await known_account(tools, account)
    of_audits = type == webhooks.AUDIT_LOG
    if of_audits and (events or domain):
        raise Mistake("a webhook of the audit log is told of all that is done in the account: no --events, no --domain")
    if destination:
        if of_audits or events or domain:
            raise Mistake("what a destination is told, its configuration set says: no --events, --domain or --type")
        format, stream, kinds = _format_of(destination), "", deeds_of_topics.KINDS
    else:
        kinds, stream = ((Kind.AUDIT,), "") if of_audits else (_kinds(events), stream)
    domain_id = await _domain_id(tools, account, domain) if domain else 0
    wish, now = Wish(_url(tools, url), not paused, format, stream, domain_id, kinds), tools.clock()
    try:
        made, secret = await tools.database.write(
            lambda connection: webhooks.create(connection, tools.sealer, account, wish, OPERATOR, now, destination)
        )
    except TooMany:
        raise Mistake(f"an account may have {webhooks.MOST} webhooks") from None
    shown = {"signing_secret": secret, "standard_webhooks_secret": signing.standard_secret(secret)}
    return _shown(tools, made, {}) | shown


async def webhooks_pause(tools: Tools, webhook: int) -> dict[str, Any]:
    return await _activate(tools, webhook, False)


async def webhooks_resume(tools: Tools, webhook: int, skip: bool = False) -> dict[str, Any]:
    """``skip``: what waits is not sent, and the log says so."""
    skipped = await _skip(tools, webhook) if skip else 0
    return await _activate(tools, webhook, True) | {"skipped": skipped}


async def webhooks_reset_secret(tools: Tools, webhook: int) -> dict[str, Any]:
    now = tools.clock()

    def write(connection: Connection) -> tuple[Webhook, str] | None:
        return webhooks.reset_secret(connection, tools.sealer, _found(connection, webhook), OPERATOR, now)

    made = await tools.database.write(write)
    if made is None:
        raise _none(webhook)
    found, secret = made
    shown = {"signing_secret": secret, "standard_webhooks_secret": signing.standard_secret(secret)}
    return _shown(tools, found, {}) | shown


async def webhooks_test(tools: Tools, webhook: int) -> dict[str, Any]:
    found = await tools.database.read(lambda connection: _found(connection, webhook))
    if found.type == webhooks.TOPIC:
        raise Mistake(f"webhook {webhook} is a subscription: publish to its topic instead")
    if found.type == webhooks.DESTINATION:
        text = "send a message with a configuration set that has it to success@simulator.amazonses.com instead"
        raise Mistake(f"webhook {webhook} is an event destination's: {text}")
    outcome = await deeds.test(tools.database, tools.poster, found, tools.clock())
    told = {"status": outcome.status, "error": outcome.error, "response": outcome.response, "ms": outcome.ms}
    return {"success": outcome.status == 200, "url": found.url, "events": outcome.events, **told}


async def webhooks_log(
    tools: Tools, webhook: int, state: str = "", message: str = "", limit: int = 50
) -> list[dict[str, Any]]:
    """Events, newest first, each with the last request that carried it."""
    if state and state not in list(State):
        raise Mistake(f"{state!r} is no state; there are {', '.join(State)}")

    def read(connection: Connection) -> list[dict[str, Any]]:
        found = _found(connection, webhook)
        rows = pending.log(connection, found.id, state=state, message_id=message.lower(), limit=limit)
        return [_event(row) for row in rows]

    return await tools.database.read(read)


async def webhooks_attempts(tools: Tools, webhook: int, limit: int = 50) -> list[dict[str, Any]]:
    """Requests, newest first."""

    def read(connection: Connection) -> list[dict[str, Any]]:
        found = _found(connection, webhook)
        return [
            {
                "id": row.id,
                "at": iso(row.at),
                "kind": row.kind,
                "events": row.events,
                "status": row.status,
                "error": row.error,
                "response": row.response,
                "ms": row.ms,
            }
            for row in pending.attempts(connection, found.id, limit=limit)
        ]

    return await tools.database.read(read)


async def webhooks_replay(
    tools: Tools, webhook: int, since: str = "", until: str = "", parked: bool = False
) -> dict[str, Any]:
    """``parked``: what is parked is tried again now; else what happened from ``since`` on is sent again."""
    now = tools.clock()
    if parked:

        def unpark(connection: Connection) -> int:
            return deeds.unpark(connection, _found(connection, webhook), OPERATOR, now)

        return {"parked": await tools.database.write(unpark)}
    if not since:
        raise Mistake("say since when, such as --since 2026-01-31T12:00, or --parked")
    from_at, until_at = _moment(since), _moment(until) if until else now
    if from_at > until_at:
        raise Mistake(f"{since} is later than {until or 'now'}")

    def write(connection: Connection) -> Replay:
        found = _found(connection, webhook)
        if found.type == webhooks.AUDIT_LOG:
            raise Mistake("a webhook of the audit log has no replay of a time, only of what is parked: --parked")
        return deeds.replay(connection, found, from_at, until_at, OPERATOR, now)

    return _replay(await tools.database.write(write))


async def webhooks_remove(tools: Tools, webhook: int) -> dict[str, Any]:
    now = tools.clock()

    def write(connection: Connection) -> tuple[Webhook, dict[State, int]]:
        found = _found(connection, webhook)
        waiting = pending.counts(connection, found.id)
        subscription = topics.subscription(connection, found.subscription) if found.subscription else None
        if subscription is not None:
            deeds_of_topics.remove(connection, subscription, OPERATOR, now)
        else:
            webhooks.remove(connection, found, OPERATOR, now)
        return found, waiting

    return _shown(tools, *await tools.database.write(write))


VERBS: dict[str, Verb] = {
    "webhooks.list": webhooks_list,
    "webhooks.show": webhooks_show,
    "webhooks.add": webhooks_add,
    "webhooks.pause": webhooks_pause,
    "webhooks.resume": webhooks_resume,
    "webhooks.reset_secret": webhooks_reset_secret,
    "webhooks.test": webhooks_test,
    "webhooks.log": webhooks_log,
    "webhooks.attempts": webhooks_attempts,
    "webhooks.replay": webhooks_replay,
    "webhooks.remove": webhooks_remove,
}


async def _skip(tools: Tools, webhook: int) -> int:
    found, now, skipped = await tools.database.read(lambda connection: _found(connection, webhook)), tools.clock(), 0
    while some := await tools.database.write(lambda connection: deeds.skip(connection, found, OPERATOR, now)):
        skipped += some
    return skipped


async def _activate(tools: Tools, webhook: int, active: bool) -> dict[str, Any]:
    now = tools.clock()

    def write(connection: Connection) -> tuple[Webhook, dict[State, int]]:
        found = _found(connection, webhook)
        url = found.target(tools.sealer)
        wish = Wish(url, active, found.payload_format, found.stream, found.domain_id, found.kinds)
        after = webhooks.change(connection, tools.sealer, found, wish, OPERATOR, now)
        assert after is not None
        return after, pending.counts(connection, found.id)

    return _shown(tools, *await tools.database.write(write))


def _found(connection: Connection, webhook: int) -> Webhook:
    found = webhooks.by_id(connection, webhook)
    if found is None:
        raise _none(webhook)
    return found


def _none(webhook: int) -> Mistake:
    return Mistake(f"there is no webhook {webhook}; mailferry webhooks list shows them")


def _url(tools: Tools, text: str) -> Url:
    try:
        url = parse_url(text.strip())
    except BadUrl as error:
        raise Mistake(f"the URL {error}") from None
    if not tools.poster.may_have(url.port):
        raise Mistake("webhooks are called on ports 443 and 80; [net] allow_private lifts that")
    return url


def _format_of(destination: str) -> str:
    """What is posted for a bus or a stream."""
    if arns.BUS.fullmatch(destination):
        return webhooks.EVENT
    if arns.STREAM.fullmatch(destination):
        return webhooks.JSON_LINES
    raise Mistake(
        f"{destination!r} is neither arn:aws:events:REGION:ACCOUNT:event-bus/NAME "
        "nor arn:aws:firehose:REGION:ACCOUNT:deliverystream/NAME"
    )


def _kinds(words: list[str]) -> tuple[Kind, ...]:
    # Ours must be asked for: a receiver that was written for Mailtrap does not know it.
    wanted = words or [word for word, kind in WEBHOOK_KIND.items() if kind is not Kind.ALERT]
    unknown = next((word for word in wanted if word not in WEBHOOK_KIND), None)
    if unknown is not None:
        raise Mistake(f"{unknown!r} is no type of event; there are {', '.join(WEBHOOK_KIND)}")
    return tuple(dict.fromkeys(WEBHOOK_KIND[word] for word in wanted))


async def _domain_id(tools: Tools, account: int, name: str) -> int:
    wanted = name.strip().rstrip(".").lower()
    found = await tools.database.read(lambda connection: domains.by_name(connection, account, wanted))
    if found is None:
        raise Mistake(f"{wanted} is no sending domain here; mailferry domains list shows them")
    return found.id


def _moment(text: str) -> int:
    try:
        found = datetime.fromisoformat(text.strip())
    except ValueError:
        raise Mistake(f"{text!r} is no time; write 2026-01-31T12:00, in UTC where no zone is named") from None
    found = found if found.tzinfo else found.replace(tzinfo=UTC)
    return (found - _EPOCH) // timedelta(milliseconds=1)


def _shown(tools: Tools, webhook: Webhook, waiting: dict[State, int]) -> dict[str, Any]:
    """A password of the URL is not shown."""
    return {
        "id": webhook.id,
        "url": deeds.url_with(webhook.url, "***" if webhook.userinfo_sealed else ""),
        "active": webhook.active,
        "stream": webhook.stream,
        "domain_id": webhook.domain_id or None,
        "format": webhook.payload_format,
        "events": [WEBHOOK_TYPE.get(kind, str(kind)) for kind in webhook.kinds],
        "type": webhook.type,
        "subscription": webhook.subscription or None,
        "waiting": waiting.get(State.WAITING, 0),
        "parked": waiting.get(State.PARKED, 0),
        "created_at": iso(webhook.created_at),
        "last_success_at": iso(webhook.last_success_at) if webhook.last_success_at else None,
        "failures": webhook.failures,
        "next_attempt_at": iso(webhook.hold_until) if webhook.failures and webhook.hold_until else None,
        "last_error": webhook.last_error,
        "last_error_at": iso(webhook.last_error_at) if webhook.last_error_at else None,
    }


def _event(row: Any) -> dict[str, Any]:
    return {
        "id": row.id,
        "state": row.state,
        # What a subscription is sent may be no event of mail: a question, or what somebody published.
        "event": WEBHOOK_TYPE.get(row.kind, row.kind) or "message",
        "message_id": row.message_id,
        "at": iso(row.at),
        "replayed": bool(row.replayed),
        "failed_alone": row.tries,
        "attempt_id": row.attempt_id,
        "attempted_at": iso(row.attempted_at) if row.attempted_at else None,
        "status": row.status,
        "error": row.error,
        "response": row.response,
    }


def _replay(found: Replay) -> dict[str, Any]:
    return {
        "id": found.id,
        "from": iso(found.from_at),
        "to": iso(found.until_at),
        "queued": found.queued,
        "created_at": iso(found.created_at),
        "done_at": iso(found.done_at) if found.done_at else None,
    }
