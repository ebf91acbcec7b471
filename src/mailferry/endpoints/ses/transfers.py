"""Files without S3: an upload of ours in place of a bucket, and links to what jobs have written.

| path | what |
|---|---|
| `POST`, `PUT /ses/uploads` | takes a file, signed like every request; answers the `s3://` URL that an import job names |
| `GET /ses/exports/{sealed}` | the file of an export job, by the link that the job shows |
| `GET /ses/refused/{sealed}` | the records that an import job refused, and why: JSON lines |

A file may be larger than memory: with `x-amz-content-sha256: UNSIGNED-PAYLOAD` it is kept while it comes. Otherwise its
hash is part of the signature, and it is read whole, like any other request.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any
from uuid import uuid4

import msgspec
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

from mailferry.endpoints.bodies import BadBody, ClientGoneError, Flaw, Share, read_body
from mailferry.endpoints.sealed import seal, unseal
from mailferry.endpoints.ses import rest_json, signed, sigv4
from mailferry.endpoints.ses.deps import Call, Deps
from mailferry.endpoints.ses.errors import SesError, invalid, not_found
from mailferry.resources.access_keys import AccessKey
from mailferry.resources.contacts import exports, imports, jobs, uploads
from mailferry.resources.contacts.jobs import Job, Kind
from mailferry.resources.contacts.uploads import Cutter, LineTooLong
from mailferry.resources.permissions import ADMIN

UPLOADS, EXPORTS, REFUSED = "/ses/uploads", "/ses/exports", "/ses/refused"
#: In place of a bucket's name.
BUCKET = "local"
#: How long a link is good for. The file is there longer: whoever asks again is given a new link.
LINK_MS = 86_400_000
#: Pieces that are kept in one transaction.
_TOGETHER = 16
_MEDIA = {"CSV": "text/csv; charset=utf-8", "JSON": "application/x-ndjson"}


class _Link(msgspec.Struct, array_like=True, frozen=True):
    account_id: int
    job_id: int
    #: Unix milliseconds.
    ends_at: int
    media: str


def routes(deps: Deps) -> list[BaseRoute]:
    return [
        Route(UPLOADS, _Uploads(deps)),
        Route(f"{EXPORTS}/{{sealed}}", _download(deps, EXPORTS, _exported), methods=["GET"]),
        Route(f"{REFUSED}/{{sealed}}", _download(deps, REFUSED, _refused), methods=["GET"]),
    ]


def link(call: Call, path: str, job: Job, form: str) -> str:
    """To a file of a job, at the host that the client reached us by."""
    opens = _Link(job.account_id, job.id, call.now() + LINK_MS, _MEDIA[form])
    host = call.base_url.removesuffix("/ses")
    return f"{host}{path}/{seal(call.deps.sealer, path, opens)}"


def url_of(upload_id: int) -> str:
    return f"s3://{BUCKET}/{upload_id}"


def id_of(url: str) -> int:
    """Of an upload of ours. Raises `SesError`."""
    number = url.removeprefix(f"s3://{BUCKET}/")
    if number == url:
        raise invalid(
            f"There is no S3 here: POST the file to {UPLOADS}, signed, and name the s3:// URL that is answered."
        )
    if not (number.isascii() and number.isdigit() and len(number) < 19):
        raise invalid(f"There is no upload {url[:200]}.")
    return int(number)


# --- what comes ----------------------------------------------------------------------------------------------------


class _Uploads:
    """An object and not a function, because Starlette then leaves methods to us."""

    def __init__(self, deps: Deps) -> None:
        self._deps = deps

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request, request_id = Request(scope, receive), str(uuid4())
        try:
            with Share(self._deps.budget, self._deps.body.patience) as share:
                response = await self._answer(request, share)
        except ClientGoneError:
            return
        except BadBody as bad:
            response = signed.refusal(signed.of_body(bad))
        except SesError as error:
            response = signed.refusal(error)
        except Exception as error:
            response = signed.refusal(signed.of_exception(self._deps, request, request_id, error))
        response.headers["x-amzn-RequestId"] = request_id
        await response(scope, receive, send)

    async def _answer(self, request: Request, share: Share) -> Response:
        if request.method not in ("POST", "PUT"):
            raise SesError("UnknownOperationException", f"A file is sent to {UPLOADS} by POST or PUT.")
        streamed = request.headers.get("x-amz-content-sha256") == sigv4.UNSIGNED
        body = b"" if streamed else bytes(await read_body(request.receive, request.headers, share, self._deps.body))
        wire = signed.on_the_wire(request, body)
        key = await signed.verified(self._deps, wire, sigv4.read_claim(wire), "ses", len(body))
        if key.rights.account < ADMIN:
            raise SesError("AccessDenied", "A key that is confined to domains must not upload files.", 403)
        source = self._stream(request) if streamed else _once(body)
        upload_id = await self._keep(key, source)
        answer = {"S3Url": url_of(upload_id)}
        return Response(rest_json.dumps(answer), media_type="application/json")

    async def _keep(self, key: AccessKey, source: AsyncIterator[bytes]) -> int:
        deps, now = self._deps, self._deps.clock()
        upload_id = await deps.db.write(lambda connection: uploads.begin(connection, key.account_id, now))
        try:
            async for number, pieces in _grouped(source):
                await deps.db.write(partial(imports.keep, upload_id, number, pieces))
        except LineTooLong:
            await deps.db.write(lambda connection: uploads.drop(connection, upload_id))
            raise invalid(f"A line is longer than {uploads.LONGEST} bytes: every line is one record.") from None
        except BaseException:
            await deps.db.write(lambda connection: uploads.drop(connection, upload_id))
            raise
        await deps.db.write(lambda connection: uploads.whole(connection, upload_id, deps.clock()))
        return upload_id

    async def _stream(self, request: Request) -> AsyncIterator[bytes]:
        octets, rules = 0, self._deps.body
        while True:
            try:
                async with asyncio.timeout(rules.idle):
                    message = await request.receive()
            except TimeoutError:
                raise BadBody(Flaw.TOO_SLOW) from None
            if message["type"] == "http.disconnect":
                raise ClientGoneError
            piece: bytes = message.get("body", b"")
            octets += len(piece)
            if octets > uploads.MOST:
                raise BadBody(Flaw.TOO_LARGE, str(uploads.MOST))
            yield piece
            if not message.get("more_body", False):
                return


async def _once(body: bytes) -> AsyncIterator[bytes]:
    yield body


async def _grouped(source: AsyncIterator[bytes]) -> AsyncIterator[tuple[int, list[bytes]]]:
    """Pieces of whole lines, some together, with the number of the first."""
    cutter, found, number = Cutter(), [], 0
    async for octets in source:
        for piece in cutter.feed(octets):
            found.append(piece)
            if len(found) == _TOGETHER:
                yield number, found
                number, found = number + len(found), []
    found += cutter.end()
    if found:
        yield number, found


# --- what goes -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _File:
    name: str
    #: Numbers of its pieces, in their order.
    pieces: list[int]


def _download(deps: Deps, path: str, look: Callable[[Any, _Link, int], _File | None]) -> Any:
    async def page(request: Request) -> Response:
        found = unseal(deps.sealer, path, request.path_params["sealed"], _Link)
        if found is None or found.ends_at <= deps.clock():
            return signed.refusal(not_found("The link is damaged, or good no more: ask the job for a new one."))
        file = await deps.db.read(lambda connection: look(connection, found, deps.clock()))
        if file is None:
            return signed.refusal(not_found("The file is forgotten."))
        headers = {
            "Content-Disposition": f'attachment; filename="{file.name}"',
            "Cache-Control": "private, no-store",
            "X-Content-Type-Options": "nosniff",
        }
        return StreamingResponse(_content(deps, found.job_id, file.pieces), headers=headers, media_type=found.media)

    return page


def _exported(connection: Any, link: _Link, now: int) -> _File | None:
    job = jobs.by_id(connection, link.account_id, Kind.REPORT, link.job_id)
    if job is None or not exports.available(job, now):
        return None
    ending = "csv" if link.media == _MEDIA["CSV"] else "jsonl"
    return _File(f"export-{job.id}.{ending}", list(range(len(exports.sizes(connection, job.id)))))


def _refused(connection: Any, link: _Link, now: int) -> _File | None:
    pieces = uploads.refused(connection, link.job_id)
    return _File(f"refused-{link.job_id}.jsonl", pieces) if pieces else None


async def _content(deps: Deps, job_id: int, pieces: list[int]) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield await deps.db.read(partial(exports.content, job_id, piece))
