"""``mailferry stats``: what became of mail, in numbers."""

from typing import Annotated, Literal

from cyclopts import Parameter

from mailferry.cli import show
from mailferry.cli.nouns import noun
from mailferry.cli.options import HERE, ForAccount, Json, Where
from mailferry.cli.reach import call
from mailferry.cli.show import Column

stats = noun("stats")

Dimension = Literal["day", "domain", "category", "provider", "stream", "template"]


@stats.command(name="show")
def show_stats(
    *,
    where: Where = HERE,
    by: Annotated[Dimension, Parameter(help="What a line stands for.")] = "day",
    since: Annotated[
        str,
        Parameter(
            name="--from", show_default=False, help="First day (UTC), such as 2026-01-31; without it 30 days are shown."
        ),
    ] = "",
    until: Annotated[str, Parameter(name="--to", show_default=False, help="Last day; without it today.")] = "",
    account: ForAccount = 0,
    json: Json = False,
) -> None:
    """Show what became of messages, counted on the day of their acceptance."""
    found = call(where.load(), "stats.show", by=by, since=since, until=until, account=account)
    if json:
        show.as_json(found)
        return
    columns = [
        Column(by, by.title(), folds=True),
        Column("sent", "Sent"),
        *(Column(name, name.title()) for name in ("delivered", "bounced", "opened", "clicked", "spam", "rejected")),
    ]
    lines = [*found["lines"], {by: "in all", **found["total"]}] if found["lines"] else []
    rows = [{**line, **{name: _share(line, name) for name in _RATES}} for line in lines]
    show.table(rows, columns, f"Nothing was sent from {found['from']} to {found['to']}.")


@stats.command
def rebuild(*, where: Where = HERE, json: Json = False) -> None:
    """Count anew what the log still knows whole; older numbers stay as they are."""
    result = call(where.load(), "stats.rebuild")
    show.as_json(result) if json else show.line(f"Counted {result['hours']} hours anew.")


_RATES = {
    "delivered": "delivery_rate",
    "bounced": "bounce_rate",
    "opened": "open_rate",
    "clicked": "click_rate",
    "spam": "spam_rate",
}


def _share(line: dict[str, float], name: str) -> str:
    """12 (80.0 %): of those sent, or where they must have arrived first, of those delivered."""
    return f"{line[name]} ({line[_RATES[name]]:.1%})" if line[name] else "0"
