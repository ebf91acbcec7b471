"""All that is wrong with a submission's fields, found at once, in the order of the fields (RFC 5321, RFC 5322).

Pure: who may send from where is asked elsewhere. A composed message is checked field by field; a message that came
whole (SMTP) is checked for what the sender rule needs: a readable head and exactly one From with one mailbox.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from mailferry.intake import texts
from mailferry.intake.refusal import Reason, Refusal
from mailferry.intake.submission import Rcpt, Submission
from mailferry.mail import address, header
from mailferry.mail.address import BadAddress, Mailbox
from mailferry.mail.compose import Attachment, Content
from mailferry.mail.header import BadHeader, Head, read_head, values

#: Refusals are told in this order, whoever found them.
FIELDS = (
    "from",
    "to",
    "cc",
    "bcc",
    "reply_to",
    "subject",
    "text",
    "html",
    "headers",
    "attachments",
    "category",
    "custom_variables",
    "template_uuid",
    "template_variables",
)
#: Of From's value as it came: a thousand characters of a name, each an encoded word of its own. Reading an endless list of
#: addresses only to say that one is wanted takes seconds.
FROM_OCTETS = 32 * 1024
_ORDER = {field: place for place, field in enumerate(FIELDS)}


@dataclass(frozen=True, slots=True)
class Limits:
    """What one message may have. The numbers are Mailtrap's, except where said."""

    recipients_per_field: int = 1000
    #: Characters.
    category: int = 255
    #: Octets of the custom variables as compact JSON.
    variables: int = 1000
    #: Octets of the whole message as composed or as it came.
    message: int = 50 * 1024 * 1024
    #: Octets of all header fields. Ours: mail/header.py reads a mebibyte, and delivery adds fields.
    head: int = 900 * 1024


def check(submission: Submission, limits: Limits) -> tuple[Refusal, ...]:
    """Empty when nothing is wrong."""
    whole = _content if submission.content is not None else _raw
    found = [*whole(submission, limits), *_recipients(submission.recipients, limits), *_labels(submission, limits)]
    return in_field_order(found) if found else ()


def is_large(submission: Submission) -> bool:
    """Whether the event loop should leave it to a thread; itself asked before anything else, and cheap."""
    if submission.content is None:
        return header.is_large(submission.raw or b"")
    return octets(submission.content) > header.LARGE


def in_field_order(refusals: Iterable[Refusal]) -> tuple[Refusal, ...]:
    """As a reader of the request meets them: by field, then by item."""

    def place(refusal: Refusal) -> tuple[int, int]:
        field = refusal.field.partition(".")[0]
        return _ORDER.get(field, len(_ORDER)), -1 if refusal.index is None else refusal.index

    return tuple(sorted(refusals, key=place))


def sender(submission: Submission) -> Mailbox:
    """The one mailbox of From. Raises ValueError for a submission that :func:`check` refuses."""
    if submission.content is not None:
        mailbox = submission.content.sender
        return Mailbox(address.parse(mailbox.address), mailbox.name)
    found = _from_mailbox(read_head(submission.raw or b""))
    if isinstance(found, Refusal):
        raise ValueError(f"the submission has no sender: {found.reason}")
    return found


def sender_domain(submission: Submission) -> str:
    """The domain that the sender rule is asked about: From's, lower case, A-labels."""
    return address.split(sender(submission).address)[1]


def envelope_domain(submission: Submission) -> str:
    """What the sender rule is asked about too; empty: From's is the only one, or must be the same."""
    if submission.publishing is None or not submission.envelope_from:
        return ""
    return address.split(address.parse(submission.envelope_from))[1]


# --- of every submission -------------------------------------------------------------------------------------------


def _recipients(recipients: tuple[Rcpt, ...], limits: Limits) -> Iterator[Refusal]:
    if not recipients:
        yield Refusal(Reason.RECIPIENT_REQUIRED, "to")
    counts = Counter(rcpt.kind for rcpt in recipients)
    full = {kind for kind, count in counts.items() if count > limits.recipients_per_field}
    for kind in full:
        # Ten thousand bad addresses would otherwise make ten thousand lines of an answer that nobody asked for.
        yield Refusal(Reason.RECIPIENTS_TOO_MANY, kind, detail=str(limits.recipients_per_field))
    seen: Counter[str] = Counter()
    for rcpt in recipients:
        index = seen[rcpt.kind]
        seen[rcpt.kind] += 1
        if rcpt.kind not in full and not _valid(rcpt.address):
            yield Refusal(Reason.ADDRESS_INVALID, rcpt.kind, index)


def _labels(submission: Submission, limits: Limits) -> Iterator[Refusal]:
    """Category and custom variables: no header carries them, but logs and webhooks do."""
    if len(submission.category) > limits.category:
        yield Refusal(Reason.CATEGORY_TOO_LONG, "category", detail=str(limits.category))
    yield from _line("category", submission.category)
    if flaw := texts.json_flaw(submission.custom_variables):
        yield Refusal(Reason.TEXT_INVALID, "custom_variables", detail=flaw)
    elif len(submission.custom_variables.encode()) > limits.variables:
        yield Refusal(Reason.VARIABLES_TOO_LONG, "custom_variables", detail=str(limits.variables))


# --- to be composed ------------------------------------------------------------------------------------------------


def _content(submission: Submission, limits: Limits) -> Iterator[Refusal]:
    content = submission.content
    assert content is not None
    yield from _from(content.sender)
    for field, mailboxes in (("to", content.to), ("cc", content.cc), ("reply_to", content.reply_to)):
        for index, mailbox in enumerate(mailboxes):
            yield from _line(f"{field}.name", mailbox.name, None if field == "reply_to" else index)
    if not all(_valid(mailbox.address) for mailbox in content.reply_to):
        yield Refusal(Reason.ADDRESS_INVALID, "reply_to")
    yield from _bodies(content, must=submission.publishing is None)
    for name, value in content.headers:
        yield from texts.header(name, value)
    for index, attachment in enumerate(content.attachments):
        yield from _attachment(attachment, index)
    yield from _sizes(content, limits)


