"""Mail that Mailferry itself has to send to those who keep an account; roles/mail.py sends it."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

#: Where such a message came from, as the log has it. Invitations among them hold secrets that no token may read.
ENDPOINT = "system"


@dataclass(frozen=True, slots=True)
class Mail:
    """To be sent as the account's own; ``key``: however often it is sent, it is sent once."""

    account_id: int
    key: str
    #: Empty: whoever owns the account.
    recipient: str
    subject: str
    text: str


#: Sends it; returns why it was not accepted, empty when it was.
Send = Callable[[Mail], Awaitable[str]]


async def no_mail(mail: Mail) -> str:
    """Where nothing runs that could send it."""
    return "no server runs that could send it"
