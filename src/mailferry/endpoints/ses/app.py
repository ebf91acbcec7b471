"""What happens to every request of Amazon's dialect before its operation runs (table.py has the operations).

SES v1, SNS and STS are ``POST /`` (or GET, presigned) with a form; SES v2 is JSON below ``/v2/email``. All of it is also
served below ``/ses``, for clients that share a host with others. The service is told by the signature's scope and the
``Version`` that is asked for.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

from mailferry.consumers.webhooks.envelopes import certificate_path
from mailferry.endpoints.bodies import BadBody, ClientGoneError, Share, aside, read_body
from mailferry.endpoints.hosts import CLIENT, HOST, ROLE
from mailferry.endpoints.ses import constraints, query, rest_json, signed, sigv4, sns_links, transfers
from mailferry.endpoints.ses.deps import Call, Deps, Result
from mailferry.endpoints.ses.errors import SesError, unsupported, validation
from mailferry.endpoints.ses.model import Operation, Service, service
from mailferry.endpoints.ses.operation import Op
from mailferry.endpoints.ses.paths import find as find_path
from mailferry.endpoints.ses.table import TABLE

Page = Callable[[Request], Awaitable[Response]]

#: By the Version that a form names.
_BY_VERSION = {service(name).version: name for name in ("ses", "sns", "sts")}
#: What a signature of it is scoped to.
_SIGNING_NAME = {"ses": "ses", "sesv2": "ses", "sns": "sns", "sts": "sts"}
PREFIX = "/ses"


def routes(deps: Deps, front: Page) -> list[BaseRoute]:
    """``front`` answers a GET of ``/`` that asks for no action: people look there."""
    endpoint = _Endpoint(deps, front)
    roots = ["/", PREFIX, f"{PREFIX}/"]
    below = [f"{prefix}/{version}/email/{{rest:path}}" for prefix in ("", PREFIX) for version in ("v2", "v1")]
    certificate = [Route(f"{prefix}{certificate_path('{number}')}", _certificate(deps)) for prefix in ("", PREFIX)]
    return [*certificate, *transfers.routes(deps), *(Route(path, endpoint) for path in (*roots, *below))]


def _certificate(deps: Deps) -> Page:
    """What notifications name as SigningCertURL."""

    async def page(request: Request) -> Response:
        number = request.path_params["number"]
        # Python reads no number of more than 4300 digits.
        known = number.isascii() and number.isdecimal() and len(number) < 19
        found = await deps.notification_certificate(int(number)) if known else None
        if found is None:
            return Response("There is no such certificate.\n", 404, media_type="text/plain")
        return Response(found, media_type="application/x-pem-file")

    return page


@dataclass(frozen=True, slots=True)
class _Asked:
    """Which operation, and what for; nothing of it is believed before the signature is verified."""

    service: Service
    operation: Operation
    op: Op
    params: Mapping[str, Any]


class _Endpoint:
    """An object and not a function, because Starlette then leaves methods and errors to us."""

    def __init__(self, deps: Deps, front: Page) -> None:
        self._deps = deps
        self._front = front

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        if _asks_for_page(request):
            response = await self._front(request)
            await response(scope, receive, send)
            return
        request_id = str(uuid4())
        dialect = service("sesv2") if "/email/" in scope["path"] else service("ses")
        try:
            with Share(self._deps.budget, self._deps.body.patience) as share:
                response = await self._answer(request, request_id, share)
        except ClientGoneError:
            self._deps.log.info("ses_client_gone", request_id=request_id, path=scope["path"])
            return
        except _Refused as refused:
            response = self._refuse(refused.service, refused.error, request_id)
        except Exception as error:
            response = self._refuse(dialect, signed.of_exception(self._deps, request, request_id, error), request_id)
        response.headers["x-amzn-requestid"] = response.headers["x-amzn-RequestId"] = request_id
        await response(scope, receive, send)

    async def _answer(self, request: Request, request_id: str, share: Share) -> Response:
        v2 = "/email/" in request.scope["path"]
        dialect = service("sesv2") if v2 else service("ses")
        try:
            body = bytes(await read_body(request.receive, request.headers, share, self._deps.body))
        except BadBody as bad:
            raise _Refused(dialect, signed.of_body(bad)) from None
        wire = signed.on_the_wire(request, body)
        pairs = [] if v2 else await aside(len(body), lambda: query.read_form(_form(request, body)))
        try:
            if not v2 and (opened := _open(wire, dict(pairs))):
                dialect = service("sns")
                result = await sns_links.OPEN[opened](self._deps, dict(pairs))
                text = query.write(dialect, dialect.operations[opened], result, request_id)
                return Response(text, media_type="text/xml")
            dialect = dialect if v2 else _service(dict(pairs))
            claim = sigv4.read_claim(wire)
            key = await signed.verified(self._deps, wire, claim, _SIGNING_NAME[dialect.name], len(body))
            if request.scope.get(ROLE) == "sandbox":
                raise SesError("AccessDenied", "A sandbox host never delivers: use another host name.", 403)
            asked = await aside(len(body), lambda: _asked(dialect, wire, pairs, body))
            call = Call(
                self._deps,
                key,
                claim.region,
                dialect.name,
                asked.operation.name,
                request_id,
                request.scope.get(CLIENT, ""),
                _base_url(request.scope),
            )
            result = await self._run(call, asked)
        except SesError as error:
            raise _Refused(dialect, error) from None
        return _success(asked, result, request_id)

    async def _run(self, call: Call, asked: _Asked) -> Result:
        if asked.op.function is None:
            raise unsupported(asked.operation.name, asked.op.remark)
        if not asked.op.allows(call.rights):
            raise call.denied()
        if found := constraints.problems(asked.operation.input, asked.params):
            raise validation(found)
        return await asked.op.function(call, asked.params)

    def _refuse(self, dialect: Service, error: SesError, request_id: str) -> Response:
        self._deps.log.info("ses_refused", request_id=request_id, code=error.code, reason=(error.message or "")[:200])
        if dialect.name != "sesv2":
            text = query.write_error(dialect, error, error.status, request_id)
            return Response(text, error.status, media_type="text/xml")
        return signed.refusal(error)


class _Refused(Exception):
    """An error with the dialect that it is to be told in."""

    def __init__(self, dialect: Service, error: SesError) -> None:
        super().__init__(error)
        self.service = dialect
        self.error = error


def _asks_for_page(request: Request) -> bool:
    """A browser, and no client of Amazon's."""
    if request.method not in ("GET", "HEAD") or "/email/" in request.scope["path"]:
        return False
    return b"Action=" not in request.scope["query_string"] and "authorization" not in request.headers


