"""``mailferry NOUN VERB``: dns, messages, queue. Each command is a verb of the control socket and a way to show it."""

from collections.abc import Sequence
from typing import Annotated, Any

from cyclopts import App, Parameter

from mailferry.cli import show
from mailferry.cli.options import HERE, Json, Limit, OfAccount, Where
from mailferry.cli.reach import call
from mailferry.cli.show import Column
from mailferry.journal.events import State

dns = App(name="dns", help="Your own DNS zone, where you have set [dns] zone.", help_format="plaintext")
messages = App(name="messages", help="What was accepted, and the whole story of each message.", help_format="plaintext")
queue = App(name="queue", help="What waits, why, since when and until when.", help_format="plaintext")


def register(app: App) -> None:
    for noun in (dns, messages, queue):
        app.command(noun)


@dns.command
def export(*, where: Where = HERE, json: Json = False) -> None:
    """Print the zone file of [dns] zone: what the CNAME records of all sending domains point at."""
    result = call(where.load(), "dns.export")
    show.as_json(result) if json else print(result["zone"], end="")


@messages.command(name="list")
def list_messages(
    *,
    where: Where = HERE,
    state: Annotated[State | None, Parameter(help="Only this state.")] = None,
    to: Annotated[str, Parameter(show_default=False, help="Part of the recipient's address.")] = "",
    sender: Annotated[str, Parameter(name="--from", show_default=False, help="Part of the sender's address.")] = "",
    limit: Annotated[Limit, Parameter(help="At most this many.")] = 50,
    account: OfAccount = 0,
    json: Json = False,
) -> None:
    """Show the newest messages of all accounts or of one, one line a recipient."""
    result = call(where.load(), "messages.list", state=state or "", to=to, sender=sender, limit=limit, account=account)
    columns = [
        *_account_column(result),
        Column("id", "Id"),
        Column("accepted", "Accepted (UTC)"),
        Column("state", "State"),
        Column("to", "To", folds=True),
        Column("subject", "Subject", folds=True),
        Column("reason", "", folds=True),
    ]
    rows = [{**each, "accepted": show.moment(each["accepted_at"])} for each in result]
    show.as_json(result) if json else show.table(rows, columns, "No messages.")


@messages.command(name="show")
def show_message(
    identity: Annotated[
        str, Parameter(name="ID", help="A message's, or a recipient's, which is the id that its sender was given.")
    ],
    /,
    *,
    where: Where = HERE,
    account: OfAccount = 0,
    json: Json = False,
) -> None:
    """Show one message's whole story, and when it is tried next while it waits."""
    result = call(where.load(), "messages.show", message=identity, account=account)
    show.as_json(result) if json else _story(result)


@queue.default
def list_queue(
    *,
    where: Where = HERE,
    limit: Annotated[Limit, Parameter(help="Rows shown, the oldest first.")] = 50,
    account: OfAccount = 0,
    json: Json = False,
) -> None:
    """Show what waits, of all accounts or of one: why, since when, and until when."""
    result = call(where.load(), "queue.list", limit=limit, account=account)
    if json:
        show.as_json(result)
        return
    columns = [
        *_account_column(result["oldest"]),
        Column("id", "Id"),
        Column("to", "To", folds=True),
        Column("state", "State"),
        Column("why", "Why", folds=True),
        Column("since", "Since (UTC)"),
        Column("next_attempt", "Next attempt"),
        Column("until", "Until"),
    ]
    times = ("since", "next_attempt", "until")
    rows = [{**each, **{name: show.moment(each[name]) for name in times}} for each in result["oldest"]]
    show.table(rows, columns, "Nothing waits.")
    if result["waiting"]:
        show.line("")
    for each in result["waiting"]:
        reason = f": {each['reason']}" if each["reason"] else ""
        show.line(f"{_number(each['recipients'], 'recipient')} {each['state']}{reason}")


def _story(story: dict[str, Any]) -> None:
    names = ("message_id", "account_id", "rfc_message_id", "from", "subject", "stream", "endpoint", "category", "size")
    pairs = [(name.replace("_", " "), story[name]) for name in (*names, "custom_variables")]
    show.facts([*pairs, ("accepted (UTC)", show.moment(story["accepted_at"]))])
    columns = [
        Column("when", "When (UTC)"),
        Column("kind", "Event"),
        Column("host", "Host"),
        Column("heard", "", folds=True),
    ]
    for recipient in story["recipients"]:
        show.heading(f"{recipient['to']} ({recipient['id']})")
        facts = [(name, recipient[name]) for name in ("state", "reason", "attempts")]
        if recipient["waits"]:
            facts += [(name, text) for name, text in _waiting(recipient["waits"])]
        show.facts(facts)
        events = [{**event, "when": show.moment(event["at"]), "heard": _heard(event)} for event in recipient["events"]]
        show.table(events, columns, "")


def _waiting(waits: dict[str, Any]) -> list[tuple[str, Any]]:
    return [
        ("waits because", waits["why"]),
        ("next attempt (UTC)", show.moment(waits["next_attempt"])),
        ("given up at (UTC)", show.moment(waits["until"])),
    ]


def _account_column(rows: Sequence[dict[str, Any]]) -> list[Column]:
    """Where it says something."""
    return [Column("account_id", "Account")] if len({row["account_id"] for row in rows}) > 1 else []


def _heard(event: dict[str, Any]) -> str:
    parts = (event.get("code") or "", event.get("enhanced", ""), event.get("response", ""), event.get("reason", ""))
    return " ".join(str(part) for part in parts if part)


def _number(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"
