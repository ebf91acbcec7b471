"""What columns and reasons of other providers' suppression lists mean: a record becomes a :class:`Line`.

Amazon SES, SendGrid, Mailgun, Postmark and Mailtrap name the same few things in a dozen ways; spelling and case differ
even within one provider (the page, the API and the export). One table for each kind of word, no branch a provider.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache

from mailferry.mail import address
from mailferry.mail.address import BadAddress
from mailferry.mail.reply import clean
from mailferry.resources.suppressions.dates import moment
from mailferry.resources.suppressions.standing import ANY, HARD_BOUNCE, MANUAL_IMPORT, SPAM_COMPLAINT, UNSUBSCRIPTION

#: Characters of a refused line that are repeated.
SHOWN = 500
#: Longer texts are no words: they are what a host said.
_LONGEST_WORD = 40
_LONGEST_CATEGORY = 100


@dataclass(frozen=True, slots=True)
class Line:
    """One suppression as it stands in a file; what is empty or None, the file does not say."""

    number: int
    text: str
    #: In its stored form (mail/address.parse).
    address: str
    type: str = ""
    stream: str = ""
    #: Of the sending domain.
    domain: str = ""
    #: Unix milliseconds.
    created_at: int | None = None
    category: str = ""
    response: str = ""


@dataclass(frozen=True, slots=True)
class Refused:
    number: int
    text: str
    why: str


_COLUMNS: Mapping[str, tuple[str, ...]] = {
    "address": (
        *("email", "emailaddress", "emails", "address", "addresses", "recipient", "recipientemail", "recipients"),
        *("mail", "mailaddress", "toemail", "contactemail", "useremail", "destination", "subscriber"),
    ),
    "type": (
        *("type", "reason", "suppressionreason", "suppressiontype", "suppressedreason", "bouncetype", "kind", "list"),
        *("event", "eventtype", "listtype"),
    ),
    "origin": ("origin", "source"),
    "created": (
        *("created", "createdat", "createdon", "creationdate", "createtime", "date", "datetime", "time", "timestamp"),
        *("lastupdatetime", "lastupdated", "lastupdate", "updatedat", "added", "addedat", "addedon", "dateadded"),
        *("suppressedat", "suppressedon", "bouncedat", "unsubscribedat"),
    ),
    "stream": ("sendingstream", "stream", "messagestream", "streamid"),
    "domain": ("domainname", "sendingdomain", "sendingdomainname", "fromdomain"),
    #: The sender's, or the recipient's.
    "some domain": ("domain",),
    "category": ("messagebouncecategory", "bouncecategory", "bounceclassification"),
    "code": ("code", "status", "smtpcode", "errorcode", "statuscode"),
    "response": (
        *("messageespresponse", "response", "error", "errormessage", "message", "details", "description"),
        *("diagnosticcode", "smtpresponse"),
    ),
    "tags": ("tag", "tags"),
}
_ROLES = {name: role for role, names in _COLUMNS.items() for name in names}

_TYPES: Mapping[str, tuple[str, ...]] = {
    HARD_BOUNCE: (
        *("hardbounce", "hardbounces", "hard", "bounce", "bounces", "bounced", "permanent", "permanentbounce"),
        *("invalid", "invalidemail", "invalidemails", "invalidemailaddress", "bademailaddress", "badmailbox"),
        *("undeliverable", "permanentfailure", "permanentfail", "failed", "bademail", "notfound", "noemail"),
    ),
    SPAM_COMPLAINT: (
        *("spamcomplaint", "spamcomplaints", "complaint", "complaints", "complained", "spam", "spamreport"),
        *("spamreports", "spamnotification", "abuse", "abusereport", "feedbackloop", "fbl"),
    ),
    UNSUBSCRIPTION: (
        *("unsubscription", "unsubscriptions", "unsubscribe", "unsubscribes", "unsubscribed", "optout", "optedout"),
        *("globalunsubscribe", "globalunsubscribes", "groupunsubscribe", "groupunsubscribes", "listunsubscribe"),
        *("subscriptionchange", "unsub"),
    ),
    MANUAL_IMPORT: (
        *("manualimport", "manual", "manually", "manualsuppression", "manuallyadded", "manuallydeactivated"),
        *("import", "imported", "admin", "customer"),
    ),
}
_WORDS = {word: type_ for type_, words in _TYPES.items() for word in words}
#: Postmark's default streams have these ids.
_STREAMS = {
    **dict.fromkeys(("transactional", "outbound", "transaction"), "transactional"),
    **dict.fromkeys(("bulk", "broadcast", "broadcasts", "marketing"), "bulk"),
    **dict.fromkeys(("any", "all"), ANY),
}
#: A file's name says what its columns do not: suppression_unsubscribes.csv.
_FILES = (
    (re.compile(r"unsub|opt.?out", re.IGNORECASE), UNSUBSCRIPTION),
    (re.compile(r"complain|spam|abuse", re.IGNORECASE), SPAM_COMPLAINT),
    (re.compile(r"bounce|invalid", re.IGNORECASE), HARD_BOUNCE),
)
#: `550`, `5.1.1`, `550 5.1.1 no such user`, also behind other words.
_REPLY = re.compile(r"(?:^|[\s;:])[45](?:\d\d|\.\d{1,3}\.\d{1,3})(?=[\s\-,;]|$)")
_ANGLES = re.compile(r"<([^<>]*)>\s*\Z")


@lru_cache(1024)
def role(column: str) -> str:
    """What a column of this name holds; empty: nothing that is known."""
    return _ROLES.get(_folded(column), "")


def guess(cell: str) -> str:
    """What a cell without a column's name may hold."""
    if known_type(cell):
        return "type"
    return "created" if moment(cell) is not None else "response"


