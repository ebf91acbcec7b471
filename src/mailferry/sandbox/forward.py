"""A caught message as it is sent on to a person: the same content, from an address that may send here."""

from mailferry.mail import header
from mailferry.mail.address import Mailbox
from mailferry.sandbox.summary import head_of

NAME = "Mailferry Forward"

#: Who it was from, whose word another sender cannot give, and traces of a way that this message does not go.
_REPLACED = frozenset(
    {b"from", b"sender", b"bcc", b"return-path", b"dkim-signature", b"arc-seal", b"arc-message-signature"}
    | {b"arc-authentication-results", b"authentication-results", b"x-mailtrap-original-from"}
)


def forwarded(message: bytes, sender: str) -> bytes:
    """``sender``: an address of a domain that may send. The old From stands in x-mailtrap-original-from, as Mailtrap has it."""
    root = head_of(message)
    kept = [field for field in root.fields if field.lower not in _REPLACED and not field.lower.startswith(b"x-mt-")]
    old = next((field for field in root.fields if field.lower == b"from"), None)
    head = [header.encode_mailboxes("From", [Mailbox(sender, NAME)])]
    if old is not None:
        head.append(b"X-Mailtrap-Original-From:" + old.raw[len(old.name) + 1 :])
    return b"".join([*head, *(field.raw for field in kept), b"\r\n", message[root.body_at :]])
