"""``POST /api/send`` and ``/api/batch``: body to submissions, the intake's results to the answer.

A batch is answered 200 with a result an item as soon as its envelope is sound, even if every item is refused.
"""

import asyncio
import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec
from starlette.datastructures import Headers
from starlette.responses import Response

from mailferry.endpoints.mailtrap import message, weight, wire
from mailferry.endpoints.mailtrap.body import Share, read_body
from mailferry.endpoints.mailtrap.deps import Call
from mailferry.endpoints.mailtrap.errors import FAULTS, Fault, Problem, answer, json_response, refused, refused_body
from mailferry.endpoints.mailtrap.message import Draft, Translator
from mailferry.intake.refusal import Reason, Refusal
from mailferry.intake.submission import Accepted, KeyReused, Once, Refused, Replayed

T = TypeVar("T")

MAX_REQUESTS = 500
#: What a batch's base may give to its requests. Recipients are not among it.
SHARED = (
    *("from", "reply_to", "subject", "text", "html", "headers", "attachments", "category", "custom_variables"),
    *("template_uuid", "template_variables"),
)
#: A body of this size is decoded and translated in a thread, so that other requests do not wait for its attachments.
LARGE_BODY = 256 * 1024
#: A batch's messages are handed over in slices of about so many octets: 500 that share one large attachment would
#: otherwise all be composed at once. Under an idempotency key there is one slice, for it is one transaction.
SLICE_OCTETS = 32 * 1024 * 1024
MAX_KEYED_OCTETS = 64 * 1024 * 1024
MAX_KEY = 255


@dataclass(frozen=True, slots=True)
class _Received:
    members: dict[str, Any]
    size: int
    #: The idempotency key, empty when there is none.
    key: str
    body_hash: str


@dataclass(frozen=True, slots=True)
class _Failed:
    """The intake broke down over it (and not over the items before it)."""


async def send(call: Call) -> Response:
    with Share(call.deps.budget, call.deps.body.patience) as share:
        received = await _receive(call, share)
        if isinstance(received, Problem):
            return call.problem(received)
        item = await _aside(received.size, lambda: _item(call, Translator(call), received.members))
        if isinstance(item, Refused):
            return refused(item.refusals)
        once = _once(call, "send", received, lambda results: _result(results[0]))
        outcome = await call.deps.intake.accept([item.submission], once)
        if not isinstance(outcome, list):
            return _known(call, outcome)
        result = outcome[0]
        return refused(result.refusals) if isinstance(result, Refused) else answer(_result(result))


async def batch(call: Call) -> Response:
    with Share(call.deps.budget, call.deps.body.patience) as share:
        received = await _receive(call, share)
        if isinstance(received, Problem):
            return call.problem(received)
        if wrong := _envelope(call, received.members):
            return wrong
        items = await _aside(received.size, lambda: _items(call, received.members))
        drafts = [item for item in items if isinstance(item, Draft)]
        if received.key and message.octets(drafts) > MAX_KEYED_OCTETS:
            return call.problem(Problem(Fault.BATCH_TOO_LARGE, str(MAX_KEYED_OCTETS)))
        once = _once(call, "batch", received, lambda results: _responses(items, results))
        outcome = await _accept_slices(call, drafts, once)
        return answer(_responses(items, outcome)) if isinstance(outcome, list) else _known(call, outcome)


async def sandbox(call: Call) -> Response:
    """Refused without a look at the body: what is meant for a sandbox is never delivered."""
    return refused([Refusal(Reason.SANDBOX_UNAVAILABLE)])


# --- what came -----------------------------------------------------------------------------------------------------


async def _receive(call: Call, share: Share) -> _Received | Problem:
    headers = call.request.headers
    key = _key(headers)
    if isinstance(key, Problem):
        return key
    body = await read_body(call.request.receive, headers, share, call.deps.body)
    if isinstance(body, Problem):
        return body
    grown = await _aside(len(body), lambda: weight.growth(body, share.largest))
    if len(body) + grown > share.largest:
        return Problem(Fault.VALUES_TOO_MANY)
    if grown and not await share.take(grown):
        return Problem(Fault.BUSY)
    members = await _aside(len(body), lambda: wire.decode(body))
    if isinstance(members, Problem):
        return members
    body_hash = await _aside(len(body), lambda: hashlib.sha256(body).hexdigest()) if key else ""
    return _Received(members, len(body), key, body_hash)


