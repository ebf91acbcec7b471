"""``mailferry contacts``: shown, deleted, imported from a file, exported; their lists and fields.

The command reads and writes the file and hands pieces of it to the server, so that neither ever holds the whole of it.
"""

import csv
import sys
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Annotated, Any, TextIO

import msgspec
from cyclopts import Parameter

from mailferry.cli import show
from mailferry.cli.contact_import import Result, take_over
from mailferry.cli.exports import whole
from mailferry.cli.imports import STDIO
from mailferry.cli.nouns import noun
from mailferry.cli.options import HERE, ForAccount, Json, Limit, Where
from mailferry.cli.reach import call, pieces
from mailferry.cli.show import Column
from mailferry.credentials import ACCOUNT
from mailferry.resources.contacts import exports
from mailferry.resources.contacts.contacts import Contact
from mailferry.resources.contacts.values import DataType

contacts = noun("contacts")


def _option(name: str, text: str) -> Parameter:
    return Parameter(name=name, show_default=False, show_choices=False, help=text)


Who = Annotated[str, Parameter(help="The contact's address, in any case, or its id.")]
OfList = Annotated[str, _option("--list", "Only of this list: its name or its number.")]
Subscribed = Annotated[
    bool | None,
    Parameter(
        name="--subscribed",
        negative="--unsubscribed",
        show_default=False,
        help="Only those who are subscribed, or who are not.",
    ),
]


@contacts.command(name="list")
def list_(
    *,
    where: Where = HERE,
    account: ForAccount = ACCOUNT,
    of_list: OfList = "",
    subscribed: Subscribed = None,
    limit: Annotated[Limit, Parameter(help="At most this many.")] = 50,
    json: Json = False,
) -> None:
    """Show the newest contacts."""
    result = call(where.load(), "contacts.list", of_list=of_list, subscribed=subscribed, limit=limit, account=account)
    if json:
        show.as_json(result)
        return
    columns = [
        Column("email", "Address", folds=True),
        Column("status", "Status"),
        Column("lists", "Lists"),
        Column("created", "Since (UTC)"),
        Column("values", "", folds=True),
    ]
    rows = [
        {
            **each,
            "lists": ", ".join(map(str, each["list_ids"])),
            "created": show.moment(each["created"]),
            "values": ", ".join(f"{tag}={value}" for tag, value in each["fields"].items()),
        }
        for each in result
    ]
    show.table(rows, columns, "No contacts.")


@contacts.command(name="show")
def show_(contact: Who, /, *, where: Where = HERE, account: ForAccount = ACCOUNT, json: Json = False) -> None:
    """Show all that is known of a contact."""
    found = call(where.load(), "contacts.show", contact=contact, account=account)
    if json:
        show.as_json(found)
        return
    pairs = [("Address", found["email"]), ("Id", found["id"]), ("Status", found["status"])]
    pairs += [("Lists", ", ".join(found["lists"]) or "none")]
    pairs += [("Since (UTC)", show.moment(found["created"])), ("Changed (UTC)", show.moment(found["updated"]))]
    show.facts([*pairs, *found["fields"].items()])


@contacts.command
def delete(contact: Who, /, *, where: Where = HERE, account: ForAccount = ACCOUNT, json: Json = False) -> None:
    """Delete a contact with its values and events. What suppresses its address stays."""
    gone = call(where.load(), "contacts.delete", contact=contact, account=account)
    show.as_json(gone) if json else show.line(f"{gone['email']} is deleted.")


@contacts.command(name="import")
def import_(
    file: Annotated[
        str,
        Parameter(allow_leading_hyphen=True, help="CSV with a head, or JSON Lines, also gzipped; - is standard input."),
    ],
    /,
    *,
    where: Where = HERE,
    account: ForAccount = ACCOUNT,
    into: Annotated[
        tuple[str, ...],
        _option("--list", "Put all of them into this list as well: its name or number; may be repeated."),
    ] = (),
    report: Annotated[
        Path | None, Parameter(help="CSV file for refused lines, instead of one beside the list.")
    ] = None,
    json: Json = False,
) -> int:
    """Import contacts: new ones are made, those that are there are changed. Twice does no harm.

    Columns: email; list_ids (separated by ;) and status; merge tags of fields. An empty cell changes nothing, and status
    can only unsubscribe. The exit status is 1 when no line of it could be used.
    """
    result = take_over(where.load(), account, file, into, report)
    show.as_json(result.told()) if json else _summary(result)
    return 1 if result.lines and result.refused == result.lines else 0


