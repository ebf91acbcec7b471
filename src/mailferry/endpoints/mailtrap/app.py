"""The one table of paths of Mailtrap's API, and what happens to every request before its function is called.

Whatever a client does wrong is answered in the shape of its path; nothing of the framework's own answers gets out.
"""

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from uuid import uuid4

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

from mailferry.endpoints.hosts import REQUEST_ID, ROLE
from mailferry.endpoints.mailtrap import auth, logs, sending
from mailferry.endpoints.mailtrap.body import ClientGoneError
from mailferry.endpoints.mailtrap.deps import Call, Deps
from mailferry.endpoints.mailtrap.errors import Fault, Problem, Shape, problem
from mailferry.resources.tokens import Token

Function = Callable[[Call], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class Path:
    """One row. A final slash changes nothing."""

    path: str
    functions: Mapping[str, Function]
    shape: Shape = Shape.GENERAL
    #: What the path says of the stream, where it does.
    stream: str = ""


_SEND: Mapping[str, Function] = {"POST": sending.send}
_BATCH: Mapping[str, Function] = {"POST": sending.batch}
_SANDBOX: Mapping[str, Function] = {"POST": sending.sandbox}
_LOGS: Mapping[str, Function] = {"GET": logs.get_list}
_LOG: Mapping[str, Function] = {"GET": logs.get_one}

TABLE: tuple[Path, ...] = (
    Path("/api/send", _SEND, Shape.SEND),
    Path("/api/batch", _BATCH, Shape.SEND),
    Path("/bulk/api/send", _SEND, Shape.SEND, "bulk"),
    Path("/bulk/api/batch", _BATCH, Shape.SEND, "bulk"),
    Path("/api/send/{inbox_id}", _SANDBOX, Shape.SEND),
    Path("/api/batch/{inbox_id}", _SANDBOX, Shape.SEND),
    Path("/api/email_logs", _LOGS),
    Path("/api/email_logs/{message_id}", _LOG),
    Path("/api/accounts/{account_id}/email_logs", _LOGS),
    Path("/api/accounts/{account_id}/email_logs/{message_id}", _LOG),
    # What later issues bring, and what nobody knows.
    Path("/bulk/api/{rest:path}", {}, Shape.SEND),
    Path("/api/send/{rest:path}", {}, Shape.SEND),
    Path("/api/batch/{rest:path}", {}, Shape.SEND),
    Path("/api/accounts/{account_id}/{rest:path}", {}),
    Path("/api/{rest:path}", {}),
    Path("/api", {}),
)


def routes(deps: Deps) -> list[BaseRoute]:
    """For the application that roles.py assembles; they come before any route that would take ``/api``."""
    found: list[BaseRoute] = []
    for row in TABLE:
        endpoint = _Endpoint(row, deps)
        found.append(_Route(row.path, endpoint))
        if "{rest:path}" not in row.path:
            found.append(_Route(row.path + "/", endpoint))
    return found


class _Route(Route):
    def __init__(self, path: str, endpoint: "_Endpoint") -> None:
        super().__init__(path, endpoint)
        # Starlette's "the rest" ends at a line break, and the framework would answer %0A in its own words. Its "$" lets
        # one line break more pass: /api/send%0A was the same as /api/send.
        self.path_regex = re.compile(self.path_regex.pattern.removesuffix("$") + r"\Z", re.DOTALL)


class _Endpoint:
    """An object and not a function, because Starlette then leaves methods and errors to us."""

    def __init__(self, row: Path, deps: Deps) -> None:
        self._row = row
        self._deps = deps
        allowed = ["OPTIONS", *row.functions, *(["HEAD"] if "GET" in row.functions else [])]
        self._allow = ", ".join(sorted(allowed))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        request_id = scope.get(REQUEST_ID) or uuid4().hex
        try:
            response = await self._answer(request, request_id)
        except ClientGoneError:
            self._deps.log.info("api_client_gone", request_id=request_id, path=scope["path"])
            return
        except Exception:
            self._deps.log.exception("api_failed", request_id=request_id, method=request.method, path=scope["path"])
            response = problem(self._row.shape, Problem(Fault.OURS))
        if REQUEST_ID not in scope:  # else the middleware says it
            response.headers["X-Request-Id"] = request_id
        if self._row.shape is Shape.GENERAL:
            response.headers["X-Mailtrap-Version"] = "v2"
        if response.status_code >= 400:
            self._deps.log.info("api_refused", request_id=request_id, path=scope["path"], status=response.status_code)
        await response(scope, receive, send)

    async def _answer(self, request: Request, request_id: str) -> Response:
        shape = self._row.shape
        if request.method == "OPTIONS" and self._row.functions:
            return Response(status_code=204, headers={"Allow": self._allow})
        token = await self._token(request)
        if token is None:
            return problem(shape, Problem(Fault.TOKEN_WRONG))
        role = request.scope.get(ROLE, "general")
        stream = self._row.stream or ("bulk" if role == "bulk" else "transactional")
        call = Call(request, token, self._deps, shape, stream, request_id)
        if role == "sandbox":
            return await sending.sandbox(call)
        if request.path_params.get("account_id", str(token.account_id)) != str(token.account_id):
            return problem(shape, Problem(Fault.ACCOUNT_FORBIDDEN))
        if not self._row.functions:
            return problem(shape, Problem(Fault.NOT_FOUND))
        function = self._row.functions.get("GET" if request.method == "HEAD" else request.method)
        if function is None:
            response = problem(shape, Problem(Fault.METHOD_WRONG))
            response.headers["Allow"] = self._allow
            return response
        return await function(call)

    async def _token(self, request: Request) -> Token | None:
        secret = auth.secret(request.headers)
        return await self._deps.credentials.token(secret) if secret else None
