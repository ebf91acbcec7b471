"""``GET .../email_logs/export?format=csv|jsonl``: all that the filters find, without an end. Ours (docs/logs.md).

The answer is made of short reads, one after the other as fast as the client takes them: however long the log is, no more
than a piece of it is in memory, and no transaction is older than a moment.
"""

from collections.abc import AsyncIterator
from dataclasses import replace
from functools import partial

from sqlalchemy import Connection
from starlette.responses import Response, StreamingResponse

from mailferry.endpoints.mailtrap import logs
from mailferry.endpoints.mailtrap.deps import Call
from mailferry.endpoints.mailtrap.errors import Fault, Problem
from mailferry.endpoints.mailtrap.query import BadQueryError, first, parse
from mailferry.journal import files, search
from mailferry.journal.files import Form
from mailferry.journal.search import Query

_MEDIA = {Form.CSV: "text/csv", Form.JSONL: "application/x-ndjson"}
#: Nothing is ever in these.
_LEFT_OUT = ("in_reply_to", "references", "thread_id")

#: Octets, and where the next piece begins; None: it was the last one.
Piece = tuple[bytes, str | None]


async def export(call: Call) -> Response:
    try:
        pairs = parse(call.request.scope["query_string"])
        form, query = _form(first(pairs, "format")), logs.asked(call, pairs)
    except BadQueryError as error:
        return call.problem(Problem(Fault.QUERY_INVALID, str(error)))
    domain = logs.domain_key(call)
    columns = [name for name in logs.members(domain) if name not in _LEFT_OUT]
    read = partial(_piece, form=form, columns=columns, domain=domain)
    begun = await call.read(partial(read, query))  # what goes wrong at once still has an answer of its own
    headers = {
        "Content-Disposition": f'attachment; filename="email-logs.{form}"',
        "Cache-Control": "private, no-store",
        "X-Content-Type-Options": "nosniff",
    }
    asked = call.request.method == "GET"
    content = _content(call, query, read, files.head(form, columns), begun) if asked else _nothing()
    return StreamingResponse(content, headers=headers, media_type=_MEDIA[form])


def _form(text: str) -> Form:
    try:
        return Form(text or Form.CSV)
    except ValueError:
        raise BadQueryError(f"'format' must be one of {', '.join(Form)}") from None


def _piece(query: Query, connection: Connection, *, form: Form, columns: list[str], domain: str) -> Piece:
    stretch = search.walk(connection, query)
    rows = [logs.summary(entry, domain) for entry in stretch.entries]
    return files.body(form, columns, rows), stretch.after


async def _content(call: Call, query: Query, read: "partial[Piece]", head: bytes, begun: Piece) -> AsyncIterator[bytes]:
    yield head
    octets, after = begun
    while True:
        if octets:
            yield octets
        if after is None:
            return
        octets, after = await call.read(partial(read, replace(query, older_than=after)))


async def _nothing() -> AsyncIterator[bytes]:
    return
    yield
