"""The mail that tells somebody of an invitation, for every way in by which people are invited."""

from urllib.parse import quote

import structlog
from sqlalchemy import Connection

from mailferry.resources import accounts, invitations
from mailferry.resources.invitations import Made
from mailferry.resources.system_mail import Mail, Send
from mailferry.store.database import unavailable

log = structlog.get_logger(__name__)

#: Where the link leads (endpoints/invitations/).
PAGE = "/invitations/"

FAILED = "it could not be sent just now"


def link(base: str, made: Made) -> str:
    """``base``: how people reach our pages, such as https://mail.example.com."""
    return f"{base.rstrip('/')}{PAGE}{quote(made.secret)}"


def mail(connection: Connection, made: Made, url: str) -> Mail:
    """Of an invitation that stands."""
    row = invitations.by_id(connection, made.id)
    assert row is not None
    account = " ".join(accounts.name_of(connection, row.account_id).split())
    by = f" by {' '.join(row.created_by.split())}" if row.created_by else ""
    text = (
        f"You are invited{by} to the account {account}.\n\n"
        f"To accept, open this page within seven days:\n\n{url}\n\n"
        "Whoever has this link may accept in your place, so pass it on to nobody. If you do not know what this is about,\n"
        "do nothing: without your yes nothing happens.\n"
    )
    # The hash is another one each time that it is sent.
    key = f"invitation {row.id} {row.secret_hash}"
    return Mail(row.account_id, key, row.email, f"Invitation to {account}", text)


async def send(how: Send, told: Mail) -> str:
    """Why it was not sent, empty when it was. The invitation stands either way."""
    try:
        return await how(told)
    except Exception as error:
        log.warning("invitation_not_mailed", account_id=told.account_id, exc_info=not unavailable(error))
        return FAILED
