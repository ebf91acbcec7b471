"""`.../inboxes/{inbox_id}/faults`: how an inbox misbehaves on purpose. Ours: Mailtrap has an address that bounces, for SMTP alone.

And what the faults of a request to send are: a batch is one request, and the first of its messages that is refused
answers for all of them.
"""

import asyncio
import re
from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection
from starlette.responses import Response

from mailferry.endpoints.mailtrap.deps import Call
from mailferry.endpoints.mailtrap.errors import answer
from mailferry.endpoints.mailtrap.forms import BLANK, Form, members
from mailferry.endpoints.mailtrap.inboxes import visible
from mailferry.endpoints.mailtrap.message import Draft
from mailferry.intake.submission import Refused
from mailferry.resources import audit, inboxes
from mailferry.resources.inboxes import Inbox
from mailferry.resources.permissions import ADMIN
from mailferry.sandbox import faults
from mailferry.sandbox.faults import LONGEST_DELAY, MOST_RULES, Action, Faults, Rule, Seen, Stage

#: Characters of a pattern, and of a refusal's text: a reply of SMTP is not longer.
LONGEST = 200
MOST_TEXT = 400
MOST_COUNT = 1_000_000
#: What each status says where the rule says nothing.
TEXTS = {
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    413: "Message too large",
    422: "Unprocessable Entity",
    429: "Rate limit exceeded",
    500: "Internal server error",
    503: "Service unavailable, try again later",
}
_ENHANCED = re.compile(r"[45]\.[0-9]{1,3}\.[0-9]{1,3}")
#: Where a message's recipients and its subject are known.
_KNOWS = {
    Stage.MAIL: (),
    Stage.RCPT: ("recipient",),
    Stage.DATA: ("recipient", "subject"),
    Stage.API: ("recipient", "subject"),
}


async def get_one(call: Call) -> Response:
    return answer(_shown((await visible(call)).faults))


async def replace(call: Call) -> Response:
    """All rules at once; what was counted for them begins anew."""
    inbox = await visible(call, ADMIN)
    form = Form(await members(call))
    rules = form.items("rules", _rule, MOST_RULES)
    if not form.has("rules"):
        form.wrong("rules", BLANK)
    seed = form.number("seed") or 0
    form.check()
    return await _keep(call, inbox, Faults(tuple(rules), seed))


async def delete(call: Call) -> Response:
    return await _keep(call, await visible(call, ADMIN), Faults())


async def meet(call: Call, inbox: Inbox, items: Sequence[Draft | Refused]) -> Response | None:
    """What a request to send is answered instead, after the delays that were asked for; None: it goes on."""
    if not inbox.faults:
        return None
    for item in items:
        if isinstance(item, Refused):
            continue
        verdict = call.deps.faults.play(inbox.id, inbox.faults, _seen(item))
        if verdict.seconds:
            await asyncio.sleep(verdict.seconds)
        if rule := verdict.rule:
            return answer({"success": False, "errors": [rule.text]}, rule.code, ["fault_on_purpose"])
    return None


def _seen(item: Draft) -> Seen:
    content, recipients = item.submission.content, [each.address for each in item.submission.recipients]
    return Seen(Stage.API, content.sender.address, recipients, content.subject) if content else Seen(Stage.API)


async def _keep(call: Call, inbox: Inbox, wanted: Faults) -> Response:
    text, now = faults.packed(wanted), call.deps.clock()

    def write(connection: Connection) -> None:
        inboxes.change(connection, inbox.id, {"faults": text})
        changes = {"faults": (_plain(inbox.faults), _plain(text))}
        named = ("inbox", inbox.id, inbox.name)
        audit.note(connection, call.account_id, call.actor, "inbox.faults_changed", named, now, changes)

    await call.write(write)
    call.deps.forget_inboxes()
    call.deps.faults.begin_anew(inbox.id)
    return answer(_shown(text))


def _shown(text: str) -> dict[str, Any]:
    return {"data": _plain(text)}


def _plain(text: str) -> Any:
    """As it was asked for: what a rule leaves open is not among its members."""
    found = faults.unpacked(text)
    blank = msgspec.structs.asdict(Rule(Stage.DATA, Action.REJECT))
    told = ("stage", "action")
    return {
        "seed": found.seed,
        "rules": [
            {
                name: value
                for name, value in msgspec.structs.asdict(rule).items()
                if name in told or value != blank[name]
            }
            for rule in found.rules
        ],
    }


# --- what was asked for --------------------------------------------------------------------------------------------


def _rule(form: Form) -> Rule:
    stage = form.choice("stage", [*Stage], required=True)
    action = form.choice("action", [*Action], required=True)
    if stage == Stage.API and action == Action.DISCONNECT:
        form.wrong("action", "disconnect is for SMTP")
    patterns: dict[str, Any] = {name: form.text(name, most=LONGEST) for name in ("sender", "recipient", "subject")}
    for name in ("recipient", "subject"):
        if patterns[name] and stage and name not in _KNOWS[Stage(stage)]:
            form.wrong(name, f"is not known yet at {stage}")
    counts = {name: _count(form, name) for name in ("first", "nth", "every")}
    chance = _decimal(form, "chance", 1.0)
    code, enhanced, text = _refusal(form, stage) if action == Action.REJECT else (0, "", "")
    seconds = _decimal(form, "seconds", LONGEST_DELAY, required=True) if action == Action.DELAY else 0.0
    if form.errors:
        return Rule(Stage.DATA, Action.REJECT)
    more: dict[str, Any] = patterns | counts | {"chance": chance, "seconds": seconds}
    return Rule(Stage(stage), Action(action), code, enhanced, text, **more)


def _refusal(form: Form, stage: str) -> tuple[int, str, str]:
    code, text = form.number("code") or 0, form.text("text", most=MOST_TEXT)
    if not 400 <= code <= 599:
        form.wrong("code", "must be between 400 and 599")
    enhanced = form.text("enhanced")
    if stage == Stage.API:
        if enhanced:
            form.wrong("enhanced", "is for SMTP")
        return code, "", text or TEXTS.get(code, "Refused on purpose")
    if enhanced and (not _ENHANCED.fullmatch(enhanced) or enhanced[0] != str(code)[0]):
        form.wrong("enhanced", "must be a code such as 5.7.1, of the same class as the code")
    return code, enhanced or f"{code // 100}.0.0", text or "Refused on purpose"


def _count(form: Form, name: str) -> int:
    value = form.number(name)
    if value is not None and not 1 <= value <= MOST_COUNT:
        form.wrong(name, f"must be between 1 and {MOST_COUNT}")
    return value or 0


def _decimal(form: Form, name: str, most: float, *, required: bool = False) -> float:
    """From 0 up to and with ``most``; ``most`` where it is absent."""
    value = form.given.get(name)
    if value is None:
        if required:
            form.wrong(name, BLANK)
        return most
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= most:
        form.wrong(name, f"must be a number between 0 and {most:g}")
        return most
    return float(value)
