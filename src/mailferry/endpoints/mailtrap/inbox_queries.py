"""`.../messages/wait`, `/latest`, `/search`, `/assert`, and deletion by query: what test-suites ask of an inbox. All ours."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from starlette.responses import Response

from mailferry.endpoints.mailtrap.deps import Call
from mailferry.endpoints.mailtrap.errors import Fault, answer
from mailferry.endpoints.mailtrap.forms import Form, members, refuse
from mailferry.endpoints.mailtrap.inbox_conditions import LONGEST_WAIT, asked, number, of_form, seconds, timeout
from mailferry.endpoints.mailtrap.inbox_finding import first, matches, read, waiting
from mailferry.endpoints.mailtrap.inbox_messages import shown
from mailferry.endpoints.mailtrap.inboxes import visible
from mailferry.mail.reading import Reading
from mailferry.resources.permissions import VIEWER_PLUS
from mailferry.sandbox import inbox
from mailferry.sandbox.inbox import Caught
from mailferry.sandbox.query import Candidate, Difference, Query, candidates, differences

#: Seconds that waiting lasts where nothing is said.
USUAL_WAIT = 30
#: Messages of one answer.
USUAL_SEARCH, MOST_SEARCH = 30, 1_000
#: Messages that an assertion may count.
MOST_COUNTED = 1_000
#: Of the messages that are there: so many are compared, and the nearest are told.
COMPARED, NEAREST = 30, 10


async def wait(call: Call) -> Response:
    """The newest message that answers, or, behind `after`, the first; waited for where there is none yet."""
    found = await visible(call)
    given = asked(call, "timeout")
    query, longest = given.query, timeout(call, given, USUAL_WAIT)
    async with waiting(call, found.id, longest) as more:
        while True:
            seen = await call.read(lambda c: inbox.newest(c, found.id))
            if caught := await first(call, found.id, query, most=1, oldest=given.query.after > 0):
                return answer(shown(call, caught[0]))
            # What was looked at is not looked at again.
            query = replace(query, after=max(query.after, seen))
            if not await more.more():
                break
    return await _missed(call, found.id, given.query, Count(1), 0, longest)


async def latest(call: Call) -> Response:
    found = await visible(call)
    caught = await first(call, found.id, asked(call).query, most=1)
    return answer(shown(call, caught[0])) if caught else refuse(call, Fault.NOT_FOUND)


async def search(call: Call) -> Response:
    """The newest first, and as many as are asked for."""
    found = await visible(call)
    given = asked(call, "limit")
    most = number(call, given, "limit", USUAL_SEARCH, MOST_SEARCH)
    return answer([shown(call, each) for each in await first(call, found.id, given.query, most=most)])


async def delete(call: Call) -> Response:
    """Those that answer. Without any condition it is `clean` that is meant."""
    found = await visible(call, VIEWER_PLUS)
    query = asked(call).query
    if query.empty:
        refuse(call, Fault.QUERY_INVALID, "say which: to delete all messages there is 'clean'")
    ids = [each.id async for each in matches(call, found.id, query)]
    gone = 0
    for begin in range(0, len(ids), inbox.SOME):
        some = ids[begin : begin + inbox.SOME]
        gone += await call.write(lambda c, some=some: inbox.remove(c, call.deps.captured, found.id, some))  # type: ignore[misc]
    return answer({"deleted": gone})


@dataclass(frozen=True, slots=True)
class Count:
    """How many are expected. ``most`` None: any number more."""

    least: int
    most: int | None = None

    def holds(self, found: int) -> bool:
        return self.least <= found and (self.most is None or found <= self.most)

    @property
    def enough(self) -> int:
        """So many messages are looked for: more decide nothing."""
        return max(self.least if self.most is None else self.most + 1, 1)

    def __str__(self) -> str:
        if self.most is None:
            return f"at least {self.least}"
        return f"exactly {self.least}" if self.least == self.most else f"{self.least} to {self.most}"


async def check(call: Call) -> Response:
    """200 when as many messages answer as are expected, else 422 and how the others differ."""
    found = await visible(call)
    form = Form(await members(call))
    for name in form.given:
        if name not in ("query", "count", "timeout"):
            form.wrong(name[:100], "is unknown; known are query, count, timeout")
    query, count, longest = of_form(form), _count(form), _timeout(form)
    form.check()
    async with waiting(call, found.id, longest) as more:
        while True:
            caught = await first(call, found.id, query, most=count.enough)
            if count.holds(len(caught)):
                most = caught[:USUAL_SEARCH]
                return answer({"matched": len(caught), "messages": [shown(call, each) for each in most]})
            # More of them cannot be undone by what comes.
            if (count.most is not None and len(caught) > count.most) or not await more.more():
                break
    return await _missed(call, found.id, query, count, len(caught), longest)


# --- what was expected ---------------------------------------------------------------------------------------------


def _count(form: Form) -> Count:
    """At least one where nothing is said; a number is exactly so many."""
    given = form.given.get("count")
    if given is None:
        return Count(1)
    within = Form(given if isinstance(given, dict) else {"exactly": given})
    found = {name: within.number(name) for name in ("at_least", "at_most", "exactly")}
    for name in within.given:
        if name not in found:
            within.wrong(name[:100], "is unknown; known are at_least, at_most, exactly")
    for name, texts in within.errors.items():
        form.wrong("count", f"'{name}' {texts[0]}")
    least, most, exactly = (found[name] for name in ("at_least", "at_most", "exactly"))
    if exactly is not None:
        if least is not None or most is not None:
            form.wrong("count", "must be exactly so many, or a range")
        least = most = exactly
    if any(each is not None and each > MOST_COUNTED for each in (least, most)):
        form.wrong("count", f"must not be more than {MOST_COUNTED}")
    if least is not None and most is not None and least > most:
        form.wrong("count", "must be a range that some number is in")
    return Count(least if least is not None else 1 if most is None else 0, most)


def _timeout(form: Form) -> float:
    value = form.given.get("timeout", 0)
    found = seconds(str(value), 0, LONGEST_WAIT) if isinstance(value, (int, float, str)) and value is not True else None
    if found is None:
        form.wrong("timeout", f"must be seconds, {LONGEST_WAIT} at most")
    return found or 0.0


async def _missed(call: Call, inbox_id: int, query: Query, count: Count, matched: int, longest: float) -> Response:
    """422, with the messages that are nearest to what was wanted, and how each differs."""
    there = await call.read(lambda c: candidates(c, inbox_id, Query(), most=COMPARED))
    readings: Sequence[Reading | None] = [None] * len(there)
    if query.reads:
        readings = [(await read(call, [each]))[0] for each in there]
    compared = [(each, differences(query, each, known)) for each, known in zip(there, readings, strict=True)]
    compared.sort(key=lambda pair: len(pair[1]))  # the newest first among those that are as near
    many = "more than one may" if count.most is not None and matched > count.most else str(matched)
    within = f" within {longest:g} s" if longest else ""
    told = f"expected {count} of the messages to answer the query{within}, found {many}"
    body = {
        "errors": {"base": [told]},
        "matched": matched,
        "nearest": [_told(call, each, found) for each, found in compared[:NEAREST]],
    }
    return answer(body, 422, ["expected messages are not there"])


def _told(call: Call, candidate: Candidate, found: Sequence[Difference]) -> dict[str, Any]:
    caught: Caught = candidate.caught
    return {
        "message": shown(call, caught),
        "differences": [{"condition": each.condition, "wanted": each.wanted, "found": each.found} for each in found],
    }
