"""``mailferry projects`` and ``inboxes``: where the sandbox catches mail, with which credentials, and what it caught."""

from typing import Annotated, Any

from cyclopts import Parameter

from mailferry.cli import show
from mailferry.cli.nouns import noun
from mailferry.cli.options import HERE, ForAccount, Json, OfAccount, Where
from mailferry.cli.reach import call
from mailferry.cli.show import Column
from mailferry.credentials import ACCOUNT

projects, inboxes = noun("projects"), noun("inboxes")

LinkId = Annotated[int, Parameter(help="The link's number, as inboxes links shows it.")]
InboxId = Annotated[int, Parameter(help="Its id, as inboxes list shows it.")]


@projects.command(name="list")
def list_projects(*, where: Where = HERE, account: OfAccount = 0, json: Json = False) -> None:
    """Show all projects, of every account or of one."""
    result = call(where.load(), "projects.list", account=account)
    if json:
        show.as_json(result)
        return
    columns = [
        *show.account_column(result),
        Column("id", "Id"),
        Column("name", "Name", folds=True),
        Column("held", "Inboxes"),
    ]
    show.table(
        [each | {"held": ", ".join(map(str, each["inboxes"])) or "none"} for each in result], columns, "No projects."
    )


@projects.command(name="add")
def add_project(
    name: Annotated[str, Parameter(help="What is tested in it, e.g. Shop.")],
    /,
    *,
    where: Where = HERE,
    account: ForAccount = ACCOUNT,
    json: Json = False,
) -> None:
    """Make a project, which inboxes are grouped in."""
    made = call(where.load(), "projects.add", name=name, account=account)
    show.as_json(made) if json else show.line(f"Project {made['id']}, {show.tame(made['name'])}, is there.")


@inboxes.command(name="list")
def list_inboxes(*, where: Where = HERE, account: OfAccount = 0, json: Json = False) -> None:
    """Show all inboxes, of every account or of one, without their passwords."""
    result = call(where.load(), "inboxes.list", account=account)
    if json:
        show.as_json(result)
        return
    columns = [
        *show.account_column(result),
        Column("id", "Id"),
        Column("project_id", "Project"),
        Column("name", "Name", folds=True),
        Column("username", "User"),
        Column("held", "Messages"),
        Column("unread", "Unread"),
        Column("last", "Last (UTC)"),
    ]
    show.table([_row(each) for each in result], columns, "No inboxes.")


@inboxes.command(name="add")
def add_inbox(
    name: Annotated[str, Parameter(help="What sends to it, e.g. Staging.")],
    /,
    *,
    project: Annotated[int, Parameter(help="Its id; without one the account's first.", show_default=False)] = 0,
    where: Where = HERE,
    account: ForAccount = ACCOUNT,
    json: Json = False,
) -> None:
    """Make an inbox and show its user and password."""
    made = call(where.load(), "inboxes.add", name=name, project=project, account=account)
    show.as_json(made) if json else _credentials(made)


@inboxes.command(name="show")
def show_inbox(inbox: InboxId, /, *, where: Where = HERE, account: OfAccount = 0, json: Json = False) -> None:
    """Show an inbox with its user and password."""
    found = call(where.load(), "inboxes.show", inbox=inbox, account=account)
    show.as_json(found) if json else _credentials(found)


@inboxes.command
def messages(
    inbox: InboxId,
    /,
    *,
    search: Annotated[
        str, Parameter(help="A part of the subject, or of an address or name in To.", show_default=False)
    ] = "",
    before: Annotated[int, Parameter(help="A message's id: those that are older.", show_default=False)] = 0,
    where: Where = HERE,
    account: OfAccount = 0,
    json: Json = False,
) -> None:
    """Show what an inbox caught, the newest first, thirty at most.

    Example: mailferry inboxes messages 1 --search "your order"
    """
    result = call(where.load(), "inboxes.messages", inbox=inbox, search=search, before=before, account=account)
    if json:
        show.as_json(result)
        return
    columns = [
        Column("id", "Id"),
        Column("caught", "Caught (UTC)"),
        Column("from", "From", folds=True),
        Column("to", "To", folds=True),
        Column("subject", "Subject", folds=True),
        Column("size", "Octets"),
        Column("read", "Read"),
    ]
    rows = [
        each | {"caught": show.moment(each["caught_at"]), "read": "yes" if each["is_read"] else "no"} for each in result
    ]
    show.table(rows, columns, "No messages.")


@inboxes.command
def share(
    inbox: InboxId,
    /,
    *,
    message: Annotated[int, Parameter(help="This message alone, by its id.", show_default=False)] = 0,
    where: Where = HERE,
    json: Json = False,
) -> None:
    """Make a link by which whoever has it reads the inbox in a browser, or one message of it."""
    result = call(where.load(), "inboxes.share", inbox=inbox, message=message)
    if json:
        show.as_json(result)
        return
    show.line(result["url"])
    show.line(f"Whoever has it can read; mailferry inboxes unshare {inbox} {result['id']} ends it.")


@inboxes.command
def links(inbox: InboxId, /, *, where: Where = HERE, json: Json = False) -> None:
    """Show the links by which an inbox is read."""
    result = call(where.load(), "inboxes.links", inbox=inbox)
    columns = [
        Column("id", "Id"),
        Column("opens", "Opens"),
        Column("by", "By", folds=True),
        Column("made", "Made (UTC)"),
        Column("url", "URL", folds=True),
    ]
    rows = [{**each, **_words(each)} for each in result]
    show.as_json(result) if json else show.table(rows, columns, "No share links.")


@inboxes.command
def unshare(inbox: InboxId, link: LinkId, /, *, where: Where = HERE, json: Json = False) -> None:
    """End a link: it opens nothing any more."""
    result = call(where.load(), "inboxes.unshare", inbox=inbox, link=link)
    show.as_json(result) if json else show.line(f"Share link {result['revoked']} is revoked.")


def _row(inbox: dict[str, Any]) -> dict[str, Any]:
    return inbox | {
        "held": f"{inbox['messages']} of {inbox['max_size']}",
        "last": show.moment(inbox["last_message_at"]) or "never",
    }


def _credentials(inbox: dict[str, Any]) -> None:
    show.line(f"Inbox {inbox['id']}, {show.tame(inbox['name'])}, in project {inbox['project_id']}.")
    show.line(f"\n  SMTP user {inbox['username']}, password {inbox['password']}")
    show.line(f"  API       POST /api/send/{inbox['id']}\n")


def _words(link: dict[str, Any]) -> dict[str, Any]:
    return {
        "opens": f"message {link['message_id']}" if link["message_id"] else "the inbox",
        "by": link["created_by"] or "command line",
        "made": show.moment(link["created_at"]),
    }
