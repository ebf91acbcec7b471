"""``mailferry environment``: what becomes of mail that must not reach everybody, for an account or a domain of it."""

from typing import Annotated, Any

from cyclopts import Parameter
from cyclopts.validators import Number

from mailferry.cli import show
from mailferry.cli.nouns import noun
from mailferry.cli.options import HERE, ForAccount, Json, Where
from mailferry.cli.reach import call
from mailferry.cli.show import Column
from mailferry.credentials import ACCOUNT
from mailferry.resources.environments import Mode

environment = noun("environment")

Domain = Annotated[str, Parameter(show_default=False, help="For this sending domain alone; its rule wins.")]


@environment.command(name="show")
def show_(*, where: Where = HERE, account: ForAccount = ACCOUNT, json: Json = False) -> None:
    """Show the rule of an account, and those of its domains."""
    _print(call(where.load(), "environment.show", account=account), json)


@environment.command(name="set")
def set_(
    mode: Annotated[Mode, Parameter(show_choices=False, help=f"What becomes of mail: {', '.join(Mode)}.")],
    /,
    *,
    where: Where = HERE,
    account: ForAccount = ACCOUNT,
    domain: Domain = "",
    inbox: Annotated[
        int, Parameter(validator=Number(gte=0), show_default=False, help="The inbox that catches it: its number.")
    ] = 0,
    to: Annotated[str, Parameter(show_default=False, help="The address that all of it goes to.")] = "",
    allow: Annotated[
        str,
        Parameter(show_default=False, help="Written to all the same: addresses and @domains, with commas."),
    ] = "",
    json: Json = False,
) -> None:
    """Have mail delivered, caught or redirected. Whoever sends it is told what they would be told without the rule."""
    given = {"account": account, "mode": str(mode), "domain": domain, "inbox": inbox, "to": to, "allow": allow}
    _print(call(where.load(), "environment.set", **given), json)


@environment.command
def clear(*, where: Where = HERE, account: ForAccount = ACCOUNT, domain: Domain = "", json: Json = False) -> None:
    """Take the account's rule away, or a domain's: then the account's holds."""
    _print(call(where.load(), "environment.clear", account=account, domain=domain), json)


def _print(result: dict[str, Any], json: bool) -> None:
    if json:
        show.as_json(result)
        return
    rules = {"the account": result["account"], **result["domains"]}
    rows = [{"of": name, **_row(rule)} for name, rule in rules.items() if rule]
    columns = [
        Column("of", "Of", folds=True),
        Column("mode", "Mail is"),
        Column("where", "Where", folds=True),
        Column("allow", "But for", folds=True),
    ]
    show.table(rows, columns, "No rules: mail is delivered.")


def _row(rule: dict[str, Any]) -> dict[str, Any]:
    done = {Mode.DELIVER: "delivered", Mode.CAPTURE: "caught", Mode.REDIRECT: "redirected"}
    where = f"inbox {rule['inbox_id']}" if "inbox_id" in rule else rule.get("redirect_to", "")
    return {"mode": done[Mode(rule["mode"])], "where": where, "allow": ", ".join(rule.get("allow", ()))}
