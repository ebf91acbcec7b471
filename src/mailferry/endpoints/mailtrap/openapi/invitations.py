"""Invitations, which Mailtrap has on its pages alone."""

from mailferry.endpoints.mailtrap import invitations
from mailferry.endpoints.mailtrap.openapi.accounts import GRANT
from mailferry.endpoints.mailtrap.openapi.declaration import GONE, Asked, Declared, json
from mailferry.endpoints.mailtrap.openapi.schemas import (
    EMAIL,
    ID,
    Component,
    answered,
    array,
    asked,
    flag,
    nullable,
    text,
    time,
)
from mailferry.endpoints.mailtrap.openapi.tokens import WANTED
from mailferry.endpoints.mailtrap.table import Function

_MEMBERS = {
    "id": ID,
    "email": text(),
    "account_access_id": ID,
    "created_by": text("The token's name; empty: the command line."),
    "created_at": time(),
    "expires_at": time(),
    "expired": flag("Its link opens nothing any more; it can be sent again."),
    "resources": array(GRANT),
}
_INVITATION = Component("Invitation", answered(_MEMBERS))
_SENT = Component(
    "SentInvitation",
    answered(
        _MEMBERS
        | {
            "email_sent": flag(),
            "email_error": nullable(text("Why no mail was sent; the invitation stands all the same.")),
        }
    ),
)

DECLARED: dict[Function, Declared] = {
    invitations.get_list: Declared("List invitations", {200: json(array(_INVITATION))}, ours=True),
    invitations.create: Declared(
        "Invite somebody by mail",
        {200: json(_SENT)},
        Asked(
            asked({"email": EMAIL, "permissions": array(WANTED, minItems=1, maxItems=1000)}, "email", "permissions"),
            example={
                "email": "olga@example.com",
                "permissions": [{"resource_type": "account", "resource_id": 1, "access_level": "viewer"}],
            },
        ),
        about="The link is in the mail and in no answer. It is good for seven days.",
        ours=True,
    ),
    invitations.delete: Declared("Delete an invitation", {204: GONE}, ours=True),
    invitations.resend: Declared(
        "Send an invitation again",
        {200: json(_SENT)},
        about="With a new link, good for seven days; the old one opens nothing any more.",
        ours=True,
    ),
}
