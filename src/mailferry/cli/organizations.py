"""``mailferry accounts`` and ``mailferry organizations``: several accounts on one server, alone or under one roof."""

from typing import Annotated, Any

from cyclopts import Parameter
from cyclopts.validators import Number

from mailferry.cli import show
from mailferry.cli.nouns import noun
from mailferry.cli.options import HERE, ForAccount, Json, Where
from mailferry.cli.reach import call
from mailferry.cli.show import Column
from mailferry.credentials import ACCOUNT

accounts = noun("accounts")
organizations = noun("organizations")


@accounts.command(name="list")
def list_accounts(*, where: Where = HERE, json: Json = False) -> None:
    """Show all accounts, with their organizations and owners."""
    result = call(where.load(), "accounts.list")
    if json:
        show.as_json(result)
        return
    columns = [
        Column("id", "Id"),
        Column("name", "Name", folds=True),
        Column("organization_id", "Organization"),
        Column("owners", "Owners", folds=True),
        Column("created", "Created (UTC)"),
    ]
    show.table([{**each, "created": show.moment(each["created_at"])} for each in result], columns, "No accounts.")


@accounts.command(name="create")
def create_account(
    name: Annotated[str, Parameter(help="What it is called.")],
    /,
    *,
    where: Where = HERE,
    organization: Annotated[
        int,
        Parameter(validator=Number(gte=0), show_default=False, help="The organization that it belongs to."),
    ] = 0,
    json: Json = False,
) -> None:
    """Make an account, alone or in an organization. mailferry users invite brings its owner in."""
    made = call(where.load(), "accounts.create", name=name, organization=organization)
    show.as_json(made) if json else show.line(f"Account {made['id']}, {show.tame(made['name'])}, is made.")


@accounts.command(name="quota")
def quota_of_account(
    account: Annotated[int, Parameter(help="Its id, as accounts list shows it.")],
    /,
    *,
    where: Where = HERE,
    per_day: Annotated[
        int | None, Parameter(validator=Number(gte=0), help="Recipients in any 24 hours; 0: no end.")
    ] = None,
    per_second: Annotated[
        float | None, Parameter(validator=Number(gte=0, lte=1_000_000), help="Recipients a second; 0: no end.")
    ] = None,
    json: Json = False,
) -> None:
    """Show how much an account may send and has sent, or limit it. What comes beyond is refused for the moment."""
    told = call(where.load(), "accounts.quota", account=account, per_day=per_day, per_second=per_second)
    if json:
        show.as_json(told)
        return
    day, second = (told[each] or "no end" for each in ("per_day", "per_second"))
    show.line(f"Account {account}: {told['sent']} recipients in the last 24 hours, of {day}; a second: {second}.")


@organizations.command(name="list")
def list_organizations(*, where: Where = HERE, json: Json = False) -> None:
    """Show all organizations, with their accounts."""
    result = call(where.load(), "organizations.list")
    if json:
        show.as_json(result)
        return
    columns = [
        Column("id", "Id"),
        Column("name", "Name", folds=True),
        Column("accounts", "Accounts", folds=True),
        Column("created", "Created (UTC)"),
    ]
    rows = [{**each, "accounts": _accounts(each), "created": show.moment(each["created_at"])} for each in result]
    show.table(rows, columns, "No organizations.")


@organizations.command(name="create")
def create_organization(
    name: Annotated[str, Parameter(help="What it is called.")],
    /,
    *,
    where: Where = HERE,
    account: ForAccount = ACCOUNT,
    json: Json = False,
) -> None:
    """Make an organization around an account, which must stand alone so far."""
    _told(call(where.load(), "organizations.create", name=name, account=account), json)


@organizations.command
def add_account(
    organization: Annotated[int, Parameter(help="Its id, as organizations list shows it.")],
    account: Annotated[int, Parameter(help="An account that stands alone so far.")],
    /,
    *,
    where: Where = HERE,
    json: Json = False,
) -> None:
    """Put an account into an organization: whoever has a level on the organization has it there as well."""
    _told(call(where.load(), "organizations.add-account", organization=organization, account=account), json)


def _told(made: dict[str, Any], json: bool) -> None:
    if json:
        show.as_json(made)
    else:
        show.line(f"Organization {made['id']}, {show.tame(made['name'])}: accounts {', '.join(_accounts(made))}.")


def _accounts(organization: dict[str, Any]) -> list[str]:
    return [f"{each['id']} {show.tame(each['name'])}" for each in organization["accounts"]]
