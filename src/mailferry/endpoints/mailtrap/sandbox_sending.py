"""``POST /api/send/{inbox_id}`` and ``/api/batch/{inbox_id}``: as sending is, and nothing leaves. One id a message, in decimal."""

from collections.abc import Sequence
from typing import Any

from starlette.responses import Response

from mailferry.endpoints.bodies import Share, aside
from mailferry.endpoints.mailtrap import inbox_faults, message, sending
from mailferry.endpoints.mailtrap.deps import Call
from mailferry.endpoints.mailtrap.errors import FAULTS, Fault, Problem, answer, refused, refused_body
from mailferry.endpoints.mailtrap.handover import SLICE_OCTETS, Failed, open_rendering, ready
from mailferry.endpoints.mailtrap.inboxes import sending_inbox
from mailferry.endpoints.mailtrap.message import Draft, Translator
from mailferry.intake.sandboxed import capture_of
from mailferry.intake.submission import Refused, Submission
from mailferry.resources.inboxes import Inbox
from mailferry.sandbox.capture import Capture

#: A message's id in its inbox, or what became of it.
Outcome = int | Refused | Failed


async def send(call: Call) -> Response:
    inbox = await sending_inbox(call)
    if isinstance(inbox, Response):
        return inbox
    with Share(call.deps.budget, call.deps.body.patience) as share:
        received = await sending.receive(call, share)
        if isinstance(received, Problem):
            return call.problem(received)
        item = await aside(received.size, lambda: sending.item(call, Translator(call), received.members))
        if fault := await inbox_faults.meet(call, inbox, [item]):
            return fault
        (outcome,) = await _capture(call, inbox, [item])
    if isinstance(outcome, Failed):
        return call.problem(Problem(outcome.fault))
    return refused(outcome.refusals) if isinstance(outcome, Refused) else answer(_result(outcome))


async def batch(call: Call) -> Response:
    inbox = await sending_inbox(call)
    if isinstance(inbox, Response):
        return inbox
    with Share(call.deps.budget, call.deps.body.patience) as share:
        received = await sending.receive(call, share)
        if isinstance(received, Problem):
            return call.problem(received)
        if wrong := sending.envelope(call, received.members):
            return wrong
        items = await aside(received.size, lambda: sending.items(call, received.members))
        if fault := await inbox_faults.meet(call, inbox, items):
            return fault
        outcomes = await _capture(call, inbox, items)
    busy = Failed(Fault.BUSY)
    if all(outcome == busy for outcome in outcomes):
        return call.problem(Problem(busy.fault))
    return answer({"success": True, "responses": [_result(outcome) for outcome in outcomes]})


async def _capture(call: Call, inbox: Inbox, items: Sequence[Draft | Refused]) -> list[Outcome]:
    """In the order of the items, and slice by slice: what five hundred of them become need not fit into memory at once."""
    outcomes: list[Outcome] = []
    rendering = await open_rendering(call, [item for item in items if isinstance(item, Draft)])
    part: list[Capture | Refused | Failed] = []
    size = 0
    with Share(call.deps.budget, call.deps.body.patience) as share:
        for item in items:
            found = item if isinstance(item, Refused) else await ready(call, item, rendering, share)
            prepared = await _composed(call, inbox, found) if isinstance(found, Submission) else found
            part.append(prepared)
            size += len(prepared.message) if isinstance(prepared, Capture) else 0
            if size > SLICE_OCTETS:
                outcomes += await _kept(call, part)
                share.give_back()
                part, size = [], 0
        return outcomes + await _kept(call, part)


async def _composed(call: Call, inbox: Inbox, submission: Submission) -> Capture | Refused:
    deps, largest = call.deps, inbox.max_message_size

    def compose() -> Capture | Refused:
        return capture_of(submission, inbox.id, largest, deps.limits, deps.new_id, deps.clock())

    return await aside(message.octets(submission), compose)


async def _kept(call: Call, part: Sequence[Capture | Refused | Failed]) -> list[Outcome]:
    captures = [each for each in part if isinstance(each, Capture)]
    ids = iter(await call.deps.sandbox.capture(captures) if captures else [])
    # 0: the inbox was deleted meanwhile.
    return [(next(ids) or Failed(Fault.NOT_FOUND)) if isinstance(each, Capture) else each for each in part]


def _result(outcome: Outcome) -> dict[str, Any]:
    if isinstance(outcome, Refused):
        return refused_body(outcome.refusals)
    if isinstance(outcome, Failed):
        return {"success": False, "errors": [FAULTS[outcome.fault].text]}
    return {"success": True, "message_ids": [str(outcome)]}