def _base_url(scope: Scope) -> str:
    """With the prefix, where the client used it: a proxy may hand on nothing else."""
    prefix = PREFIX if scope["path"].partition("/v2/")[0].rstrip("/") == PREFIX else ""
    return f"{scope['scheme']}://{scope.get(HOST, '')}{prefix}"


def _open(wire: sigv4.Request, form: Mapping[str, str]) -> str:
    """The action of a link in a notification, which nobody signs; or nothing."""
    is_signed = "X-Amz-Signature" in form or any(name == b"authorization" for name, _ in wire.headers)
    action = form.get("Action", "")
    return action if wire.method in ("GET", "POST") and action in sns_links.OPEN and not is_signed else ""


def _form(request: Request, body: bytes) -> bytes:
    """GET with everything in its query works too."""
    asked: bytes = request.scope["query_string"]
    return asked + b"&" + body if request.method == "POST" else asked


def _service(form: Mapping[str, str]) -> Service:
    version = form.get("Version", "")
    if version not in _BY_VERSION and version:
        known = ", ".join(f"{each} ({name})" for each, name in _BY_VERSION.items())
        raise SesError(
            "InvalidAction", f"Could not find operation {form.get('Action', '')} for version {version}; served: {known}"
        )
    return service(_BY_VERSION.get(version, "ses"))


def _asked(dialect: Service, wire: sigv4.Request, pairs: list[tuple[str, str]], body: bytes) -> _Asked:
    if dialect.name == "sesv2":
        path, _, asked = wire.target.partition(b"?")
        operation, labels = find_path(wire.method, path.decode("latin-1").removeprefix(PREFIX))
        params = rest_json.read(operation, labels, query.read_form(asked), body)
        return _Asked(dialect, operation, TABLE[dialect.name][operation.name], params)
    action = next((value for name, value in pairs if name == "Action"), "")
    if not action:
        raise SesError("MissingAction", "The request must contain the parameter Action")
    found = dialect.operations.get(action)
    if found is None:
        raise SesError("InvalidAction", f"Could not find operation {action} for version {dialect.version}")
    op = TABLE[dialect.name].get(
        action, Op(None, remark=f"of {dialect.name.upper()}, only what scripts of SES need is served")
    )
    return _Asked(dialect, found, op, query.read(found, pairs))


def _success(asked: _Asked, result: Result, request_id: str) -> Response:
    if asked.service.name == "sesv2":
        return Response(rest_json.write(asked.operation, result), media_type="application/json")
    return Response(query.write(asked.service, asked.operation, result, request_id), media_type="text/xml")


__all__ = ["Headers", "routes"]
