"""The way in: what it costs the others while one message is large."""

import threading
from typing import Any

import pytest

from mailferry.intake import draft
from mailferry.intake.checks import Limits
from mailferry.intake.refusal import Reason
from mailferry.intake.submission import Accepted, Rcpt, Refused, Submission
from mailferry.mail.address import Mailbox
from mailferry.mail.compose import Content
from mailferry.mail.header import LARGE
from mailferry.store.schema import messages
from tests import delivery_support
from tests.delivery_support import DOMAIN, SQLITE, Office

office, engines = delivery_support.office, delivery_support.engines
pytestmark = SQLITE


def submission(office: Office, text: str, sender: str = f"app@{DOMAIN}") -> Submission:
    return Submission(
        account_id=office.account,
        token_id=1,
        sender_domains=None,
        endpoint="mailtrap",
        stream="transactional",
        recipients=(Rcpt("a@dest.test"), Rcpt("b@dest.test")),
        content=Content(Mailbox(sender), (Mailbox("a@dest.test"),), subject="Hello", text=text),
    )


async def test_a_large_message_is_composed_beside_the_event_loop(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    composed_in: list[bool] = []
    compose = draft.compose

    def spy(*arguments: Any, **named: Any) -> bytes:
        composed_in.append(threading.current_thread() is threading.main_thread())
        return compose(*arguments, **named)

    monkeypatch.setattr(draft, "compose", spy)
    large = "It works.\n" * (LARGE // 9)
    results = await office.intake.accept([submission(office, "small"), submission(office, large)])
    assert composed_in == [True, False], "the small one at once, for the way there and back costs more than the work"
    assert isinstance(results, list)
    for result in results:
        assert isinstance(result, Accepted)
        ids = [result.message_id, *result.recipient_ids]
        assert ids == sorted(set(ids))
    rows = await office.rows(messages)
    assert [row.size > LARGE for row in rows] == [False, True]


async def test_what_is_wrong_with_a_large_message_is_told_as_ever(office: Office) -> None:
    large = "It works.\n" * (LARGE // 9)
    results = await office.intake.accept(
        [
            submission(office, large + "\0"),
            submission(office, large, "app@stranger.test"),
            submission(office, "ü" * (Limits().message // 5)),
        ]
    )
    assert isinstance(results, list)
    reasons = [refusal.reason for result in results if isinstance(result, Refused) for refusal in result.refusals]
    assert reasons == [Reason.TEXT_INVALID, Reason.SENDER_NOT_ALLOWED, Reason.MESSAGE_TOO_LARGE]
