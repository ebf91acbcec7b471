"""Links that need no token (endpoints/sealed.py), as Mailtrap's side gives and answers them."""

from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from mailferry.endpoints.hosts import HOST
from mailferry.endpoints.mailtrap import cors
from mailferry.endpoints.mailtrap.deps import Call, Deps
from mailferry.endpoints.mailtrap.errors import Fault, Problem, Shape, problem
from mailferry.endpoints.sealed import Ending, T, seal, unseal


def route(path: str, download: Callable[[Request], Awaitable[Response]]) -> Route:
    """``path`` names {sealed}. A page of another origin that was given the link may follow it."""

    async def answered(request: Request) -> Response:
        response = await download(request)
        cors.allow(request, response, "GET, HEAD, OPTIONS")
        return response

    return Route(path, answered, methods=["GET"])


def address(call: Call, purpose: str, opens: Ending, path: str) -> str:
    """``path`` names {sealed}. At the host that the client reached us by: whatever its name is, it can be reached again."""
    return base(call) + path.format(sealed=seal(call.deps.sealer, purpose, opens))


def base(call: Call) -> str:
    """Scheme and host."""
    return f"{call.request.url.scheme}://{reached(call)}"


def reached(call: Call) -> str:
    """The host that the client reached us by, with its port."""
    host: str = call.request.scope.get(HOST, call.request.url.netloc)
    return host


def opened(deps: Deps, purpose: str, sealed: str, kind: type[T]) -> T | Response:
    """What the link opens, or the answer to one that we did not make or that has ended."""
    found = unseal(deps.sealer, purpose, sealed, kind)
    if found is None:
        return refused(Fault.NOT_FOUND)
    return found if found.ends_at > deps.clock() else refused(Fault.LINK_EXPIRED)


def refused(fault: Fault) -> Response:
    return problem(Shape.GENERAL, Problem(fault))
