"""What happens to every request of Mailtrap's API before its function is called (table.py has the paths).

Whatever a client does wrong is answered in the shape of its path; nothing of the framework's own answers gets out.
"""

import re
from uuid import uuid4

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

from mailferry.endpoints.bodies import BadBody, ClientGoneError
from mailferry.endpoints.hosts import REQUEST_ID, ROLE
from mailferry.endpoints.mailtrap import auth, contact_exports, cors, etags, message_parts, rates, raw_messages
from mailferry.endpoints.mailtrap.deps import Call, Deps
from mailferry.endpoints.mailtrap.errors import Fault, Problem, Shape, of_body, problem
from mailferry.endpoints.mailtrap.forms import AnsweredError
from mailferry.endpoints.mailtrap.openapi import serving as openapi
from mailferry.endpoints.mailtrap.rates import Rate, Standing
from mailferry.endpoints.mailtrap.table import TABLE, Path
from mailferry.resources import accounts
from mailferry.resources.permissions import NONE, Rights
from mailferry.resources.tokens import Token
from mailferry.store.database import unavailable


def routes(deps: Deps) -> list[BaseRoute]:
    """For the application that roles/ assembles; they come before any route that would take ``/api``."""
    found: list[BaseRoute] = [*openapi.routes(), *contact_exports.routes(deps), *raw_messages.routes(deps)]
    found += message_parts.routes(deps)
    return found + [_Route(row.path, _Endpoint(row, deps)) for row in TABLE]


class _Route(Route):
    def __init__(self, path: str, endpoint: "_Endpoint") -> None:
        super().__init__(path, endpoint)
        # Starlette's "the rest" ends at a line break, and the framework would answer %0A in its own words. Its "$" lets
        # one line break more pass: /api/send%0A was the same as /api/send. A slash at the end is the same path.
        self.path_regex = re.compile(self.path_regex.pattern.removesuffix("$") + r"/?\Z", re.DOTALL)


class _Endpoint:
    """An object and not a function, because Starlette then leaves methods and errors to us."""

    def __init__(self, row: Path, deps: Deps) -> None:
        self._row = row
        self._deps = deps
        allowed = ["OPTIONS", *row.ops, *(["HEAD"] if "GET" in row.ops else [])]
        self._allow = ", ".join(sorted(allowed))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        request_id = scope.get(REQUEST_ID) or uuid4().hex
        try:
            response = await self._answer(request, request_id)
        except AnsweredError as answered:
            response = answered.response
        except BadBody as bad:
            response = problem(self._row.shape, of_body(bad))
        except ClientGoneError:
            self._deps.log.info("api_client_gone", request_id=request_id, path=scope["path"])
            return
        except Exception as error:
            response = self._failed(request, request_id, error)
        response = self._finish(request, request_id, response)
        await response(scope, receive, send)

    def _failed(self, request: Request, request_id: str, error: Exception) -> Response:
        facts = {"request_id": request_id, "method": request.method, "path": request.scope["path"]}
        if unavailable(error):  # a line a request, and no more: a database that is away fails all of them
            self._deps.log.warning("api_unavailable", error=type(error).__name__, **facts)
            return self._problem(Fault.UNAVAILABLE)
        self._deps.log.exception("api_failed", **facts)
        return self._problem(Fault.OURS)

    def _finish(self, request: Request, request_id: str, response: Response) -> Response:
        if self._row.shape is Shape.GENERAL:
            response = etags.conditional(request, response)
        if REQUEST_ID not in request.scope:  # else the middleware says it
            response.headers["X-Request-Id"] = request_id
        if self._row.shape is Shape.GENERAL:
            response.headers["X-Mailtrap-Version"] = "v2"
            if standing := getattr(request.state, "standing", None):
                _say(response, standing)
        cors.allow(request, response, self._allow)
        if 400 <= response.status_code < 500:  # others have said more
            path, reason = request.scope["path"], ", ".join(getattr(response, "reasons", ()))
            self._deps.log.info(
                "api_refused", request_id=request_id, path=path, status=response.status_code, reason=reason
            )
        return response

    async def _answer(self, request: Request, request_id: str) -> Response:
        # A preflight has no token, also where nothing is served: else a page would not get to read that.
        if request.method == "OPTIONS" and (self._row.ops or cors.is_preflight(request)):
            return Response(status_code=204, headers={"Allow": self._allow})
        token = await self._token(request)
        if token is None:
            return self._problem(Fault.TOKEN_WRONG)
        role = request.scope.get(ROLE, "general")
        counted = self._row.shape is Shape.GENERAL and role != "sandbox"
        if counted and not self._count(request, rates.GENERAL, token.id):
            return self._problem(Fault.THROTTLED)
        stream = self._row.stream or ("bulk" if role == "bulk" else "transactional")
        rights = await self._rights(request, token)
        if rights is None:
            return self._problem(Fault.ACCOUNT_FORBIDDEN)
        call = Call(request, token, self._deps, self._row.shape, stream, request_id, rights.account_id, rights)
        if role == "sandbox" and stream != "sandbox":
            return self._problem(Fault.INBOX_REQUIRED if self._row.shape is Shape.SEND else Fault.NOT_FOUND)
        if not self._row.ops:
            return self._problem(Fault.NOT_FOUND)
        op = self._row.ops.get("GET" if request.method == "HEAD" else request.method)
        if op is None:
            response = self._problem(Fault.METHOD_WRONG)
            response.headers["Allow"] = self._allow
            return response
        if op.rate and not self._count(request, op.rate, call.account_id):
            return self._problem(Fault.BUSY)
        if not op.need.met(rights):
            return self._problem(Fault.FORBIDDEN)
        return await op.function(call)

    def _count(self, request: Request, rate: Rate, identity: int) -> bool:
        """False: too many. Where two rates count, the one that leaves less is shown."""
        standing = self._deps.rates.take(rate, identity)
        if standing is None:
            return True
        shown: Standing | None = getattr(request.state, "standing", None)
        if shown is None or standing.wait_ms or standing.remaining < shown.remaining:
            request.state.standing = standing
        return not standing.wait_ms

    async def _rights(self, request: Request, token: Token) -> Rights | None:
        """In the account that the path names. None: it is none of the token's."""
        named = request.path_params.get("account_id", str(token.account_id))
        if named == str(token.account_id):
            return token.rights
        organization = token.rights.organization_id
        if token.rights.organization == NONE or not re.fullmatch(r"[0-9]{1,18}", named):
            return None
        found = await self._deps.db.read(lambda connection: accounts.organization_of(connection, int(named)))
        return Rights(int(named), organization, token.rights.grants) if found == organization else None

    async def _token(self, request: Request) -> Token | None:
        secret = auth.secret(request.headers)
        return await self._deps.credentials.token(secret) if secret else None

    def _problem(self, fault: Fault) -> Response:
        return problem(self._row.shape, Problem(fault))


def _say(response: Response, standing: Standing) -> None:
    response.headers["X-Ratelimit-Limit"] = str(standing.limit)
    response.headers["X-Ratelimit-Remaining"] = str(standing.remaining)
    if standing.wait_ms:
        seconds = str(-(-standing.wait_ms // 1000))
        response.headers["X-Ratelimit-Reset"] = response.headers["Retry-After"] = seconds
