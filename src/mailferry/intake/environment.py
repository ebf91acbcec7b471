"""What an environment rule makes of a message that passed every check: what of it goes on its way, what is caught, and what the
client is told, which is always what it would be told without the rule.

What is caught is in no log: no recipient, no event, no suppression, no webhook comes of it.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace

from mailferry.intake.keep import Draft, DraftRecipient
from mailferry.intake.refusal import Reason, Refusal
from mailferry.intake.submission import Accepted, Refused
from mailferry.mail import address
from mailferry.mail.encode import encode_field
from mailferry.resources.environments import Mode, Rule
from mailferry.sandbox.capture import Capture

#: Whom a redirected message was for.
ORIGINAL_TO = "X-Mailferry-Original-To"

Catch = Callable[[Sequence[Capture]], Awaitable[list[int]]]


@dataclass(frozen=True, slots=True)
class Way:
    """``draft``: what goes on its way; None: nothing of it."""

    told: Accepted
    draft: Draft | None
    capture: Capture | None = None


async def ways(drafts: Sequence[Draft | Refused], catch: Catch) -> list[Way | Refused]:
    """In their order; what is to be caught is durable. Where that cannot be, nothing of the message goes on either."""
    found = [_way(draft) if isinstance(draft, Draft) else draft for draft in drafts]
    captures = [way.capture for way in found if isinstance(way, Way) and way.capture]
    if not captures:
        return found
    caught = iter(await catch(captures))
    return [
        Refused((Refusal(Reason.ENVIRONMENT_INBOX_GONE, detail=str(way.capture.inbox_id)),))
        if isinstance(way, Way) and way.capture and not next(caught)
        else way
        for way in found
    ]


def _way(draft: Draft) -> Way:
    told = Accepted(draft.row["id"], tuple(each.id for each in draft.recipients))
    rule = draft.environment
    if rule is None or draft.failure:  # what could not be rendered goes nowhere anyway, and is told as ever
        return Way(told, draft)
    allowed = tuple(each for each in draft.recipients if rule.allows(each.key))
    others = tuple(each for each in draft.recipients if not rule.allows(each.key))
    if not others:
        return Way(told, draft)
    if rule.mode is Mode.CAPTURE:
        rest = replace(draft, recipients=allowed) if allowed else None
        return Way(told, rest, _capture(draft, rule, others))
    return _redirected(draft, rule, allowed, others)


def _capture(draft: Draft, rule: Rule, recipients: Sequence[DraftRecipient]) -> Capture:
    """What the sandbox's own senders leave of a message."""
    row = draft.row
    return Capture(
        inbox_id=rule.inbox_id,
        message=draft.body,
        endpoint=row["endpoint"],
        envelope_from=row["sender"],
        envelope_to=tuple(dict.fromkeys(each.address for each in recipients)),
        client_ip=row["client_ip"],
        category=row["category"],
        custom_variables=row["custom_variables"],
        template_id=row["template_id"],
        template_variables=row["template_variables"],
    )


def _redirected(draft: Draft, rule: Rule, allowed: Sequence[DraftRecipient], others: Sequence[DraftRecipient]) -> Way:
    """One copy for all, of which each of them has the id. Only the envelope changes, and a field says for whom it was."""
    key = address.key(rule.redirect_to)
    one = replace(others[0], address=rule.redirect_to, key=key, destination=address.split(rule.redirect_to)[1])
    # Whom the rule allows may be the one that it redirects to: it gets one copy.
    one = next((each for each in allowed if each.key == key), one)
    ids = {each.id: one.id for each in others}
    told = Accepted(draft.row["id"], tuple(ids.get(each.id, each.id) for each in draft.recipients))
    # Whom the rule allows reads the field as well, and must not see who was a Bcc.
    named = [each.address for each in others if each.kind != "bcc" or not allowed]
    field = encode_field(ORIGINAL_TO, ", ".join(named)) if named else b""
    return Way(told, replace(draft, recipients=tuple(dict.fromkeys((*allowed, one))), body=field + draft.body))
