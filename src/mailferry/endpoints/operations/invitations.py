"""Invitations for an operator, who is told the link: whoever runs the server may make anybody a person of it anyway."""

from typing import Any

from sqlalchemy import Connection, Row

from mailferry.endpoints import invitation_mail
from mailferry.endpoints.operations import access_words
from mailferry.endpoints.operations.domains import one_or_all
from mailferry.endpoints.operations.reading import iso
from mailferry.endpoints.operations.tools import OPERATOR, Tools, Verb, none_of
from mailferry.net.hosts import listener_url
from mailferry.resources import audit, invitations
from mailferry.resources.accesses import Specifier
from mailferry.resources.invitations import Made
from mailferry.resources.system_mail import Mail


async def invitations_list(tools: Tools, account: int = 0) -> list[dict[str, Any]]:
    """Of one account, or with 0 of all of them; those that have ended too, without their links."""
    await one_or_all(tools, account)
    now = tools.clock()
    return await tools.database.read(
        lambda connection: [_shown(connection, row, now) for row in invitations.of_account(connection, account)]
    )


async def invitations_resend(tools: Tools, invitation: int, account: int = 0) -> dict[str, Any]:
    """With a new link, which is told this once; the old one opens nothing any more."""
    now = tools.clock()

    def write(connection: Connection) -> tuple[dict[str, Any], Mail]:
        _known(connection, invitation, account)
        made = invitations.resend(connection, invitation, now)
        if made is None:  # it was accepted just now
            raise none_of("invitation", invitation, account)
        return told(tools, connection, made, "invitation.resent", now)

    return await sent(tools, *await tools.database.write(write))


async def invitations_revoke(tools: Tools, invitation: int, account: int = 0) -> dict[str, Any]:
    now = tools.clock()

    def write(connection: Connection) -> dict[str, Any]:
        row = _known(connection, invitation, account)
        if not invitations.remove(connection, invitation):  # as above
            raise none_of("invitation", invitation, account)
        resource = ("invitation", row.id, row.email)
        audit.note(connection, row.account_id, OPERATOR, "invitation.deleted", resource, now)
        return {"revoked": row.id, "email": row.email, "account_id": row.account_id}

    return await tools.database.write(write)


VERBS: dict[str, Verb] = {
    "invitations.list": invitations_list,
    "invitations.resend": invitations_resend,
    "invitations.revoke": invitations_revoke,
}


def told(tools: Tools, connection: Connection, made: Made, event: str, now: int) -> tuple[dict[str, Any], Mail]:
    row = invitations.by_id(connection, made.id)
    assert row is not None
    audit.note(connection, row.account_id, OPERATOR, event, ("invitation", row.id, row.email), now)
    url = invitation_mail.link(pages_base(tools), made)
    return _shown(connection, row, now) | {"link": url}, invitation_mail.mail(connection, made, url)


async def sent(tools: Tools, shown: dict[str, Any], mail: Mail) -> dict[str, Any]:
    error = await invitation_mail.send(tools.send_mail, mail)
    return shown | {"email_sent": not error, "email_error": error or None}


def pages_base(tools: Tools) -> str:
    """How people reach our pages."""
    config = tools.config
    found = listener_url("https", config["http.tls_listen"]) or listener_url("http", config["http.listen"])
    return config["server.public_url"] or found or "http://localhost"


def _known(connection: Connection, invitation: int, account: int) -> Row[Any]:
    row = invitations.by_id(connection, invitation, account)
    if row is None:
        raise none_of("invitation", invitation, account)
    return row


def _shown(connection: Connection, row: Row[Any], now: int) -> dict[str, Any]:
    return {
        "id": row.id,
        "account_id": row.account_id,
        "email": row.email,
        "access": access_words.of_holder(connection, row.account_id, Specifier.INVITE, row.id),
        "created_by": row.created_by,
        "created_at": iso(row.created_at),
        "expires_at": iso(row.expires_at),
        "expired": row.expires_at <= now,
    }
