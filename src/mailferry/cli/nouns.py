"""``mailferry NOUN VERB``: dns, queue. Each command is a verb of the control socket and a way to show it."""

from typing import Annotated

from cyclopts import App, Parameter

from mailferry.cli import show
from mailferry.cli.options import HERE, Json, Limit, OfAccount, Where
from mailferry.cli.reach import call
from mailferry.cli.show import Column

dns = App(name="dns", help="Your own DNS zone, where you have set [dns] zone.", help_format="plaintext")
queue = App(name="queue", help="What waits, why, since when and until when.", help_format="plaintext")


def register(app: App) -> None:
    for noun in (dns, queue):
        app.command(noun)


@dns.command
def export(*, where: Where = HERE, json: Json = False) -> None:
    """Print the zone file of [dns] zone: what the CNAME records of all sending domains point at."""
    result = call(where.load(), "dns.export")
    show.as_json(result) if json else print(result["zone"], end="")


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
        *show.account_column(result["oldest"]),
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


def _number(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"
