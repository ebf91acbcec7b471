"""``POST /api/send`` and ``/api/batch``: body to submissions, the intake's results to the answer.

A batch is answered 200 with a result an item as soon as its envelope is sound, even if every item is refused.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from starlette.datastructures import Headers
from starlette.responses import Response

from mailferry.endpoints.bodies import Share, aside, read_body
from mailferry.endpoints.mailtrap import message, weight, wire
from mailferry.endpoints.mailtrap.deps import Call
from mailferry.endpoints.mailtrap.errors import FAULTS, Fault, Problem, answer, json_response, refused, refused_body
from mailferry.endpoints.mailtrap.handover import Failed, Outcome, accept_slices, open_rendering, ready, woven
from mailferry.endpoints.mailtrap.message import Draft, Translator
from mailferry.intake.refusal import Reason, Refusal
from mailferry.intake.submission import Accepted, KeyReused, Once, Refused, Replayed, Submission

MAX_REQUESTS = 500
#: What a batch's base may give to its requests. Recipients are not among it.
SHARED = (
    *("from", "reply_to", "subject", "text", "html", "headers", "attachments", "category", "custom_variables"),
    *("template_uuid", "template_variables"),
)
#: Of a request in a batch: empty ones leave the base's as they are.
COLLECTIONS = ("attachments", "headers", "custom_variables", "template_variables")
#: Of the messages under one idempotency key: they are one transaction.
MAX_KEYED_OCTETS = 64 * 1024 * 1024
MAX_KEY = 255


@dataclass(frozen=True, slots=True)
class Received:
    members: dict[str, Any]
    size: int
    #: The idempotency key, empty when there is none.
    key: str
    body_hash: str


async def send(call: Call) -> Response:
    with Share(call.deps.budget, call.deps.body.patience) as share:
        received = await receive(call, share)
        if isinstance(received, Problem):
            return call.problem(received)
        draft = await aside(received.size, lambda: item(call, Translator(call), received.members))
        if isinstance(draft, Refused):
            return refused(draft.refusals)
        once = _once(call, "send", received, lambda results: _result(results[0]))
        if draft.templated and once and (known := await call.deps.intake.known(once)):
            return _known(call, known)
        submission = await ready(call, draft, await open_rendering(call, [draft]), share)
        if isinstance(submission, Failed):
            return call.problem(Problem(submission.fault))
        if isinstance(submission, Refused):
            return refused(submission.refusals)
        outcome = await call.deps.intake.accept([submission], once)
        if not isinstance(outcome, list):
            return _known(call, outcome)
        result = outcome[0]
        return refused(result.refusals) if isinstance(result, Refused) else answer(_result(result))


async def batch(call: Call) -> Response:
    with Share(call.deps.budget, call.deps.body.patience) as share:
        received = await receive(call, share)
        if isinstance(received, Problem):
            return call.problem(received)
        if wrong := envelope(call, received.members):
            return wrong
        found = await aside(received.size, lambda: items(call, received.members))
        drafts = [each for each in found if isinstance(each, Draft)]
        outcome = await (_accept_keyed(call, received, found) if received.key else accept_slices(call, drafts))
        if isinstance(outcome, Problem):
            return call.problem(outcome)
        return answer(_responses(found, outcome)) if isinstance(outcome, list) else _known(call, outcome)


# --- what came -----------------------------------------------------------------------------------------------------


async def receive(call: Call, share: Share) -> Received | Problem:
    headers = call.request.headers
    key = _key(headers)
    if isinstance(key, Problem):
        return key
    body = await read_body(call.request.receive, headers, share, call.deps.body)
    grown = await aside(len(body), lambda: weight.growth(body, share.largest))
    if len(body) + grown > share.largest:
        return Problem(Fault.VALUES_TOO_MANY)
    if grown and not await share.take(grown):
        return Problem(Fault.BUSY)
    members = await aside(len(body), lambda: wire.decode(body))
    if isinstance(members, Problem):
        return members
    body_hash = await aside(len(body), lambda: hashlib.sha256(body).hexdigest()) if key else ""
    return Received(members, len(body), key, body_hash)


def _key(headers: Headers) -> str | Problem:
    given = headers.getlist("idempotency-key")
    if not given:
        return ""
    key = given[0]
    if len(given) > 1 or not 1 <= len(key) <= MAX_KEY or not (key.isascii() and key.isprintable()):
        return Problem(Fault.KEY_INVALID)
    return key


def envelope(call: Call, members: dict[str, Any]) -> Response | None:
    """What is wrong with a batch as a whole."""
    refusals: list[Refusal] = []
    base = wire.Fields(members, refusals).members("base")
    requests = members.get("requests")
    if requests is not None and not isinstance(requests, list):
        refusals.append(Refusal(Reason.WRONG_TYPE, "requests", detail="an array"))
    if refusals:
        return refused(refusals)
    if not requests:
        return call.problem(Problem(Fault.REQUESTS_EMPTY))
    if len(requests) > MAX_REQUESTS:
        return call.problem(Problem(Fault.REQUESTS_TOO_MANY, str(MAX_REQUESTS)))
    # Left out silently, a copy that was asked for would never go. Some SDKs write them empty.
    if stray := [name for name in message.RECIPIENT_FIELDS if base.get(name)]:
        return call.problem(Problem(Fault.NOT_IN_BASE, stray[0]))
    return None


def items(call: Call, members: dict[str, Any]) -> list[Draft | Refused]:
    base = members.get("base") or {}
    shared = {name: base[name] for name in SHARED if base.get(name) is not None}
    translator = Translator(call, shared)
    found: list[Draft | Refused] = []
    for index, request in enumerate(members["requests"]):
        if not isinstance(request, dict):
            found.append(Refused((Refusal(Reason.WRONG_TYPE, "requests", index, "an object"),)))
            continue
        # A request's property replaces the base's, whatever is inside: headers and variables are not merged.
        own = {name: value for name, value in request.items() if not _unsaid(name, value)}
        found.append(item(call, translator, shared | own))
    return found


def _unsaid(name: str, value: Any) -> bool:
    """Mailtrap's Ruby SDK writes collections that nobody filled, and its batches still mean to have those of the base."""
    return value is None or (name in COLLECTIONS and value in ([], {}))


