"""One message of the send API as a submission: the fields of Mailtrap's JSON, translated and nothing decided.

What has the wrong shape is refused here; what the fields say is checked by the intake. A batch's base is translated
once for all its requests: five hundred of them may share one large attachment.
"""

import binascii
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeVar, cast

import msgspec

from mailferry.endpoints.mailtrap.deps import Call
from mailferry.endpoints.mailtrap.wire import MAX_LINE, Fields
from mailferry.intake import checks, texts
from mailferry.intake.checks import Limits
from mailferry.intake.refusal import Reason, Refusal
from mailferry.intake.submission import FromTemplate, Rcpt, Submission
from mailferry.mail.address import BadAddress, Mailbox, parse, parse_mailboxes
from mailferry.mail.compose import Attachment, Content
from mailferry.mail.words import decode
from mailferry.resources.permissions import ADMIN, Resource

T = TypeVar("T")

RECIPIENT_FIELDS = ("to", "cc", "bcc")
#: Refused beside a template, which brings them.
TEMPLATE_FIELDS = ("subject", "text", "html", "category")
#: Mailtrap takes this header and does not mind it: it encodes as it likes, and so do we.
IGNORED_HEADERS = ("content-transfer-encoding",)

#: Characters of a header's value. That is a thousand addresses, and not the hundred thousand that take seconds to read.
MAX_VALUE = 64 * 1024

#: RFC 5322 2.2.3: unfolding takes the line break away and leaves the white space. A line break of any other kind stays,
#: and is refused as the injection that it is.
_FOLD = re.compile(r"\r\n(?=[ \t])")
#: A multiple of four, so that pieces of base64 can be decoded one by one: one call holds the interpreter for as long as
#: it takes, which other requests would feel.
_PIECE = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Draft:
    """``refusals``: the shapes that were wrong. The submission stands for what could be read."""

    submission: Submission
    refusals: tuple[Refusal, ...]
    templated: bool


@dataclass(frozen=True, slots=True)
class _Read:
    """One property, translated, and what was wrong with its shape."""

    value: Any
    refusals: tuple[Refusal, ...]


class Translator:
    """Translates messages one by one; ``shared`` are properties that many of them have, by identity."""

    def __init__(self, call: Call, shared: Mapping[str, Any] | None = None) -> None:
        self._call = call
        self._shared = shared or {}
        self._known: dict[str, _Read] = {}

    def translate(self, members: Mapping[str, Any]) -> Draft:
        refusals: list[Refusal] = []
        fields = Fields(members, refusals)
        templated = "template_uuid" in fields
        template = _template(fields) if templated else None
        recipients, mailboxes = _recipients(fields, self._call.deps.limits.recipients_per_field)
        content = Content(
            sender=_mailbox(fields.object("from")),
            to=mailboxes["to"],
            cc=mailboxes["cc"],
            reply_to=(_mailbox(reply_to),) if (reply_to := fields.object("reply_to")) else (),
            subject=fields.text("subject"),
            text=fields.text("text") or None,
            html=fields.text("html") or None,
            attachments=self._property(fields, "attachments", _attachments),
            headers=self._property(fields, "headers", _headers),
        )
        content = _with_reply_to_header(content, refusals)
        submission = Submission(
            account_id=self._call.token.account_id,
            token_id=self._call.token.id,
            sender_domains=self._call.token.rights.granted(Resource.DOMAIN, ADMIN),
            endpoint="mailtrap",
            stream=self._call.stream,
            recipients=recipients,
            content=content,
            category=fields.text("category"),
            custom_variables=self._property(fields, "custom_variables", _variables),
            client_ip=self._call.client_ip,
            template=template,
        )
        return Draft(submission, tuple(refusals), templated)

    def _property(self, fields: Fields, name: str, read: Callable[[Fields], T]) -> T:
        value = fields.raw(name)
        if value is None or value is not self._shared.get(name):
            return read(fields)
        if name not in self._known:
            refusals: list[Refusal] = []
            self._known[name] = _Read(read(Fields({name: value}, refusals)), tuple(refusals))
        fields.refusals.extend(self._known[name].refusals)
        known: T = self._known[name].value
        return known


