"""Insights and exports tell of an event what the notification of it tells."""

from typing import Any

import pytest

from mailferry.endpoints.ses.stories import told
from mailferry.journal.events import Kind
from mailferry.resources import suppressions

COMPLAINED = suppressions.why_rejected(suppressions.SPAM_COMPLAINT)
BOUNCED = suppressions.why_rejected(suppressions.HARD_BOUNCE)


@pytest.mark.parametrize(
    ("kind", "facts", "type_", "details"),
    [
        (Kind.DELIVERY, {}, "DELIVERY", {}),
        (Kind.REJECT, {"reason": COMPLAINED}, "COMPLAINT", {"ComplaintSubType": "OnAccountSuppressionList"}),
        (Kind.REJECT, {"reason": BOUNCED, "transport": "simulator"}, "BOUNCE", {"BounceSubType": "Suppressed"}),
        (Kind.SPAM, {"feedback_type": "abuse"}, "COMPLAINT", {"ComplaintFeedbackType": "abuse"}),
        (Kind.BOUNCE, {"category": "overquota", "code": 552}, "BOUNCE", {"BounceSubType": "MailboxFull"}),
    ],
)
def test_it_has_the_words_of_notifications(kind: Kind, facts: dict[str, Any], type_: str, details: Any) -> None:
    found = told(kind, facts)
    assert found and found[0] == type_
    shown = found[1].get(type_.capitalize(), {})
    assert {name: shown[name] for name in details} == details
