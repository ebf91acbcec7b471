"""``mailferry suppressions``: shown, added, lifted, imported from a file of any provider, exported.

The command reads and writes the file and hands pieces of it to the server, so that neither ever holds the whole of it.
"""

import sys
from enum import StrEnum
from itertools import chain
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from mailferry.cli import show
from mailferry.cli.exports import whole
from mailferry.cli.imports import STDIO
from mailferry.cli.nouns import noun
from mailferry.cli.options import HERE, ForAccount, Json, Limit, Where
from mailferry.cli.reach import call, pieces
from mailferry.cli.show import Column
from mailferry.cli.suppression_import import Fixed, Result, take_over
from mailferry.credentials import ACCOUNT
from mailferry.resources import suppressions as resource
from mailferry.resources.suppressions import files

suppressions = noun("suppressions")


class Stream(StrEnum):
    TRANSACTIONAL = "transactional"
    BULK = "bulk"
    ANY = resource.ANY


class Type(StrEnum):
    HARD_BOUNCE = resource.HARD_BOUNCE
    UNSUBSCRIPTION = resource.UNSUBSCRIPTION
    SPAM_COMPLAINT = resource.SPAM_COMPLAINT
    MANUAL_IMPORT = resource.MANUAL_IMPORT


_STREAMS = "transactional, bulk or any"
_TYPES = "hard-bounce, unsubscription, spam-complaint or manual-import"


def _option(name: str, text: str) -> Parameter:
    return Parameter(name=name, show_default=False, show_choices=False, help=text)


Email = Annotated[str, Parameter(help="The address, in any case.")]
OfDomain = Annotated[str, _option("--domain", "Only of this sending domain.")]
OfStream = Annotated[Stream | None, _option("--stream", f"Only of this stream: {_STREAMS}.")]
OfType = Annotated[Type | None, _option("--type", f"Only of this type: {_TYPES}.")]
ForDomain = Annotated[str, _option("--domain", "For this sending domain; without it for all.")]


@suppressions.command(name="list", usage="Usage: mailferry suppressions list [OPTIONS] [EMAIL]")
def list_(
    email: Annotated[str, Parameter(show_default=False, help="Only this address.")] = "",
    /,
    *,
    where: Where = HERE,
    account: ForAccount = ACCOUNT,
    domain: OfDomain = "",
    stream: OfStream = None,
    type: OfType = None,
    limit: Annotated[Limit, Parameter(help="At most this many.")] = 50,
    json: Json = False,
) -> None:
    """Show the newest suppressions."""
    chosen = _chosen(email, domain, stream, type)
    result = call(where.load(), "suppressions.list", **chosen, limit=limit, account=account)
    show.as_json(result) if json else _table(result)


@suppressions.command
def add(
    email: Email,
    /,
    *,
    where: Where = HERE,
    account: ForAccount = ACCOUNT,
    domain: ForDomain = "",
    stream: Annotated[
        Stream, _option("--stream", f"For this stream: {_STREAMS}, which it is without it.")
    ] = Stream.ANY,
    type: Annotated[Type, _option("--type", f"Why: {_TYPES}, which it is without it.")] = Type.MANUAL_IMPORT,
    json: Json = False,
) -> None:
    """Suppress an address: mail to it is accepted and rejected at once."""
    result = call(
        where.load(), "suppressions.add", email=email, domain=domain, stream=stream, type=type, account=account
    )
    if json:
        show.as_json(result)
    else:
        state = "is suppressed" if result["added"] else f"was suppressed already ({result['type']})"
        show.line(f"{result['email']} {state}, {_scope(result)}.")


@suppressions.command
def remove(
    email: Email,
    /,
    *,
    where: Where = HERE,
    account: ForAccount = ACCOUNT,
    domain: OfDomain = "",
    stream: OfStream = None,
    json: Json = False,
) -> None:
    """Lift all that stands for an address: it may be written to again."""
    result = call(where.load(), "suppressions.remove", email=email, domain=domain, stream=stream or "", account=account)
    if json:
        show.as_json(result)
        return
    for each in result:
        show.line(f"{each['email']} may be written to again, {_scope(each)} (it was: {each['type']}).")


@suppressions.command(name="import")
def import_(
    file: Annotated[
        str,
        Parameter(
            allow_leading_hyphen=True, help="CSV, JSON, JSON Lines or plain list, also gzipped; - is standard input."
        ),
    ],
    /,
    *,
    where: Where = HERE,
    account: ForAccount = ACCOUNT,
    domain: ForDomain = "",
    stream: Annotated[Stream | None, _option("--stream", f"For this stream, whatever a line says: {_STREAMS}.")] = None,
    type: Annotated[Type | None, _option("--type", f"Why, whatever a line says: {_TYPES}.")] = None,
    report: Annotated[
        Path | None, Parameter(help="CSV file for refused lines, instead of one beside the list.")
    ] = None,
    json: Json = False,
) -> int:
    """Import a list as Mailtrap, Amazon SES, SendGrid, Mailgun or Postmark export it. Twice does no harm.

    The exit status is 1 when no line of it could be used.
    """
    fixed = Fixed(domain.strip().rstrip(".").lower(), stream or "", type or "")
    result = take_over(where.load(), account, file, fixed, report)
    show.as_json(result.told()) if json else _summary(result)
    return 1 if result.lines and result.refused == result.lines else 0


@suppressions.command
def export(
    file: Annotated[str, Parameter(allow_leading_hyphen=True, help="The file to write; - is standard output.")],
    /,
    *,
    where: Where = HERE,
    account: ForAccount = ACCOUNT,
    domain: OfDomain = "",
    stream: OfStream = None,
    type: OfType = None,
    json: Annotated[
        bool, Parameter(name="--json", negative=(), show_default=False, help="JSON Lines, no CSV.")
    ] = False,
) -> None:
    """Write all suppressions to a file, as CSV in Mailtrap's names; `import` reads it back."""
    config = where.load()
    found = pieces(config, "suppressions.export", **_chosen("", domain, stream, type), account=account)
    pages = (piece["rows"] for piece in found)
    write = files.write_json_lines if json else files.write_csv
    if file == STDIO:
        write(sys.stdout, pages)
        return
    first = next(pages)  # what is wrong with the options is told before a file is made
    with whole(file) as target:
        count = write(target, chain([first], pages))
    show.line(f"{_number(count, 'suppression')} written to {file}.")


def _chosen(email: str, domain: str, stream: Stream | None, type: Type | None) -> dict[str, str]:
    return {"email": email, "domain": domain, "stream": stream or "", "type": type or ""}


def _table(result: list[dict[str, Any]]) -> None:
    columns = [
        Column("email", "Address", folds=True),
        Column("type", "Type"),
        Column("domain", "Domain"),
        Column("stream", "Stream"),
        Column("since", "Since (UTC)"),
        Column("response", "", folds=True),
    ]
    rows = [{**each, "domain": each["domain"] or "all", "since": show.moment(each["since"])} for each in result]
    show.table(rows, columns, "No suppressions.")


def _scope(found: dict[str, Any]) -> str:
    return f"{found['domain'] or 'all domains'}, {found['stream']} stream"


def _summary(result: Result) -> None:
    already = result.lines - result.added - result.refused
    show.line(
        f"{_number(result.lines, 'line')}: {result.added:,} added, {already:,} there already, {result.refused:,} refused"
        f"{f': see {result.report}' if result.report else ''}."
    )


def _number(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"