def refusals(draft: Draft, limits: Limits) -> tuple[Refusal, ...]:
    """All that is wrong with a draft whose shape is wrong, each member's trouble told once. Empty for a sound shape:
    then the intake checks, and nothing is checked twice.
    """
    if not draft.refusals:
        return ()
    told = {_place(refusal) for refusal in draft.refusals}
    unread = {field for field, index, part in told if index is None and not part}

    def is_news(refusal: Refusal) -> bool:
        field, index, part = _place(refusal)
        if refusal.reason is Reason.RECIPIENT_REQUIRED:
            return not unread.intersection(RECIPIENT_FIELDS)
        if refusal.reason is Reason.BODY_REQUIRED:
            return not draft.templated and not unread.intersection(("text", "html"))
        if draft.templated and field in TEMPLATE_FIELDS:
            return False
        return field not in unread and not told.intersection(((field, index, ""), (field, index, part)))

    rest = filter(is_news, checks.check(draft.submission, limits))
    return checks.in_field_order([*draft.refusals, *rest])


def _place(refusal: Refusal) -> tuple[str, int | None, str]:
    """Field, item, and the member of the item that is meant."""
    field, _, part = refusal.field.partition(".")
    if not part:
        part = refusal.detail if refusal.reason in _NAMED else _MEMBER.get(refusal.reason, "")
    return field, refusal.index, part


#: Reasons that name the member in their detail, and those that always mean the same one.
_NAMED = frozenset(
    {
        Reason.ATTACHMENT_FIELD_REQUIRED,
        Reason.HEADER_NAME_INVALID,
        Reason.HEADER_RESERVED,
        Reason.HEADER_VALUE_INVALID,
        Reason.VARIABLE_INVALID,
    }
)
_MEMBER = {
    Reason.FROM_REQUIRED: "email",
    Reason.FROM_INVALID: "email",
    Reason.ADDRESS_INVALID: "email",
    Reason.ATTACHMENT_NOT_BASE64: "content",
    Reason.ATTACHMENT_TYPE_INVALID: "type",
    Reason.ATTACHMENT_DISPOSITION_INVALID: "disposition",
}


# --- the fields ----------------------------------------------------------------------------------------------------


def _template(fields: Fields) -> FromTemplate:
    for name in TEMPLATE_FIELDS:
        if fields.raw(name) not in (None, ""):
            fields.tell(Refusal(Reason.NOT_ALLOWED_WITH_TEMPLATE, name))
    # Names in it are the client's own, and as many as it likes: no `members`, which counts them.
    variables = fields.object("template_variables")
    return FromTemplate(fields.text("template_uuid", MAX_LINE).lower(), variables.all if variables else {})


def _mailbox(fields: Fields | None) -> Mailbox:
    return Mailbox(_stored(fields.text("email", MAX_LINE)), fields.text("name", MAX_LINE)) if fields else Mailbox("")


def _stored(email: str) -> str:
    try:
        return parse(email)
    except BadAddress:
        return email  # the intake finds it, and says so with all else


def _recipients(fields: Fields, most: int) -> tuple[tuple[Rcpt, ...], dict[str, tuple[Mailbox, ...]]]:
    """In Mailtrap's order, in which the message ids are answered: To, Cc, Bcc."""
    mailboxes = {name: tuple(_mailbox(item) for item in fields.objects(name, most)) for name in RECIPIENT_FIELDS}
    recipients = tuple(Rcpt(mailbox.address, name) for name, group in mailboxes.items() for mailbox in group)
    for index, mailbox in enumerate(mailboxes["bcc"]):
        # Nobody ever reads these names, so the intake does not see them; the client hears of its mistake all the same.
        if flaw := texts.line_flaw(mailbox.name):
            fields.tell(Refusal(Reason.TEXT_INVALID, "bcc.name", index, flaw))
    return recipients, mailboxes


