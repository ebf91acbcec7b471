"""`.../messages/{id}/spam_report` and `/analyze`, and our own `/checks`: what the sandbox's checks say of a message."""

from collections.abc import Callable, Collection
from dataclasses import asdict
from typing import Any

from starlette.responses import Response

from mailferry.endpoints.mailtrap.deps import Call
from mailferry.endpoints.mailtrap.errors import Fault, answer
from mailferry.endpoints.mailtrap.forms import refuse
from mailferry.endpoints.mailtrap.inbox_messages import existing
from mailferry.endpoints.mailtrap.query import BadQueryError, parse
from mailferry.endpoints.mailtrap.sandbox_reports import blacklists_report_info, spam_report
from mailferry.sandbox.checks import html
from mailferry.sandbox.checks.spam import verdict
from mailferry.sandbox.report import NAMES, Outcome, Report
from mailferry.store.content import ContentGone


async def get_spam_report(call: Call) -> Response:
    found = (await _checked(call, ("spam",))).spam
    judged = found.value or verdict.failed("", verdict.SOFTWARE, found.problem.rstrip("."))
    return answer({"report": spam_report(judged)})


async def get_analysis(call: Call) -> Response:
    found = (await _checked(call, ("html",))).html
    return answer(html.mailtrap(found.value) if found.value else html.mailtrap_failure(found.problem))


async def get_checks(call: Call) -> Response:
    """All of them, or those that the query names; each has a value or says why there is none."""
    names = _names(call)
    report = await _checked(call, names)
    return answer({name: _outcome(getattr(report, name), SHOWN[name]) for name in NAMES if name in names})


SHOWN: dict[str, Callable[[Any], Any]] = {
    "html": html.detailed,
    "spam": spam_report,
    "links": asdict,
    "headers": lambda findings: [asdict(each) for each in findings],
    "authentication": lambda findings: [asdict(each) for each in findings],
    "blocklists": blacklists_report_info,
    "accessibility": lambda findings: [asdict(each) for each in findings],
}


def _outcome(outcome: Outcome[Any], shown: Callable[[Any], Any]) -> dict[str, Any]:
    found = None if outcome.value is None else shown(outcome.value)
    return {"result": found, "problem": outcome.problem or None, "ms": outcome.ms}


async def _checked(call: Call, names: Collection[str]) -> Report:
    caught = await existing(call)
    try:
        raw = await call.read(lambda connection: call.deps.captured.read(connection, caught.where))
    except ContentGone:  # it was deleted in this very moment
        refuse(call, Fault.NOT_FOUND)
    return await call.deps.checker.check(raw, names)


def _names(call: Call) -> Collection[str]:
    try:
        asked = [value for path, value in parse(call.request.scope["query_string"]) if path == ("names",)]
    except BadQueryError as error:
        refuse(call, Fault.QUERY_INVALID, str(error))
    if strange := [name for name in asked if name not in NAMES]:
        refuse(call, Fault.QUERY_INVALID, f"'names' has {strange[0]!r}, which is none of {', '.join(NAMES)}")
    return asked or NAMES
