"""``mailferry webhooks``: who is told what happens to mail, whether they take it, and what is sent to them again."""

from enum import StrEnum
from typing import Annotated, Any

from cyclopts import Parameter

from mailferry.cli import show
from mailferry.cli.nouns import noun
from mailferry.cli.options import HERE, Account, Flag, Json, Limit, Where
from mailferry.cli.reach import call
from mailferry.cli.show import Column
from mailferry.consumers.mailtrap_words import WEBHOOK_KIND
from mailferry.consumers.webhooks.pending import State
from mailferry.credentials import ACCOUNT
from mailferry.resources import webhooks as resource

webhooks = noun("webhooks")


class Stream(StrEnum):
    TRANSACTIONAL = "transactional"
    BULK = "bulk"


class Type(StrEnum):
    EMAIL_SENDING = resource.EMAIL_SENDING
    AUDIT_LOG = resource.AUDIT_LOG


class Format(StrEnum):
    JSON = resource.JSON
    JSON_LINES = resource.JSON_LINES


Id = Annotated[int, Parameter(help="Its number; list shows it.")]
_STATES = ", ".join(State)


@webhooks.command(name="list")
def list_(*, where: Where = HERE, account: Account = ACCOUNT, json: Json = False) -> None:
    """Show all webhooks, and what waits for each."""
    result = call(where.load(), "webhooks.list", account=account)
    columns = [
        Column("id", "Id"),
        Column("url", "URL", folds=True),
        Column("state", "State"),
        Column("kind", "Told of", folds=True),
        Column("waiting", "Waiting"),
        Column("parked", "Parked"),
        Column("last_error", "", folds=True),
    ]
    rows = [{**each, "state": _state(each), "kind": _kind(each), "last_error": _trouble(each)} for each in result]
    show.as_json(result) if json else show.table(rows, columns, "No webhooks.")


@webhooks.command(name="show")
def show_(webhook: Id, /, *, where: Where = HERE, json: Json = False) -> None:
    """Show one webhook."""
    result = call(where.load(), "webhooks.show", webhook=webhook)
    show.as_json(result) if json else _facts(result)


@webhooks.command
def add(
    url: Annotated[str, Parameter(help="The address that events are posted to; it may hold user and password.")],
    /,
    *,
    where: Where = HERE,
    account: Account = ACCOUNT,
    events: Annotated[
        str,
        Parameter(
            show_default=False, help=f"Types, with commas, instead of all but the last: {', '.join(WEBHOOK_KIND)}."
        ),
    ] = "",
    stream: Annotated[
        Stream,
        Parameter(
            show_choices=False, show_default=False, help="Of this stream's mail: transactional, which it is, or bulk."
        ),
    ] = Stream.TRANSACTIONAL,
    format: Annotated[
        Format, Parameter(show_choices=False, show_default=False, help="json, which it is, or jsonlines.")
    ] = Format.JSON,
    domain: Annotated[
        str, Parameter(show_default=False, help="Of this sending domain's mail; without it of all.")
    ] = "",
    type: Annotated[
        Type,
        Parameter(
            show_choices=False,
            show_default=False,
            help="email_sending, which it is, or audit_log: told of all that is done in the account, and of no mail.",
        ),
    ] = Type.EMAIL_SENDING,
    destination: Annotated[
        str,
        Parameter(
            show_default=False,
            help="The ARN of an event bus or a delivery stream: told what configuration sets of SES send there.",
        ),
    ] = "",
    paused: Annotated[bool, Flag, Parameter(help="Collect events, and send nothing until it is resumed.")] = False,
    json: Json = False,
) -> None:
    """Have a URL told what happens to mail from now on. The secret that signs it is shown this once."""
    result = call(
        where.load(),
        "webhooks.add",
        url=url,
        events=[each.strip() for each in events.split(",") if each.strip()],
        stream=stream,
        format=format,
        domain=domain,
        paused=paused,
        type=type,
        destination=destination,
        account=account,
    )
    show.as_json(result) if json else _facts(result)


@webhooks.command
def pause(webhook: Id, /, *, where: Where = HERE, json: Json = False) -> None:
    """Send nothing until it is resumed; what happens meanwhile waits."""
    result = call(where.load(), "webhooks.pause", webhook=webhook)
    show.as_json(result) if json else show.line(f"Webhook {webhook} is paused; {_waits(result)}.")


@webhooks.command
def resume(
    webhook: Id,
    /,
    *,
    where: Where = HERE,
    skip: Annotated[bool, Flag, Parameter(help="Do not send what waits; the log keeps it as skipped.")] = False,
    json: Json = False,
) -> None:
    """Send again, at once, whatever failed before."""
    result = call(where.load(), "webhooks.resume", webhook=webhook, skip=skip)
    skipped = f"{result['skipped']:,} events are skipped" if skip else _waits(result)
    show.as_json(result) if json else show.line(f"Webhook {webhook} is active; {skipped}.")


@webhooks.command
def test(webhook: Id, /, *, where: Where = HERE, json: Json = False) -> int:
    """Send an invented event of each of its types now, and say what came of it. The exit status is 1 when it was not taken."""
    result = call(where.load(), "webhooks.test", webhook=webhook)
    if json:
        show.as_json(result)
    else:
        said = "taken" if result["success"] else f"not taken: {result['error']}"
        show.line(f"{result['events']} events to {result['url']}, {result['ms']} ms: {said}.")
        if result["response"]:
            show.text(result["response"])
    return 0 if result["success"] else 1