def understand(number: int, text: str, cells: Iterable[tuple[str, str]]) -> Line | Refused:
    """``cells`` are pairs of a role and a value; of several values for one role the first that says something counts."""
    found: dict[str, str] = {}
    for name, cell in cells:
        if not cell or not (value := cell.strip()):
            continue
        if name == "type" and not known_type(value):
            name = "response"  # SendGrid's reason is what the host said
        found.setdefault(name, value)
    if "address" not in found:
        return refuse(number, text, "there is no address")
    try:
        parsed = _address(found["address"])
    except BadAddress as error:
        return refuse(number, text, str(error))
    response = found.get("response", "")
    return Line(
        number,
        text,
        parsed,
        _type(found),
        _STREAMS.get(_folded(found["stream"]), "") if "stream" in found else "",
        _domain(found, parsed),
        moment(found["created"]) if "created" in found else None,
        clean(found["category"])[:_LONGEST_CATEGORY] if "category" in found else "",
        clean(response) if response else "",
    )


def refuse(number: int, text: str, why: str) -> Refused:
    return Refused(number, text.strip()[:SHOWN], why)


def type_of_file(name: str) -> str:
    return next((type_ for pattern, type_ in _FILES if pattern.search(name)), "")


@lru_cache(1024)
def known_type(word: str) -> str:
    return _WORDS.get(_folded(word), "") if len(word) <= _LONGEST_WORD else ""


def _type(found: Mapping[str, str]) -> str:
    type_ = known_type(found.get("type", ""))
    if type_ == MANUAL_IMPORT and _folded(found.get("origin", "")) == "recipient":
        return UNSUBSCRIPTION  # Postmark: ManualSuppression by the recipient
    if type_:
        return type_
    if "tags" in found:
        return UNSUBSCRIPTION  # Mailgun: * is all of the domain's mail
    if _REPLY.search(found.get("code", "")) or _REPLY.search(found.get("response", "")[:_LONGEST_WORD]):
        return HARD_BOUNCE
    return ""


def _domain(found: Mapping[str, str], parsed: str) -> str:
    some = found.get("some domain", "").lower()
    return found.get("domain", "").lower() or (some if some != address.split(parsed)[1] else "")


def _address(cell: str) -> str:
    if "\N{REPLACEMENT CHARACTER}" in cell:
        raise BadAddress("the address holds octets that are no text; save the file as UTF-8")
    if angles := _ANGLES.search(cell):
        cell = angles[1].strip()
    return address.parse(cell.removeprefix("mailto:"))


def _folded(text: str) -> str:
    """`Email Address`, `email_address` and `EmailAddress` are one name."""
    return re.sub(r"[\W_]+", "", text).lower()
