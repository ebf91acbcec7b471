"""From a submission that passed its checks to a draft: composed if it must be, with ids, ready for its transaction."""

from collections.abc import Sequence

import msgspec

from mailferry.intake import checks, texts
from mailferry.intake.keep import Draft, DraftRecipient
from mailferry.intake.submission import Publishing, Submission
from mailferry.mail import address, header
from mailferry.mail.compose import compose
from mailferry.resources.domains import Domain


def make_draft(submission: Submission, domain: Domain, ids: Sequence[str], now: int) -> Draft:
    """``ids``: the message's, then one for each recipient, in their order. Any thread may call it."""
    message_id = ids[0]
    publishing = submission.publishing
    public_id = publishing.id_form(message_id) if publishing else message_id
    sender, subject, rfc_message_id, body = (
        _composed(submission, domain, public_id, now)
        if submission.content
        else _as_it_came(submission, domain, public_id)
    )
    return Draft(
        row={
            "id": message_id,
            "account_id": submission.account_id,
            "domain_id": domain.id,
            "token_id": submission.token_id,
            "endpoint": submission.endpoint,
            "stream": submission.stream,
            "sender": sender,
            "subject": subject,
            "rfc_message_id": rfc_message_id,
            "category": submission.category,
            "custom_variables": submission.custom_variables,
            "client_ip": submission.client_ip,
            "template_id": submission.template_id,
            "template_variables": submission.template_variables,
            "publishing": _facts(publishing, public_id) if publishing else "",
            "created_at": now,
        },
        body=body,
        suppressing=publishing.suppressing if publishing else None,
        opted_out=publishing.opted_out if publishing else frozenset(),
        failure=publishing.failure if publishing else "",
        expire_ms=publishing.expire_ms if publishing else 0,
        recipients=tuple(
            _recipient(rcpt.address, rcpt.kind, own) for rcpt, own in zip(submission.recipients, ids[1:], strict=True)
        ),
    )


def _recipient(text: str, kind: str, own: str) -> DraftRecipient:
    parsed = address.parse(text)
    _, destination = address.split(parsed)
    return DraftRecipient(own, parsed, kind, address.key(parsed), destination)


def _facts(publishing: Publishing, public_id: str) -> str:
    stopping = {} if publishing.suppressing is None else {"suppressing": sorted(publishing.suppressing)}
    return msgspec.json.encode({"id": public_id, **publishing.facts, **stopping}).decode()


def _composed(submission: Submission, domain: Domain, message_id: str, now: int) -> tuple[str, str, str, bytes]:
    content = submission.content
    assert content is not None
    ours = f"{message_id}@{domain.name}"
    return content.sender.address, content.subject, f"<{ours}>", compose(content, message_id=ours, date_ms=now)


def _as_it_came(submission: Submission, domain: Domain, message_id: str) -> tuple[str, str, str, bytes]:
    assert submission.raw is not None
    head = header.read_head(submission.raw)
    subject = next(iter(header.values(head, b"subject")), b"")
    own = texts.kept_line(header.decode(next(iter(header.values(head, b"message-id")), b""))).strip()
    # When it has none, or is not asked, `prepare` writes this one: stored bytes are what came.
    ours = f"<{message_id}@{domain.name}>"
    rfc_message_id = ours if submission.publishing else own or ours
    return checks.sender(submission).address, texts.kept_line(header.decode(subject)), rfc_message_id, submission.raw
