"""Mailtrap's contract against Mailferry: every operation of ``mailtrap.json`` is brought to each of its answers.

Status, every member and its type are compared with the table; where Mailferry is right and the table is not, the table of
deviations says so (operations.py). The other way round, nothing is served that is in no contract, but for a list of ours.
"""

import re
from collections.abc import Iterator
from typing import Any

import pytest

from mailferry.endpoints.mailtrap.errors import Shape as Dialect
from mailferry.endpoints.mailtrap.rates import Rates
from mailferry.endpoints.mailtrap.table import TABLE
from tests.asgi import Answer
from tests.contracts.cases import CASES, Case, Request
from tests.contracts.facts import ANY_OF, FREE, OPTIONAL, Shape
from tests.contracts.openapi import breaches
from tests.contracts.operations import DEVIATIONS, NEVER, Operation, blank, operations, shared_name
from tests.contracts.shapes import EMPTY, flaws
from tests.delivery_support import SQLITE
from tests.working_house import WorkingHouse, engines, working

__all__ = ["engines", "working"]

#: Paths that no contract has, and why they are served.
OURS = {
    r"POST /bulk/api/(send|batch)": "the bulk stream where a client cannot choose the host",
    r"POST /api/accounts/\{account_id\}/suppressions": "Mailtrap's Python SDK calls it over the older paths",
    r"\w+ /api/(accounts/\{account_id\}/)?templates(/\{template_id\})?": "Mailtrap's experimental paths, in no released contract",
    r"\w+ .*/email_templates/\{email_template_id\}/(versions|test_data|preview).*": "versions and previews (docs/templates.md)",
    r"\w+ .*domains/\{\w+\}/review": "the review of a domain, which Mailtrap has on pages only",
    r"\w+ .*/(inboxes|sandboxes)/\{\w+\}/faults": "faults on purpose (docs/faults.md)",
    r"\w+ .*/environment": "environment rules (docs/environments.md)",
    r"PUT .*/contacts/\{contact_identifier:path\}": "Mailtrap's SDK for PHP changes contacts so",
    r"\w+ .*/webhooks/.*(test|reset_secret|events|attempts|replays).*": "tests, the log and replays (docs/webhooks.md)",
    r"\w+ .*/tracking_opt_outs.*": "Mailtrap's SDKs call it, no released contract has it",
    r"GET .*/email_logs/export": "the whole log as a file (docs/logs.md)",
    r"\w+ .*/invitations.*": "people are invited, which Mailtrap has on pages only (docs/users.md)",
    r"GET .*/messages/\{inbox_message_id\}/checks": "what Mailtrap's two reports do not say (docs/checks.md)",
    r"(GET|POST) .*/messages/(wait|events|latest|search|assert)": "what test-suites ask of an inbox (docs/testing.md)",
    r"DELETE .*/(inboxes|sandboxes)/\{\w+\}/messages": "deletion by query, the same",
    r"\w+ .*/share_links.*": "share links, which Mailtrap has on pages only (docs/sandbox.md)",
    r"\w+ .*/contacts/segments.*": "segments, which Mailtrap has on pages only",
}

OPERATIONS = operations()
SUCCESS = range(200, 300)


# --- each answer ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda each: f"{each.family}: {each}")
async def test_every_documented_answer(working: WorkingHouse, operation: Operation) -> None:
    found = await CASES[operation.name](working, operation.legacy)
    driven = Driver(working, operation, found)
    problems = [
        problem
        for status in sorted(operation.answers, key=lambda status: (status == 500, status in SUCCESS))
        for problem in await driven.problems(status)
    ]
    assert not problems, "\n".join(problems)


class Driver:
    """Brings one operation to its answers. Success comes after the refusals, since it may take away what they name."""

    def __init__(self, house: WorkingHouse, operation: Operation, case: Case) -> None:
        self.house, self.operation, self.case = house, operation, case

    async def problems(self, status: int) -> list[str]:
        answers = await self._answers(status)
        if (f"{self.operation.family} {self.operation.name}", status) in NEVER:
            return [f"{status} is answered after all" for answer in answers if answer.status == status]
        shape = self.operation.answers[status]
        found = [f"{status}: answered {a.status} {a.body[:300]!r}" for a in answers if a.status != status]
        if found or not answers:
            return found or [f"{status}: no request of this case leads there"]
        wrong = flaws(shape, *(_body(answer) for answer in answers))
        excused = {place for each in DEVIATIONS if each.meets(self.operation, status) for place in each.places}
        shown = {flaw.partition(":")[0] for flaw in wrong}
        found += [f"{status}: {flaw}" for flaw in wrong if flaw.partition(":")[0] not in excused]
        return found + [f"{status}: the deviation at {place!r} is needed no more" for place in sorted(excused - shown)]

    async def _answers(self, status: int) -> list[Answer]:
        if status in SUCCESS:
            return [await self.ask(request) for request in self.case.right]
        if status in self.case.wrong:
            return [await self.ask(self.case.wrong[status])]
        how = {
            401: self._unknown_token,
            403: self._forbidden,
            404: self._not_found,
            429: self._too_often,
            500: self._broken,
        }
        return await how[status]() if status in how else []

    async def _unknown_token(self) -> list[Answer]:
        return [await self.ask(self.case.right[0], "f" * 32), await self.ask(self.case.right[0], None)]

    async def _forbidden(self) -> list[Answer]:
        """A token that may nothing, and a foreign account."""
        found = [await self.ask(self.case.right[0], account=self.house.foreign)] if self.operation.legacy else []
        if self.operation.legacy and self.operation.name == "GET permissions/resources":
            return found  # whoever may nothing is shown an empty tree
        return [*found, await self.ask(self.case.right[0], await self.house.token(name="Poor"))]

    async def _not_found(self) -> list[Answer]:
        right = self.case.right[0]
        ids = (*right.ids[:-1], self.case.unknown)
        return [await self.ask(Request(ids, right.body, right.query))]

    async def _too_often(self) -> list[Answer]:
        """The rate of these endpoints, not the one of all; that one says "Throttled"."""
        rate = next(row.ops[self.operation.method].rate for row in TABLE if row.path == served_path(self.operation))
        if rate is None:
            return []
        rates = Rates(self.house.clock)
        for _ in range(rate.requests):
            rates.take(rate, self.house.account)
        limited = self.house.again(rates=rates)
        return [await self.ask(self.case.right[0], house=limited)]

    async def _broken(self) -> list[Answer]:
        """Whatever asks the database meets a bug. (While it is away the answer is 503.) Comes last."""
        await self.ask(self.case.right[0])

        def stumble(*_: Any) -> Any:
            raise RuntimeError("a bug")

        for way in ("read", "write", "submit"):
            setattr(self.house.database, way, stumble)
        return [await self.ask(self.case.right[0])]

    async def ask(
        self, request: Request, token: str | None = "", *, account: int = 0, house: WorkingHouse | None = None
    ) -> Answer:
        headers = {} if token is None else {"Authorization": f"Bearer {token or self.house.admin}"}
        ids = iter([account or self.house.account, *request.ids] if self.operation.legacy else request.ids)
        target = re.sub(r"\{\w+\}", lambda _: str(next(ids)), self.operation.path)
        target += f"?{request.query}" if request.query else ""
        role = {"role": "bulk"} if self.operation.bulk else {}
        where = house or self.house
        if request.body is None:
            answer = await where.call(self.operation.method, target, headers=headers, **role)
        else:
            answer = await where.call_json(self.operation.method, target, request.body, headers, **role)
        assert breaches(self.operation.method, served_path(self.operation), answer) == []
        return answer


