"""``mailferry queue``: what waits."""

from typing import Annotated

from cyclopts import Parameter

from mailferry.cli import show
from mailferry.cli.nouns import noun
from mailferry.cli.options import HERE, Json, Limit, OfAccount, Where
from mailferry.cli.reach import call
from mailferry.cli.show import Column

queue = noun("queue")


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
