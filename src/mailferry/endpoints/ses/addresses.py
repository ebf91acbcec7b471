"""Addresses as Amazon's clients write them, and what is wrong with one in the words that they know (JavaMail's)."""

from collections.abc import Iterable

from mailferry.endpoints.ses.errors import invalid
from mailferry.intake.submission import Rcpt
from mailferry.mail import address
from mailferry.mail.address import BadAddress, Mailbox


def flaw(text: str) -> str:
    """Why it is no address."""
    bare = text[text.rfind("<") + 1 :].rstrip("> ") if "<" in text else text
    local, at, domain = bare.rpartition("@")
    if not at:
        return "Missing final '@domain'"
    if not domain:
        return "Missing domain"
    if not local:
        return "Missing local name"
    if _blank(local):
        return "Local address contains control or whitespace"
    return "Domain contains control or whitespace" if _blank(domain) else "Illegal address"


def mailbox(text: str) -> Mailbox:
    """One, perhaps with a name. Raises `SesError`."""
    found = mailboxes([text])
    if len(found) != 1:
        raise invalid("Illegal address")
    return found[0]


def mailboxes(texts: Iterable[str]) -> tuple[Mailbox, ...]:
    """Each text is one mailbox or, as some clients write, a list of them. Raises `SesError`."""
    found: list[Mailbox] = []
    for text in texts:
        try:
            # Not the other way round: a list of one is read the same, and nearly all are one.
            found += address.parse_mailboxes(text, groups=False)
        except BadAddress:
            raise invalid(flaw(text)) from None
    for each in found:
        if not address.is_ascii(each.address):
            raise invalid("Local address contains control or whitespace" if _blank(each.address) else "Illegal address")
    return tuple(found)


def recipients(found: Iterable[Mailbox], kind: str) -> list[Rcpt]:
    return [Rcpt(each.address, kind) for each in found]


def _blank(text: str) -> bool:
    return any(character <= " " or character == "\x7f" or not character.isascii() for character in text)
