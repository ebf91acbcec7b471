"""What every endpoint hands to the intake, and what the intake gives back.

One type for Mailtrap's API, Amazon's API and SMTP: an endpoint translates its wire into a :class:`Submission` and
the result back into its wire, and decides nothing itself.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mailferry.intake.refusal import Refusal
from mailferry.mail.compose import Content


@dataclass(frozen=True, slots=True)
class Rcpt:
    """One envelope recipient: its address as given, and the field it came from (``to``, ``cc``, ``bcc``)."""

    address: str
    kind: str = "to"


@dataclass(frozen=True, slots=True)
class FromTemplate:
    """Subject, text, HTML and category come from a template: :mod:`~mailferry.intake.render` puts them in."""

    #: In lower case.
    uuid: str
    #: As JSON gives them.
    variables: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Publishing:
    """What a dialect with identities, configuration sets and events of its own asks for.

    The sender may be of a domain below a verified one, the most specific counts; Date and Message-ID are replaced.
    """

    #: Makes of our message id the one that the client is told, and that stands in Message-ID.
    id_form: Callable[[str], str]
    #: JSON values that events repeat: region, operation, configuration set, tags and the like; kept with the message.
    facts: Mapping[str, Any]
    #: Types of suppressions (resources/suppressions) that stop this message; None: all do.
    suppressing: frozenset[str] | None = None
    #: Recipients (mail/address.key) who said no to the contact list or topic that it is sent to.
    opted_out: frozenset[str] = frozenset()
    #: Why nothing of it leaves although it is accepted: its template could not be rendered.
    failure: str = ""
    #: It bounces when it is so old (milliseconds), if that is earlier than for all mail; 0: as all mail.
    expire_ms: int = 0


@dataclass(frozen=True, slots=True)
class Submission:
    """One message that an endpoint wants sent. Exactly one of ``content`` and ``raw`` is given."""

    account_id: int
    #: The token that authorised it; a domain's own token may send from that domain only.
    token_id: int
    #: The domain that the token is confined to, 0 for all of the account.
    sender_domains: frozenset[int] | None
    #: ``mailtrap`` or ``smtp``: for the log, and for the trace field that mail by SMTP leaves with.
    endpoint: str
    #: ``transactional`` or ``bulk``.
    stream: str
    recipients: tuple[Rcpt, ...]
    #: To be composed by us ...
    content: Content | None = None
    #: ... or a whole message as it came, every line ended by CRLF.
    raw: bytes | None = None
    #: The envelope sender, empty when it is the From's address.
    envelope_from: str = ""
    category: str = ""
    #: A compact JSON object, values are strings.
    custom_variables: str = "{}"
    client_ip: str = ""
    #: Still to be rendered; the content has neither subject nor bodies then.
    template: FromTemplate | None = None
    #: What it was rendered from, for the log: 0 = no template. The variables are compact JSON, empty where too many.
    template_id: int = 0
    template_variables: str = ""
    #: Of Amazon's dialect alone.
    publishing: Publishing | None = None


@dataclass(frozen=True, slots=True)
class Accepted:
    """The message is durable: SIGKILL and power loss do not lose it any more."""

    message_id: str
    #: In the order of the submission's recipients.
    recipient_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Refused:
    """Nothing was kept. All that is wrong, in the order of the fields."""

    refusals: tuple[Refusal, ...]


@dataclass(frozen=True, slots=True)
class Once:
    """An idempotency key as the client gave it; unique on (account, endpoint, key) for 24 hours."""

    account_id: int
    endpoint: str
    key: str
    #: SHA-256 of the request's body, in hex: the same key with another body is a client's mistake.
    body_hash: str
    #: Makes the answer to be kept out of the results; called before the commit.
    answer: Callable[[Sequence[Accepted | Refused]], str]


@dataclass(frozen=True, slots=True)
class Replayed:
    """The key was used before with the same body: the first answer, and nothing was sent again."""

    answer: str


@dataclass(frozen=True, slots=True)
class KeyReused:
    """The key was used before with another body."""