@contacts.command
def export(
    file: Annotated[str, Parameter(allow_leading_hyphen=True, help="The file to write; - is standard output.")],
    /,
    *,
    where: Where = HERE,
    account: ForAccount = ACCOUNT,
    of_list: OfList = "",
    subscribed: Subscribed = None,
    json: Annotated[
        bool, Parameter(name="--json", negative=(), show_default=False, help="JSON Lines, no CSV.")
    ] = False,
) -> None:
    """Write contacts to a file, as CSV in the columns of Mailtrap's API; `import` reads it back."""
    found = pieces(where.load(), "contacts.export", of_list=of_list, subscribed=subscribed, account=account)
    first = next(found)  # what is wrong with the options is told before a file is made
    write = _write_json_lines if json else _write_csv
    if file == STDIO:
        write(sys.stdout, chain([first], found))
        return
    with whole(file) as target:
        count = write(target, chain([first], found))
    show.line(f"{_number(count, 'contact')} written to {file}.")


@contacts.command(name="lists")
def lists_(*, where: Where = HERE, account: ForAccount = ACCOUNT, json: Json = False) -> None:
    """Show the lists."""
    result = call(where.load(), "contacts.lists", account=account)
    show.as_json(result) if json else show.table(result, [Column("id", "Id"), Column("name", "Name")], "No lists.")


@contacts.command
def add_list(
    name: Annotated[str, Parameter(help="Its name.")],
    /,
    *,
    where: Where = HERE,
    account: ForAccount = ACCOUNT,
    json: Json = False,
) -> None:
    """Make a list."""
    made = call(where.load(), "contacts.add_list", name=name, account=account)
    show.as_json(made) if json else show.line(f"List {made['id']} is {made['name']}.")


@contacts.command(name="fields")
def fields_(*, where: Where = HERE, account: ForAccount = ACCOUNT, json: Json = False) -> None:
    """Show the fields."""
    result = call(where.load(), "contacts.fields", account=account)
    columns = [
        Column("id", "Id"),
        Column("merge_tag", "Merge tag"),
        Column("data_type", "Type"),
        Column("name", "Name"),
    ]
    show.as_json(result) if json else show.table(result, columns, "No fields.")


@contacts.command
def add_field(
    tag: Annotated[str, Parameter(help="Its merge tag, which columns and templates name it by.")],
    /,
    *,
    where: Where = HERE,
    account: ForAccount = ACCOUNT,
    name: Annotated[str, _option("--name", "Its name; the tag without it.")] = "",
    type: Annotated[
        DataType, _option("--type", f"What it holds: {', '.join(DataType)}; text without it.")
    ] = DataType.TEXT,
    json: Json = False,
) -> None:
    """Make a field. Its type cannot be changed."""
    made = call(where.load(), "contacts.add_field", tag=tag, name=name, type=type, account=account)
    show.as_json(made) if json else show.line(f"Field {made['id']} is {made['merge_tag']} ({made['data_type']}).")


def _write_csv(file: TextIO, found: Iterator[dict[str, Any]]) -> int:
    """The columns are those of the fields that there are at the first piece."""
    writer = csv.writer(file, lineterminator="\n")
    tags: list[str] | None = None
    count = 0
    for piece in found:
        if tags is None:
            tags = piece["tags"]
            writer.writerow(exports.header(tags))
        writer.writerows(exports.row(Contact(**each), tags) for each in piece["rows"])
        count += len(piece["rows"])
    return count


def _write_json_lines(file: TextIO, found: Iterator[dict[str, Any]]) -> int:
    count = 0
    for piece in found:
        for each in piece["rows"]:
            status = exports.SUBSCRIBED if each.pop("subscribed") else exports.UNSUBSCRIBED
            file.write(msgspec.json.encode(each | {"status": status}).decode() + "\n")
        count += len(piece["rows"])
    return count


def _summary(result: Result) -> None:
    show.line(
        f"{_number(result.lines, 'line')}: {result.created:,} created, {result.updated:,} changed, "
        f"{result.refused:,} refused{f': see {result.report}' if result.report else ''}."
    )


def _number(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"
