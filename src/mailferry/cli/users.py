"""``mailferry users``: people invited to accounts, listed, given another role, removed."""

from typing import Annotated, Any

from cyclopts import Parameter

from mailferry.cli import options, show
from mailferry.cli.nouns import noun
from mailferry.cli.options import HERE, ForAccount, Json, OfAccount, Where
from mailferry.cli.reach import call
from mailferry.cli.show import Column
from mailferry.credentials import ACCOUNT

users = noun("users")

Email = Annotated[str, Parameter(help="Their mail address.")]


@users.command(name="list")
def list_(*, where: Where = HERE, account: OfAccount = 0, json: Json = False) -> None:
    """Show who has access, to every account or to one, and what they may do there."""
    result = call(where.load(), "users.list", account=account)
    if json:
        show.as_json(result)
        return
    columns = [
        *show.account_column(result),
        Column("email", "Address", folds=True),
        Column("name", "Name", folds=True),
        Column("access", "Access", folds=True),
        Column("created", "Since (UTC)"),
    ]
    rows = [{**each, "created": show.moment(each["created_at"])} for each in result]
    show.table(rows, columns, "Nobody; mailferry users invite ADDRESS invites somebody.")


@users.command
def invite(
    email: Email,
    /,
    *,
    where: Where = HERE,
    access: Annotated[
        tuple[str, ...], options.access("What they may do, RESOURCE=LEVEL, once or more; without it account=viewer.")
    ] = ("account=viewer",),
    account: ForAccount = ACCOUNT,
    json: Json = False,
) -> None:
    """Invite somebody by mail, and show the link, this once: it is good for seven days.

    Resources: account, organization, domain:NAME, templates, project:ID, inbox:ID, billing, campaigns.
    Levels: owner (of an account or organization), admin, viewer-plus, viewer.
    Example: mailferry users invite olga@example.com --access account=owner
    """
    made = call(where.load(), "users.invite", email=email, access=access, account=account)
    show.as_json(made) if json else invited(made)


@users.command
def role(
    email: Email,
    role: Annotated[str, Parameter(help="One of owner, admin, viewer-plus, viewer.")],
    /,
    *,
    where: Where = HERE,
    account: ForAccount = ACCOUNT,
    json: Json = False,
) -> None:
    """Give somebody another role in the account. The last owner stays one."""
    changed = call(where.load(), "users.role", email=email, role=role, account=account)
    if json:
        show.as_json(changed)
    else:
        show.line(f"{show.tame(changed['email'])}: {_access(changed)} in account {changed['account_id']}.")


@users.command
def remove(email: Email, /, *, where: Where = HERE, account: ForAccount = ACCOUNT, json: Json = False) -> None:
    """Take the account away from somebody. The last owner stays. API tokens stay as well: revoke those they know."""
    result = call(where.load(), "users.remove", email=email, account=account)
    if json:
        show.as_json(result)
    else:
        show.line(f"{show.tame(result['removed'])} has no access to account {result['account_id']} any more.")


def invited(made: dict[str, Any]) -> None:
    """What becomes of an invitation that was made or sent again."""
    show.line(
        f"Invitation {made['id']} for {show.tame(made['email'])}: {_access(made)} in account {made['account_id']}."
    )
    show.line(f"\n  {made['link']}\n")
    until = f"The link is shown this once, and good until {show.moment(made['expires_at'])} (UTC)."
    if made["email_sent"]:
        show.line(f"{until} It is on its way to them by mail.")
    else:
        show.line(f"{until} No mail was sent: {show.tame(made['email_error'])}. Give them the link yourself.")


def _access(shown: dict[str, Any]) -> str:
    return ", ".join(shown["access"])
