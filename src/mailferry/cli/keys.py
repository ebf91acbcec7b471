"""``mailferry keys``: key pairs of Amazon's dialect made, taken over, listed and ended. They open its API and its SMTP."""

import getpass
import sys
from typing import Annotated, Any

from cyclopts import Parameter

from mailferry.cli import show
from mailferry.cli.nouns import noun
from mailferry.cli.options import EVERYTHING, HERE, Access, ForAccount, Json, OfAccount, Where
from mailferry.cli.reach import call
from mailferry.cli.show import Column
from mailferry.credentials import ACCOUNT

keys = noun("keys")

KeyId = Annotated[str, Parameter(help="Its id, as keys list shows it.")]
#: More than any secret has; what is piped in by mistake is not read to its end.
SECRET_CHARACTERS = 1_000


@keys.command
def create(
    name: Annotated[str, Parameter(help="What it is for, e.g. shop, of letters, digits and any of +=,.@_-.")],
    /,
    *,
    where: Where = HERE,
    access: Access = EVERYTHING,
    take_over: Annotated[
        str,
        Parameter(
            name="--import",
            show_default=False,
            help="Id of a key pair that you have at Amazon: it goes on working here. Its secret is asked for, or read from "
            "standard input.",
        ),
    ] = "",
    account: ForAccount = ACCOUNT,
    json: Json = False,
) -> None:
    """Make a key pair and show it. The secret is kept encrypted, and shown this once.

    Resources and levels are those of tokens create. To send as a domain takes admin on it.
    Example: mailferry keys create shop --access domain:shop.example=admin
    """
    config = where.load()
    secret = _secret(take_over) if take_over else ""
    made = call(config, "keys.create", name=name, access=access, account=account, key_id=take_over, secret=secret)
    if json:
        show.as_json(made)
    elif take_over:
        _taken_over(made)
    else:
        _made(made)


@keys.command(name="list")
def list_(*, where: Where = HERE, account: OfAccount = 0, json: Json = False) -> None:
    """Show all key pairs, of every account or of one, without their secrets."""
    result = call(where.load(), "keys.list", account=account)
    if json:
        show.as_json(result)
        return
    columns = [
        *show.account_column(result),
        Column("access_key_id", "Access key"),
        Column("name", "Name", folds=True),
        Column("access", "Access", folds=True),
        Column("state", "State"),
        Column("created", "Created (UTC)"),
        Column("used", "Last used (UTC)"),
    ]
    show.table([_row(each) for each in result], columns, "No key pairs.")


@keys.command
def disable(key: KeyId, /, *, where: Where = HERE, account: OfAccount = 0, json: Json = False) -> None:
    """Refuse a key pair until it is enabled again.

    Other nodes on the same database take two seconds. SMTP connections that are logged in with it end at the next message.
    """
    result = call(where.load(), "keys.disable", key=key, account=account)
    show.as_json(result) if json else show.line(f"Key {result['access_key_id']} is disabled.")


@keys.command
def enable(key: KeyId, /, *, where: Where = HERE, account: OfAccount = 0, json: Json = False) -> None:
    """Let a key pair in again."""
    result = call(where.load(), "keys.enable", key=key, account=account)
    show.as_json(result) if json else show.line(f"Key {result['access_key_id']} is enabled.")


@keys.command
def revoke(key: KeyId, /, *, where: Where = HERE, account: OfAccount = 0, json: Json = False) -> None:
    """End a key pair for good, as disable does for a while; its secret is deleted."""
    result = call(where.load(), "keys.revoke", key=key, account=account)
    show.as_json(result) if json else show.line(f"Key {result['revoked']}, {show.tame(result['name'])}, is revoked.")


@keys.command
def smtp_password(
    key: KeyId,
    /,
    *,
    region: Annotated[str, Parameter(help="The region that messages are to name, e.g. us-east-1.")],
    where: Where = HERE,
    account: OfAccount = 0,
    json: Json = False,
) -> None:
    """Show user and password of SMTP for a region, derived from the secret as Amazon does it.

    The password of any region is taken; its region stands in message ids and events.
    """
    result = call(where.load(), "keys.smtp_password", key=key, region=region, account=account)
    if json:
        show.as_json(result)
        return
    show.line(f"User      {result['smtp_username']}\nPassword  {result['smtp_password']}")


def _secret(key_id: str) -> str:
    """Never an argument: those are seen by everybody on the machine, and kept by shells."""
    if sys.stdin.isatty():
        return getpass.getpass(f"Secret access key of {key_id}: ").strip()
    return sys.stdin.readline(SECRET_CHARACTERS).strip()


def _taken_over(made: dict[str, Any]) -> None:
    """Its secret is nothing new to who typed it in, and need not stand in a terminal's history."""
    show.line(_granted(made))
    show.line(
        f"\n{made['access_key_id']} goes on working here, and SMTP passwords that were made of its secret with it."
    )


def _granted(made: dict[str, Any]) -> str:
    return f"Key {show.tame(made['name'])}: {', '.join(made['access'])} in account {made['account_id']}."


def _made(made: dict[str, Any]) -> None:
    show.line(_granted(made))
    show.line(f"\n  Access key id      {made['access_key_id']}")
    show.line(f"  Secret access key  {made['secret_access_key']}\n")
    show.line("Keep it: it is shown this once. The password of SMTP: mailferry keys smtp-password ID --region REGION")


def _row(key: dict[str, Any]) -> dict[str, Any]:
    return {
        **key,
        "state": "disabled" if key["disabled"] else "enabled",
        "created": show.moment(key["created_at"]),
        "used": show.moment(key["last_used_at"]) or "never",
    }
