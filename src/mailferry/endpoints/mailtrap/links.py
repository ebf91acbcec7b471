"""Links that need no token: sealed with the key that all nodes have, so that nobody can make one up, and good for a while.

What a link opens is said by a structure with ``ends_at``; a purpose of its own keeps a link from opening another door.
"""

import base64
import binascii
from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from mailferry.endpoints.hosts import HOST
from mailferry.endpoints.mailtrap import cors
from mailferry.endpoints.mailtrap.deps import Call, Deps
from mailferry.endpoints.mailtrap.errors import Fault, Problem, Shape, problem
from mailferry.store.secrets import WrongKey


class Ending(Protocol):
    """What a sealed structure must have."""

    @property
    def ends_at(self) -> int:
        """Unix milliseconds."""


T = TypeVar("T", bound=Ending)


def route(path: str, download: Callable[[Request], Awaitable[Response]]) -> Route:
    """``path`` names {sealed}. A page of another origin that was given the link may follow it."""

    async def answered(request: Request) -> Response:
        response = await download(request)
        cors.allow(request, response, "GET, HEAD, OPTIONS")
        return response

    return Route(path, answered, methods=["GET"])


def address(call: Call, purpose: str, opens: Ending, path: str) -> str:
    """``path`` names {sealed}. At the host that the client reached us by: whatever its name is, it can be reached again."""
    octets = call.deps.sealer.seal(msgspec.json.encode(opens), purpose)
    sealed = _spelt(octets)
    return base(call) + path.format(sealed=sealed)


def base(call: Call) -> str:
    """Scheme and host."""
    url = call.request.url
    return f"{url.scheme}://{call.request.scope.get(HOST, url.netloc)}"


def opened(deps: Deps, purpose: str, sealed: str, kind: type[T]) -> T | Response:
    """What the link opens, or the answer to one that we did not make or that has ended."""
    try:
        octets = base64.urlsafe_b64decode(sealed + "=" * (-len(sealed) % 4))
        if _spelt(octets) != sealed:  # the last character may hold bits that count for nothing
            return refused(Fault.NOT_FOUND)
        found = msgspec.json.decode(deps.sealer.open(octets, purpose), type=kind)
    except (binascii.Error, ValueError, WrongKey, msgspec.MsgspecError):
        return refused(Fault.NOT_FOUND)
    return found if found.ends_at > deps.clock() else refused(Fault.LINK_EXPIRED)


def _spelt(octets: bytes) -> str:
    return base64.urlsafe_b64encode(octets).decode().rstrip("=")


def refused(fault: Fault) -> Response:
    return problem(Shape.GENERAL, Problem(fault))
