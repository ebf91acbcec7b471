"""``mailferry audit``: who changed what, over the API or the command line, when, and what it was before."""

from typing import Annotated, Any

import msgspec
from cyclopts import Parameter
from cyclopts.validators import Number

from mailferry.cli import show
from mailferry.cli.nouns import noun
from mailferry.cli.options import HERE, Json, Limit, OfAccount, Where
from mailferry.cli.reach import call
from mailferry.cli.show import Column

audit = noun("audit")

#: Characters of a value in the table; --json has all of them.
LONGEST = 60


@audit.command(name="list")
def list_(
    *,
    where: Where = HERE,
    limit: Annotated[Limit, Parameter(help="At most this many.")] = 50,
    before: Annotated[
        int,
        Parameter(validator=Number(gte=0), show_default=False, help="Only those older than the one with this id."),
    ] = 0,
    account: OfAccount = 0,
    json: Json = False,
) -> None:
    """Show the newest changes that somebody made over the API or the command line, in all accounts or in one."""
    result = call(where.load(), "audit.list", account=account, before=before, limit=limit)
    if json:
        show.as_json(result)
        return
    columns = [
        Column("id", "Id"),
        *show.account_column(result),
        Column("when", "When (UTC)"),
        Column("who", "Who", folds=True),
        Column("event", "What"),
        Column("resource", "Of", folds=True),
        Column("changes", "Changes", folds=True),
    ]
    show.table([_row(each) for each in result], columns, "Nothing was changed.")


def _row(change: dict[str, Any]) -> dict[str, Any]:
    actor, resource = change["actor"], change["resource"]
    told = [f"{name}: {_value(values['from'])} -> {_value(values['to'])}" for name, values in change["changes"].items()]
    return {
        **change,
        "when": show.moment(change["at"]),
        "who": f"{actor['name']} ({actor['type']} {actor['id']})" if actor["id"] else actor["name"],
        "resource": " ".join(each for each in (resource["id"], resource["name"]) if each),
        "changes": "; ".join(told),
    }


def _value(value: Any) -> str:
    text = value if isinstance(value, str) and value else msgspec.json.encode(value).decode()
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}..."