def _body(answer: Answer) -> Any:
    """None where there is no body at all, or one that the table knows nothing of: it tells of JSON."""
    media = answer.headers.get("content-type", "")
    if media.startswith("application/json"):
        return answer.json
    return None if media.startswith(("text/", "message/")) else answer.body or None


# --- each request --------------------------------------------------------------------------------------------------


@SQLITE
@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda each: f"{each.family}: {each}")
async def test_every_documented_member_and_parameter_is_sent(working: WorkingHouse, operation: Operation) -> None:
    """What the cases do not send, nobody knows to be understood."""
    case = await CASES[operation.name](working, operation.legacy)
    bodies = [request.body for request in case.right]
    asked = set(places(operation.asks)) - {"webhook.inbound_inbox_id"}  # inbound mail is not served
    assert asked <= {place for body in bodies for place in _members(body)}
    queries = "&".join(request.query for request in case.right)
    for name in operation.query:
        assert re.search(rf"(^|&){re.escape(name)}(\[|=|&)", queries), name
    wrong = flaws(operation.asks, *bodies)
    assert not [flaw for flaw in wrong if not flaw.endswith(("is missing", EMPTY))]


def places(shape: Shape, place: str = "") -> Iterator[str]:
    """Of every member that has a name."""
    if isinstance(shape, list):
        yield from places(shape[0], place)
    elif isinstance(shape, dict) and ANY_OF in shape:
        for each in shape[ANY_OF]:
            yield from places(each, place)
    elif isinstance(shape, dict):
        for name, inner in shape.items():
            if name != FREE:
                where = f"{place}.{name.removesuffix(OPTIONAL)}".removeprefix(".")
                yield where
                yield from places(inner, where)


def _members(value: Any, place: str = "") -> Iterator[str]:
    if isinstance(value, list):
        for item in value:
            yield from _members(item, place)
    elif isinstance(value, dict):
        for name, inner in value.items():
            where = f"{place}.{name}".removeprefix(".")
            yield where
            yield from _members(inner, where)


# --- both ways -----------------------------------------------------------------------------------------------------


def served_path(operation: Operation) -> str:
    """As the table of paths spells it."""
    for row in TABLE:
        same = blank(shared_name(row.path)) == blank(shared_name(operation.path)) and operation.method in row.ops
        if same and ("{account_id}" in row.path) == operation.legacy and row.stream != "bulk":
            return row.path
    return ""


def _served() -> Iterator[tuple[str, str, str]]:
    for row in TABLE:
        for method in row.ops:
            yield f"{method} {row.path}", method, blank(row.path)


def test_every_operation_has_a_route() -> None:
    routes = {(method, path) for _, method, path in _served()}
    assert [str(each) for each in OPERATIONS if (each.method, blank(each.path)) not in routes] == []


def test_every_route_is_in_the_contract_or_ours() -> None:
    known = {(each.method, blank(each.path)) for each in OPERATIONS}
    strange = [name for name, method, path in _served() if (method, path) not in known]
    assert [name for name in strange if not any(re.fullmatch(each, name) for each in OURS)] == []
    for each in OURS:
        assert any(re.fullmatch(each, name) for name in strange), f"nothing of ours is {each}"


def test_the_cases_and_deviations_are_of_operations() -> None:
    names = {each.name for each in OPERATIONS}
    assert names == set(CASES)
    for deviation in DEVIATIONS:
        assert any(deviation.meets(each, status) for each in OPERATIONS for status in each.answers), deviation
    documented = {(f"{each.family} {each.name}", status) for each in OPERATIONS for status in each.answers}
    assert set(NEVER) <= documented


def test_sending_is_answered_in_its_own_shape() -> None:
    sending = {row.path for row in TABLE if row.shape is Dialect.SEND and row.ops}
    assert {each.path for each in OPERATIONS if each.file.startswith("email-sending-")} <= sending
