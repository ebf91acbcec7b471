"""A submission that an inbox is to catch: checked and composed as for real, and asked for no sending domain."""

from collections.abc import Callable
from typing import Any

from mailferry.intake import checks
from mailferry.intake.refusal import Reason, Refusal
from mailferry.intake.submission import Refused, Submission
from mailferry.mail import address
from mailferry.mail.compose import compose
from mailferry.sandbox.capture import Capture


def capture_of(
    submission: Submission, inbox_id: int, largest: int, limits: checks.Limits, new_id: Callable[[], str], now: int
) -> Capture | Refused:
    """``largest``: octets of a message that the inbox takes. Any thread may call it."""
    if refusals := checks.check(submission, limits):
        return Refused(refusals)
    content = submission.content
    assert content is not None, "only an API's fields are composed"
    domain = address.split(content.sender.address)[1]
    message = compose(content, message_id=f"{new_id()}@{domain}", date_ms=now)
    if len(message) > largest:
        return Refused((Refusal(Reason.MESSAGE_TOO_LARGE, detail=str(largest)),))
    return Capture(
        inbox_id=inbox_id,
        message=message,
        endpoint=submission.endpoint,
        envelope_from=content.sender.address,
        envelope_to=tuple(dict.fromkeys(address.parse(each.address) for each in submission.recipients)),
        **_beside(submission),
    )


def _beside(submission: Submission) -> dict[str, Any]:
    names = ("client_ip", "category", "custom_variables", "template_id", "template_variables")
    return {name: getattr(submission, name) for name in names}