def _key(headers: Headers) -> str | Problem:
    given = headers.getlist("idempotency-key")
    if not given:
        return ""
    key = given[0]
    if len(given) > 1 or not 1 <= len(key) <= MAX_KEY or not (key.isascii() and key.isprintable()):
        return Problem(Fault.KEY_INVALID)
    return key


def _envelope(call: Call, members: dict[str, Any]) -> Response | None:
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


def _items(call: Call, members: dict[str, Any]) -> list[Draft | Refused]:
    base = members.get("base") or {}
    shared = {name: base[name] for name in SHARED if base.get(name) is not None}
    translator = Translator(call, shared)
    items: list[Draft | Refused] = []
    for index, request in enumerate(members["requests"]):
        if not isinstance(request, dict):
            items.append(Refused((Refusal(Reason.WRONG_TYPE, "requests", index, "an object"),)))
            continue
        # A request's property replaces the base's, whatever is inside: headers and variables are not merged.
        own = {name: value for name, value in request.items() if value is not None}
        items.append(_item(call, translator, shared | own))
    return items


def _item(call: Call, translator: Translator, members: dict[str, Any]) -> Draft | Refused:
    draft = translator.translate(members)
    refusals = message.refusals(draft, call.deps.limits)
    return Refused(refusals) if refusals else draft


async def _aside(size: int, work: Callable[[], T]) -> T:
    return await asyncio.to_thread(work) if size > LARGE_BODY else work()


# --- what became of it ---------------------------------------------------------------------------------------------

_Outcome = Accepted | Refused | _Failed


def _once(
    call: Call, endpoint: str, received: _Received, body: Callable[[Sequence[Accepted | Refused]], dict[str, Any]]
) -> Once | None:
    """The streams are apart: the same request to the other host is another request."""
    if not received.key:
        return None

    def text(results: Sequence[Accepted | Refused]) -> str:
        return msgspec.json.encode(body(results)).decode()

    name = f"mailtrap.{endpoint}.{call.stream}"
    return Once(call.token.account_id, name, received.key, received.body_hash, text)


async def _accept_slices(
    call: Call, drafts: Sequence[Draft], once: Once | None
) -> list[_Outcome] | Replayed | KeyReused:
    results: list[_Outcome] = []
    for part in [drafts] if once and drafts else _slices(drafts):
        try:
            outcome = await call.deps.intake.accept([draft.submission for draft in part], once)
        except Exception:
            if not results:
                raise
            # What stands before is accepted, so the client must hear its ids: a 500 would make it send that again.
            call.deps.log.exception("batch_slice_failed", request_id=call.request_id)
            return results + [_Failed()] * (len(drafts) - len(results))
        if not isinstance(outcome, list):
            return outcome
        results += outcome
    return results


def _slices(drafts: Sequence[Draft]) -> Iterator[Sequence[Draft]]:
    start, size = 0, 0
    for end, draft in enumerate(drafts):
        octets = message.octets([draft])
        if size and size + octets > SLICE_OCTETS:
            yield drafts[start:end]
            start, size = end, 0
        size += octets
    if drafts:
        yield drafts[start:]


def _responses(items: Sequence[Draft | Refused], results: Sequence[_Outcome]) -> dict[str, Any]:
    """Every result in its request's place: the intake's ones between those that never got there."""
    heard = iter(results)
    return {
        "success": True,
        "responses": [_result(item if isinstance(item, Refused) else next(heard)) for item in items],
    }


def _result(result: _Outcome) -> dict[str, Any]:
    if isinstance(result, Accepted):
        return {"success": True, "message_ids": result.recipient_ids}
    if isinstance(result, Refused):
        return refused_body(result.refusals)
    return {"success": False, "errors": [FAULTS[Fault.OURS].text]}


def _known(call: Call, outcome: Replayed | KeyReused) -> Response:
    if isinstance(outcome, KeyReused):
        return call.problem(Problem(Fault.KEY_REUSED))
    response = json_response(outcome.answer.encode())
    response.headers["Idempotent-Replayed"] = "true"
    return response
