"""``mailferry messages``: listed, told, exported as a file of any length, and the bytes of each."""

import base64
import contextlib
import sys
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from mailferry.cli import show
from mailferry.cli.nouns import noun
from mailferry.cli.options import HERE, Json, Limit, OfAccount, Where
from mailferry.cli.reach import Failure, call, pieces
from mailferry.cli.show import Column
from mailferry.endpoints.operations.messages import COLUMNS
from mailferry.journal import files
from mailferry.journal.events import State
from mailferry.journal.files import Form

messages = noun("messages")

Identity = Annotated[
    str, Parameter(name="ID", help="A message's, or a recipient's, which is the id that its sender was given.")
]
OfState = Annotated[State | None, Parameter(help="Only this state.")]
OfRecipient = Annotated[str, Parameter(name="--to", show_default=False, help="Part of the recipient's address.")]
OfSender = Annotated[str, Parameter(name="--from", show_default=False, help="Part of the sender's address.")]
Output = Annotated[Path | None, Parameter(name="--output", help="The file to write, instead of standard output.")]


@messages.command(name="list")
def list_messages(
    *,
    where: Where = HERE,
    state: OfState = None,
    to: OfRecipient = "",
    sender: OfSender = "",
    limit: Annotated[Limit, Parameter(help="At most this many.")] = 50,
    account: OfAccount = 0,
    json: Json = False,
) -> None:
    """Show the newest messages of all accounts or of one, one line a recipient."""
    result = call(where.load(), "messages.list", state=state or "", to=to, sender=sender, limit=limit, account=account)
    columns = [
        *show.account_column(result),
        Column("id", "Id"),
        Column("accepted", "Accepted (UTC)"),
        Column("state", "State"),
        Column("to", "To", folds=True),
        Column("subject", "Subject", folds=True),
        Column("reason", "", folds=True),
    ]
    rows = [{**each, "accepted": show.moment(each["accepted_at"])} for each in result]
    show.as_json(result) if json else show.table(rows, columns, "No messages.")


@messages.command(name="show")
def show_message(
    identity: Identity,
    /,
    *,
    where: Where = HERE,
    account: OfAccount = 0,
    json: Json = False,
) -> None:
    """Show one message's whole story, and when it is tried next while it waits."""
    result = call(where.load(), "messages.show", message=identity, account=account)
    show.as_json(result) if json else _story(result)


@messages.command
def export(
    *,
    where: Where = HERE,
    format: Annotated[
        Form, Parameter(name="--format", show_choices=False, help="csv or jsonl (JSON Lines).")
    ] = Form.CSV,
    state: OfState = None,
    to: OfRecipient = "",
    sender: OfSender = "",
    from_date: Annotated[
        str, Parameter(name="--from-date", show_default=False, help="First day (UTC) or time of acceptance.")
    ] = "",
    to_date: Annotated[
        str, Parameter(name="--to-date", show_default=False, help="Last day (UTC) or time, which is included.")
    ] = "",
    account: OfAccount = 0,
    output: Output = None,
) -> None:
    """Write the log of all accounts or of one, of any length, newest first: one line a recipient."""
    chosen = {"state": state or "", "to": to, "sender": sender, "from_date": from_date, "to_date": to_date}
    found = pieces(where.load(), "messages.export", **chosen, account=account)
    first = next(found)  # what is wrong with the options is told before a file is made
    with _written(output) as target:
        target(files.head(format, COLUMNS))
        count = 0
        for rows in _counting(first, found, watched=_watched(output)):
            target(files.body(format, COLUMNS, rows))
            count += len(rows)
    if output:
        show.line(f"{_number(count)} written to {output}.")


@messages.command
def raw(identity: Identity, /, *, where: Where = HERE, account: OfAccount = 0, output: Output = None) -> None:
    """Write the stored bytes of one message, for as long as [retention] content_days keeps them."""
    result = call(where.load(), "messages.raw", message=identity, account=account)
    with _written(output) as target:
        target(base64.b64decode(result["content"]))


Target = Callable[[bytes], object]


@contextlib.contextmanager
def _written(output: Path | None) -> Iterator[Target]:
    """What takes the octets. A terminal is shown no control characters, since strangers chose what is written."""
    if output is None:
        yield (lambda octets: show.text(octets.decode("utf-8", "replace"))) if sys.stdout.isatty() else _to_stdout
        return
    try:
        with output.open("wb") as file:
            yield file.write
    except OSError as error:
        raise Failure(f"{output} cannot be written: {error.strerror}") from error


def _to_stdout(octets: bytes) -> None:
    sys.stdout.buffer.write(octets)
    sys.stdout.buffer.flush()


def _watched(output: Path | None) -> bool:
    """Somebody sees the progress, and sees nothing else meanwhile."""
    return sys.stderr.isatty() and (output is not None or not sys.stdout.isatty())


def _counting(
    first: dict[str, Any], others: Iterable[dict[str, Any]], *, watched: bool
) -> Iterator[list[dict[str, Any]]]:
    """The rows, and on standard error how many there have been."""
    count = 0
    for piece in chain([first], others):
        yield piece["rows"]
        count += len(piece["rows"])
        if watched:
            print(f"\r{_number(count)}", end="", file=sys.stderr, flush=True)
    if watched:
        print(file=sys.stderr)


def _story(story: dict[str, Any]) -> None:
    names = ("message_id", "account_id", "rfc_message_id", "from", "subject", "stream", "endpoint", "category", "size")
    pairs = [(name.replace("_", " "), story[name]) for name in (*names, "custom_variables")]
    show.facts([*pairs, ("accepted (UTC)", show.moment(story["accepted_at"]))])
    columns = [
        Column("when", "When (UTC)"),
        Column("kind", "Event"),
        Column("host", "Host"),
        Column("heard", "", folds=True),
    ]
    for recipient in story["recipients"]:
        show.heading(f"{recipient['to']} ({recipient['id']})")
        facts = [(name, recipient[name]) for name in ("state", "reason", "attempts")]
        if recipient["waits"]:
            facts += [(name, text) for name, text in _waiting(recipient["waits"])]
        show.facts(facts)
        events = [{**event, "when": show.moment(event["at"]), "heard": _heard(event)} for event in recipient["events"]]
        show.table(events, columns, "")


def _waiting(waits: dict[str, Any]) -> list[tuple[str, Any]]:
    return [
        ("waits because", waits["why"]),
        ("next attempt (UTC)", show.moment(waits["next_attempt"])),
        ("given up at (UTC)", show.moment(waits["until"])),
    ]


def _heard(event: dict[str, Any]) -> str:
    parts = (event.get("code") or "", event.get("enhanced", ""), event.get("response", ""), event.get("reason", ""))
    # The simulator answers with the reason itself.
    return " ".join(dict.fromkeys(str(part) for part in parts if part))


def _number(count: int) -> str:
    return f"{count:,} recipient{'' if count == 1 else 's'}"