@webhooks.command
def log(
    webhook: Id,
    /,
    *,
    where: Where = HERE,
    state: Annotated[str, Parameter(show_default=False, help=f"Only events in this state: {_STATES}.")] = "",
    message: Annotated[str, Parameter(show_default=False, help="Only events of this message id.")] = "",
    attempts: Annotated[bool, Flag, Parameter(help="Show requests instead of events.")] = False,
    limit: Annotated[Limit, Parameter(help="At most this many.")] = 50,
    json: Json = False,
) -> None:
    """Show what was sent, the newest first, and how it was answered."""
    if attempts:
        result = call(where.load(), "webhooks.attempts", webhook=webhook, limit=limit)
        show.as_json(result) if json else _requests(result)
        return
    result = call(where.load(), "webhooks.log", webhook=webhook, state=state, message=message, limit=limit)
    show.as_json(result) if json else _events(result)


@webhooks.command
def replay(
    webhook: Id,
    /,
    *,
    where: Where = HERE,
    since: Annotated[
        str, Parameter(show_default=False, help="Send again what happened from this time on, such as 2026-01-31T12:00.")
    ] = "",
    until: Annotated[str, Parameter(show_default=False, help="Up to this time; without it up to now.")] = "",
    parked: Annotated[bool, Flag, Parameter(help="Try the parked events again, in their places.")] = False,
    json: Json = False,
) -> None:
    """Send events again: those of a time, whether they were sent or not, or the parked ones."""
    result = call(where.load(), "webhooks.replay", webhook=webhook, since=since, until=until, parked=parked)
    if json:
        show.as_json(result)
    elif parked:
        show.line(f"{result['parked']:,} parked events are tried again now.")
    else:
        show.line(
            f"What happened from {result['from']} to {result['to']} is sent again; show {webhook} tells how far it is."
        )


@webhooks.command(name="reset-secret")
def reset_secret(webhook: Id, /, *, where: Where = HERE, json: Json = False) -> None:
    """Sign with a new secret from now on, and show it this once."""
    result = call(where.load(), "webhooks.reset_secret", webhook=webhook)
    show.as_json(result) if json else _secret(result)


@webhooks.command
def remove(webhook: Id, /, *, where: Where = HERE, json: Json = False) -> None:
    """Tell it nothing any more, and forget its log."""
    result = call(where.load(), "webhooks.remove", webhook=webhook)
    lost = result["waiting"] + result["parked"]
    show.as_json(result) if json else show.line(f"{result['url']} is removed; {lost:,} events were not sent yet.")


def _state(result: dict[str, Any]) -> str:
    if not result["active"]:
        return "paused"
    return "failing" if result["failures"] else "active"


def _trouble(result: dict[str, Any]) -> str:
    return str(result["last_error"]) if result["failures"] else ""


def _kind(result: dict[str, Any]) -> str:
    """A subscription's topic, the bus or stream of a destination; what any other webhook is told of."""
    if result["type"] == resource.DESTINATION:
        return str(result["subscription"])
    return str(result["subscription"] or "").rpartition(":")[0] or str(result["stream"])


def _waits(result: dict[str, Any]) -> str:
    return f"{result['waiting']:,} events wait, {result['parked']:,} are parked"


def _facts(result: dict[str, Any]) -> None:
    pairs = [
        ("Id", result["id"]),
        ("URL", result["url"]),
        ("State", _state(result)),
        ("Told of", _kind(result)),
        ("Domain", result["domain_id"] or "all"),
        ("Format", result["format"]),
        ("Events", result["events"]),
        ("Waiting", _waits(result)),
        ("Last taken", result["last_success_at"]),
        ("Failures in a row", result["failures"] or ""),
        ("Next attempt", result["next_attempt_at"]),
        ("Last error", result["last_error"]),
        ("Last error at", result["last_error_at"]),
    ]
    show.facts(pairs)
    for each in result.get("replays", []):
        done = "done" if each["done_at"] else "under way"
        show.line(f"Replay of {each['from']} to {each['to']}: {each['queued']:,} events, {done}.")
    if "signing_secret" in result:
        _secret(result)


def _secret(result: dict[str, Any]) -> None:
    show.facts(
        [("Signing secret", result["signing_secret"]), ("For Standard Webhooks", result["standard_webhooks_secret"])]
    )
    show.line("Keep it now: it is not shown again.")


def _events(result: list[dict[str, Any]]) -> None:
    columns = [
        Column("at", "Happened (UTC)"),
        Column("event", "Event"),
        Column("message_id", "Message"),
        Column("state", "State"),
        Column("status", "Answer"),
        Column("error", "", folds=True),
    ]
    rows = [{**each, "at": _time(each["at"]), "status": each["status"] or None} for each in result]
    show.table(rows, columns, "Nothing was sent, and nothing waits.")


def _requests(result: list[dict[str, Any]]) -> None:
    columns = [
        Column("at", "Sent (UTC)"),
        Column("kind", "Kind"),
        Column("events", "Events"),
        Column("status", "Answer"),
        Column("ms", "ms"),
        Column("error", "", folds=True),
    ]
    rows = [{**each, "at": _time(each["at"]), "status": each["status"] or None} for each in result]
    show.table(rows, columns, "No requests yet.")


def _time(text: str) -> str:
    return text[:19].replace("T", " ")
