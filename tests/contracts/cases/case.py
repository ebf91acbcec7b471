"""What a case is, and where they are kept."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.working_house import WorkingHouse


@dataclass(frozen=True)
class Request:
    """``ids`` stand in the path in this order, behind the account's."""

    ids: tuple[Any, ...] = ()
    body: Any = None
    query: str = ""


@dataclass(frozen=True)
class Case:
    #: Each is answered with the status of success; together they have every member that the contract knows.
    right: Sequence[Request]
    #: By status: 400, 403 of what is sent, 409, 422.
    wrong: dict[int, Request] = field(default_factory=dict)
    #: Of the last id in the path.
    unknown: Any = 10**9


Preparing = Callable[[WorkingHouse, bool], Awaitable[Case]]
CASES: dict[str, Preparing] = {}


def case(name: str, cases: dict[str, Preparing] = CASES) -> Callable[[Preparing], Preparing]:
    def keep(function: Preparing) -> Preparing:
        cases[name] = function
        return function

    return keep
