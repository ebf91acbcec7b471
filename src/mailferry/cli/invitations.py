"""``mailferry invitations``: who has not accepted yet. ``mailferry users invite`` makes them."""

from typing import Annotated

from cyclopts import Parameter

from mailferry.cli import show
from mailferry.cli.nouns import noun
from mailferry.cli.options import HERE, Json, OfAccount, Where
from mailferry.cli.reach import call
from mailferry.cli.show import Column
from mailferry.cli.users import invited

invitations = noun("invitations")

Id = Annotated[int, Parameter(help="Its id, as invitations list shows it.")]


@invitations.command(name="list")
def list_(*, where: Where = HERE, account: OfAccount = 0, json: Json = False) -> None:
    """Show who is invited, to every account or to one, and until when. Links are not kept."""
    result = call(where.load(), "invitations.list", account=account)
    if json:
        show.as_json(result)
        return
    columns = [
        *show.account_column(result),
        Column("id", "Id"),
        Column("email", "Address", folds=True),
        Column("access", "Access", folds=True),
        Column("by", "By", folds=True),
        Column("ends", "Ends (UTC)"),
    ]
    rows = [
        {
            **each,
            "by": each["created_by"] or "command line",
            "ends": f"{show.moment(each['expires_at'])}{' (ended)' if each['expired'] else ''}",
        }
        for each in result
    ]
    show.table(rows, columns, "Nobody is invited; mailferry users invite ADDRESS invites somebody.")


@invitations.command
def resend(invitation: Id, /, *, where: Where = HERE, account: OfAccount = 0, json: Json = False) -> None:
    """Send an invitation again, for another seven days, and show its new link, this once. The old link ends."""
    made = call(where.load(), "invitations.resend", invitation=invitation, account=account)
    show.as_json(made) if json else invited(made)


@invitations.command
def revoke(invitation: Id, /, *, where: Where = HERE, account: OfAccount = 0, json: Json = False) -> None:
    """End an invitation: its link opens nothing any more."""
    result = call(where.load(), "invitations.revoke", invitation=invitation, account=account)
    if json:
        show.as_json(result)
    else:
        show.line(f"Invitation {result['revoked']}, for {show.tame(result['email'])}, is revoked.")