def _sizes(content: Content, limits: Limits) -> Iterator[Refusal]:
    if octets(content) > limits.message:
        yield Refusal(Reason.MESSAGE_TOO_LARGE, detail=str(limits.message))
    sizes = {field: _octets(mailboxes) for field, mailboxes in (("to", content.to), ("cc", content.cc))}
    sizes["subject"] = texts.octets(content.subject)
    sizes["headers"] = sum(len(name) + texts.octets(value) + 4 for name, value in content.headers)
    if sum(sizes.values()) > limits.head:
        largest = max(sizes, key=lambda field: sizes[field])
        detail = f"so much text: header fields are at most {limits.head} bytes together"
        yield Refusal(Reason.TEXT_INVALID, largest, detail=detail)


def _octets(mailboxes: Iterable[Mailbox]) -> int:
    return sum(texts.octets(mailbox.name) + texts.octets(mailbox.address) + 8 for mailbox in mailboxes)


def _from(mailbox: Mailbox) -> Iterator[Refusal]:
    if not mailbox.address:
        yield Refusal(Reason.FROM_REQUIRED, "from")
    elif not _valid(mailbox.address):
        yield Refusal(Reason.FROM_INVALID, "from")
    yield from _line("from.name", mailbox.name)


def _bodies(content: Content, *, must: bool) -> Iterator[Refusal]:
    if must and not content.subject:
        yield Refusal(Reason.SUBJECT_REQUIRED, "subject")
    yield from _line("subject", content.subject)
    if must and not content.text and not content.html:
        yield Refusal(Reason.BODY_REQUIRED, "text")
    for field, body in (("text", content.text), ("html", content.html)):
        if body and (flaw := texts.flaw(body)):
            yield Refusal(Reason.TEXT_INVALID, field, detail=flaw)


def _attachment(attachment: Attachment, index: int) -> Iterator[Refusal]:
    if not attachment.filename:
        yield Refusal(Reason.ATTACHMENT_FIELD_REQUIRED, "attachments", index, "filename")
    yield from _line("attachments.filename", attachment.filename, index)
    if not texts.is_media_type(attachment.content_type):
        yield Refusal(Reason.ATTACHMENT_TYPE_INVALID, "attachments", index)
    if attachment.disposition not in ("attachment", "inline"):
        yield Refusal(Reason.ATTACHMENT_DISPOSITION_INVALID, "attachments", index)
    if attachment.disposition == "inline" and not attachment.content_id:
        yield Refusal(Reason.ATTACHMENT_FIELD_REQUIRED, "attachments", index, "content_id")
    yield from _line("attachments.content_id", attachment.content_id, index)


def octets(content: Content) -> int:
    """About as many octets as the composed message will have, without composing it: base64 is 78 for 57."""
    attached = sum(len(attachment.content) for attachment in content.attachments)
    return len(content.text or "") + len(content.html or "") + attached * 78 // 57


# --- as it came ----------------------------------------------------------------------------------------------------


def _raw(submission: Submission, limits: Limits) -> Iterator[Refusal]:
    raw = submission.raw or b""
    if len(raw) > limits.message:
        yield Refusal(Reason.MESSAGE_TOO_LARGE, detail=str(limits.message))
    if b"\0" in raw:
        yield Refusal(Reason.MESSAGE_MALFORMED, detail="it holds a NUL octet")  # RFC 5322 2.2, RFC 2045 2.8
    try:
        head = read_head(raw)
    except BadHeader as error:
        yield Refusal(Reason.MESSAGE_MALFORMED, detail=str(error))
        return
    found = _from_mailbox(head)
    if isinstance(found, Refusal):
        yield found
    elif submission.publishing is not None:
        if submission.envelope_from and not _valid(submission.envelope_from):
            yield Refusal(Reason.FROM_INVALID, "from", detail="the envelope's sender is no address")
        return  # its sender rule is asked about both (accept.py)
    elif submission.envelope_from and _domain(submission.envelope_from) != address.split(found.address)[1]:
        yield Refusal(Reason.FROM_MISMATCH, "from", detail=submission.envelope_from)


def _from_mailbox(head: Head) -> Mailbox | Refusal:
    fields = values(head, b"from")
    if len(fields) != 1:
        return Refusal(Reason.FROM_FIELDS, "from", detail=f"{len(fields)} From fields")
    if len(fields[0]) > FROM_OCTETS:
        return Refusal(Reason.FROM_INVALID, "from", detail=f"it has more than {FROM_OCTETS} octets")
    try:
        mailboxes = address.parse_mailboxes(fields[0], groups=False)
        if len(mailboxes) != 1:
            return Refusal(Reason.FROM_FIELDS, "from", detail=f"{len(mailboxes)} addresses in From")
        return mailboxes[0]
    except BadAddress as error:
        return Refusal(Reason.FROM_INVALID, "from", detail=str(error))


# --- small questions -----------------------------------------------------------------------------------------------


def _line(field: str, text: str, index: int | None = None) -> Iterator[Refusal]:
    if flaw := texts.line_flaw(text):
        yield Refusal(Reason.TEXT_INVALID, field, index, flaw)


def _valid(text: str) -> bool:
    try:
        address.parse(text)
    except BadAddress:
        return False
    return True


def _domain(text: str) -> str | None:
    try:
        return address.split(address.parse(text))[1]
    except BadAddress:
        return None