def _headers(fields: Fields) -> tuple[tuple[str, str], ...]:
    found = []
    for name, value in fields.members("headers").items():
        if name.lower() in IGNORED_HEADERS or value is None:
            continue
        if isinstance(value, str) and len(value) <= MAX_VALUE:
            found.append((name, _unwrapped(name, value)))
        else:
            fields.tell(Refusal(Reason.HEADER_VALUE_INVALID, "headers", detail=name))
    return tuple(found)


def _unwrapped(name: str, value: str) -> str:
    """The text of a value. Mailtrap's clients may encode what is not ASCII, and Symfony also folds it."""
    if "\n" in value:
        value = _FOLD.sub("", value)
    # An encoded word may spell a comma: addresses are read first and decoded after (RFC 2047 5).
    return decode(value.encode()) if "=?" in value and name.lower() != "reply-to" else value


def _with_reply_to_header(content: Content, refusals: list[Refusal]) -> Content:
    """Clients that need several Reply-To addresses (anymail), or know no reply_to field (Symfony), give the header. It
    is one of addresses, so it is read and written as such. Beside the field it stays a header, and is refused; unless it
    says the same, as batches of Mailtrap's PHP SDK do, with the header's first address in the field.
    """
    given = [header for header in content.headers if header[0].lower() == "reply-to"]
    if len(given) != 1:
        return content
    try:
        mailboxes = parse_mailboxes(given[0][1])
    except BadAddress:
        if content.reply_to:
            return content
        refusals.append(Refusal(Reason.HEADER_VALUE_INVALID, "headers", detail=given[0][0]))
        mailboxes = []
    if content.reply_to and content.reply_to[0].address not in [each.address for each in mailboxes]:
        return content
    headers = tuple(header for header in content.headers if header is not given[0])
    return replace(content, reply_to=tuple(mailboxes), headers=headers)


def _attachments(fields: Fields) -> tuple[Attachment, ...]:
    return tuple(_attachment(item) for item in fields.objects("attachments"))


def _attachment(item: Fields) -> Attachment:
    content = b""
    if "content" not in item:
        item.refuse(Reason.ATTACHMENT_FIELD_REQUIRED, "content")
    else:
        try:
            content = _from_base64(item.text("content"))
        except ValueError:
            item.refuse(Reason.ATTACHMENT_NOT_BASE64)
    return Attachment(
        filename=item.text("filename", MAX_LINE),
        content=content,
        content_type=item.text("type", MAX_LINE) or "application/octet-stream",
        # Whatever it is: the intake refuses what is neither.
        disposition=cast(Literal["attachment", "inline"], item.text("disposition") or "attachment"),
        content_id=item.text("content_id", MAX_LINE),
    )


def _from_base64(text: str) -> bytes:
    """RFC 4648 4, padded. White space is tolerated, since clients break the lines (RFC 2045 6.8). Raises ValueError."""
    given = text.encode("ascii")
    if b"\n" in given or b" " in given:
        given = b"".join(given.split())
    if len(given) <= _PIECE:
        return binascii.a2b_base64(given, strict_mode=True)
    last = (len(given) - 1) // _PIECE * _PIECE
    pieces = [binascii.a2b_base64(given[at : at + _PIECE], strict_mode=True) for at in range(0, len(given), _PIECE)]
    if b"=" in given[:last]:
        raise ValueError("padding in the middle")
    return b"".join(pieces)


def _variables(fields: Fields) -> str:
    """Values become strings, as in Mailtrap's logs and webhooks."""
    found = {}
    for name, value in fields.members("custom_variables").items():
        if isinstance(value, (dict, list)):
            fields.tell(Refusal(Reason.VARIABLE_INVALID, "custom_variables", detail=name))
        else:
            found[name] = value if isinstance(value, str) else _scalar(value)
    return msgspec.json.encode(found).decode() if found else "{}"


def _scalar(value: float | bool | None) -> str:
    return "" if value is None else msgspec.json.encode(value).decode()


def octets(submission: Submission) -> int:
    return checks.octets(submission.content) if submission.content else 0
