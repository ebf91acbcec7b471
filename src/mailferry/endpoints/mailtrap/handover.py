"""Messages of a send request on their way into the intake: rendered where they come from a template, and in slices.

A slice's messages are rendered, composed and accepted before the next one's are: 500 that share one large attachment or
template would otherwise all lie in memory at once.
"""

from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import aclosing
from dataclasses import dataclass

from mailferry.endpoints.bodies import Share
from mailferry.endpoints.mailtrap import message
from mailferry.endpoints.mailtrap.deps import Call
from mailferry.endpoints.mailtrap.errors import Fault, Problem
from mailferry.endpoints.mailtrap.message import Draft
from mailferry.intake.render import Rendering
from mailferry.intake.submission import Accepted, Refused, Submission
from mailferry.store.database import unavailable

#: About so many octets make a slice.
SLICE_OCTETS = 32 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Failed:
    """Nothing became of it, through no fault of its own; others of its request may have been accepted."""

    fault: Fault = Fault.OURS


Outcome = Accepted | Refused | Failed
Ready = Submission | Refused | Failed


async def open_rendering(call: Call, drafts: Iterable[Draft]) -> Rendering | None:
    """What templates of the request are rendered with; None: it has none."""
    used = {draft.submission.template.uuid for draft in drafts if draft.submission.template}
    return await call.deps.renderer.open(call.token.account_id, used) if used else None


async def ready(call: Call, draft: Draft, rendering: Rendering | None, share: Share) -> Ready:
    """For the intake: rendered if it must be, and its octets taken from the memory that all requests share."""
    if draft.submission.template is None or rendering is None:
        return draft.submission
    rendered = await rendering.render(draft.submission, call.deps.limits)
    if isinstance(rendered, Submission) and not await share.take(message.octets(rendered)):
        return Failed(Fault.BUSY)
    return rendered


async def accept_slices(call: Call, drafts: Sequence[Draft]) -> list[Outcome] | Problem:
    """In the order of the drafts. A problem: not one of them was accepted."""
    results: list[Outcome] = []
    async with aclosing(_slices(call, drafts)) as slices:
        try:
            async for part in slices:
                submissions = [each for each in part if isinstance(each, Submission)]
                outcome = await call.deps.intake.accept(submissions) if submissions else []
                assert isinstance(outcome, list), "only under an idempotency key there are other answers"
                results += woven(part, outcome)
        except Exception as error:
            if not results:
                raise
            # What stands before is accepted, so the client must hear its ids: a 500 would make it send that again.
            away = unavailable(error)
            tell = call.deps.log.warning if away else call.deps.log.exception
            tell("batch_slice_failed", request_id=call.request_id, error=type(error).__name__)
            failed = Failed(Fault.UNAVAILABLE if away else Fault.OURS)
            return results + [failed] * (len(drafts) - len(results))
    busy = Failed(Fault.BUSY)
    return Problem(busy.fault) if results and all(result == busy for result in results) else results


def woven(part: Sequence[Ready], results: Sequence[Accepted | Refused]) -> list[Outcome]:
    """The intake's results between those that never got there, every one in its draft's place."""
    heard = iter(results)
    return [next(heard) if isinstance(each, Submission) else each for each in part]


async def _slices(call: Call, drafts: Sequence[Draft]) -> AsyncGenerator[list[Ready], None]:
    """Every draft in its place. A slice's memory is given back when the next one is asked for."""
    part: list[Ready] = []
    size = 0
    with Share(call.deps.budget, call.deps.body.patience) as share:
        rendering = await open_rendering(call, drafts)
        for place, draft in enumerate(drafts):
            item = await ready(call, draft, rendering, share)
            octets = message.octets(item) if isinstance(item, Submission) else 0
            if size and size + octets > SLICE_OCTETS:
                yield part
                share.give_back(keep=octets)
                part, size = [], 0
            part.append(item)
            size += octets
            if isinstance(item, Failed):
                # There was no memory for as long as one waits for it; the others would wait in vain, one by one.
                part += [item] * (len(drafts) - place - 1)
                break
        if part:
            yield part
