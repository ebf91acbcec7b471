"""``mailferry tokens``: API tokens made, listed, reset and revoked. They open the API and SMTP alike."""

from typing import Annotated, Any

from cyclopts import Parameter

from mailferry.cli import show
from mailferry.cli.nouns import noun
from mailferry.cli.options import EVERYTHING, HERE, Access, ForAccount, Json, OfAccount, Where
from mailferry.cli.reach import call
from mailferry.cli.show import Column
from mailferry.credentials import ACCOUNT

tokens = noun("tokens")


@tokens.command
def create(
    name: Annotated[str, Parameter(help="What it is for, e.g. Shop.")],
    /,
    *,
    where: Where = HERE,
    access: Access = EVERYTHING,
    account: ForAccount = ACCOUNT,
    json: Json = False,
) -> None:
    """Make a token and show it, this once: only its hash is kept.

    Resources: account, domain:NAME, templates, project:ID, inbox:ID, billing, campaigns; organization for the whole of it.
    Levels: admin, viewer-plus, viewer. To send as a domain takes admin on it.
    Example: mailferry tokens create Shop --access domain:shop.example=admin
    """
    made = call(where.load(), "tokens.create", name=name, access=access, account=account)
    show.as_json(made) if json else _made(made)


@tokens.command
def reset(
    token: Annotated[int, Parameter(help="Its id, as tokens list shows it.")],
    /,
    *,
    where: Where = HERE,
    account: OfAccount = 0,
    json: Json = False,
) -> None:
    """Make a new token with the same access, and show it, this once; the old one ends in twelve hours.

    Each domain has a token of its own, which may do everything with it and nothing else: this is how its secret is had.
    """
    made = call(where.load(), "tokens.reset", token=token, account=account)
    show.as_json(made) if json else _made(made)


@tokens.command(name="list")
def list_(*, where: Where = HERE, account: OfAccount = 0, json: Json = False) -> None:
    """Show all tokens, of every account or of one, without their secrets."""
    result = call(where.load(), "tokens.list", account=account)
    if json:
        show.as_json(result)
        return
    columns = [
        *show.account_column(result),
        Column("id", "Id"),
        Column("name", "Name", folds=True),
        Column("digits", "Secret"),
        Column("access", "Access", folds=True),
        Column("created", "Created (UTC)"),
        Column("used", "Last used (UTC)"),
        Column("ends", "Ends (UTC)"),
    ]
    show.table([_row(each) for each in result], columns, "No tokens.")


@tokens.command
def revoke(
    token: Annotated[int, Parameter(help="Its id, as tokens list shows it.")],
    /,
    *,
    where: Where = HERE,
    account: OfAccount = 0,
    json: Json = False,
) -> None:
    """End a token for good: no request and no login gets in with it any more.

    Other nodes on the same database take two seconds. SMTP connections that are logged in with it go on until they end.
    """
    result = call(where.load(), "tokens.revoke", token=token, account=account)
    show.as_json(result) if json else show.line(f"Token {result['revoked']}, {show.tame(result['name'])}, is revoked.")


def _made(made: dict[str, Any]) -> None:
    name, access = show.tame(made["name"]), ", ".join(made["access"])
    show.line(f"Token {made['id']}, {name}: {access} in account {made['account_id']}.")
    show.line(f"\n  {made['token']}\n")
    show.line("Keep it: it is shown this once. By SMTP it is the password of the users api and bulk.")


def _row(token: dict[str, Any]) -> dict[str, Any]:
    return {
        **token,
        "digits": f"...{token['last_4_digits']}",
        "created": show.moment(token["created_at"]),
        "used": show.moment(token["last_used_at"]) or "never",
        "ends": show.moment(token["expires_at"]) or "never",
    }