def item(call: Call, translator: Translator, members: dict[str, Any]) -> Draft | Refused:
    draft = translator.translate(members)
    refusals = message.refusals(draft, call.deps.limits)
    return Refused(refusals) if refusals else draft


# --- what became of it ---------------------------------------------------------------------------------------------


def _once(
    call: Call, endpoint: str, received: Received, body: Callable[[Sequence[Accepted | Refused]], dict[str, Any]]
) -> Once | None:
    """The streams are apart: the same request to the other host is another request."""
    if not received.key:
        return None

    def text(results: Sequence[Accepted | Refused]) -> str:
        return msgspec.json.encode(body(results)).decode()

    name = f"mailtrap.{endpoint}.{call.stream}"
    return Once(call.token.account_id, name, received.key, received.body_hash, text)


async def _accept_keyed(
    call: Call, received: Received, items: Sequence[Draft | Refused]
) -> list[Outcome] | Replayed | KeyReused | Problem:
    """All or nothing: what an idempotency key stands for is one transaction."""
    drafts = [item for item in items if isinstance(item, Draft)]
    part: list[Submission | Refused | Failed] = []

    def answered(results: Sequence[Accepted | Refused]) -> dict[str, Any]:
        return _responses(items, woven(part, results))

    once = _once(call, "batch", received, answered)
    if once and any(draft.templated for draft in drafts) and (known := await call.deps.intake.known(once)):
        return known
    with Share(call.deps.budget, call.deps.body.patience) as share:
        rendering, octets = await open_rendering(call, drafts), 0
        for draft in drafts:
            part.append(await ready(call, draft, rendering, share))
            if isinstance(part[-1], Failed):
                return Problem(part[-1].fault)
            octets += message.octets(part[-1]) if isinstance(part[-1], Submission) else 0
            if octets > MAX_KEYED_OCTETS:
                return Problem(Fault.BATCH_TOO_LARGE, str(MAX_KEYED_OCTETS))
        submissions = [each for each in part if isinstance(each, Submission)]
        outcome = await call.deps.intake.accept(submissions, once) if submissions else []
        return woven(part, outcome) if isinstance(outcome, list) else outcome


def _responses(items: Sequence[Draft | Refused], results: Sequence[Outcome]) -> dict[str, Any]:
    """Every result in its request's place: the intake's ones between those that never got there."""
    heard = iter(results)
    return {
        "success": True,
        "responses": [_result(item if isinstance(item, Refused) else next(heard)) for item in items],
    }


def _result(result: Outcome) -> dict[str, Any]:
    if isinstance(result, Accepted):
        return {"success": True, "message_ids": result.recipient_ids}
    if isinstance(result, Refused):
        return refused_body(result.refusals)
    return {"success": False, "errors": [FAULTS[result.fault].text]}


def _known(call: Call, outcome: Replayed | KeyReused) -> Response:
    if isinstance(outcome, KeyReused):
        return call.problem(Problem(Fault.KEY_REUSED))
    response = json_response(outcome.answer.encode())
    response.headers["Idempotent-Replayed"] = "true"
    return response
