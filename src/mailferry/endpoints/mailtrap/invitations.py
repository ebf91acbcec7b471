"""`invitations`: an admin of the account offers access to an address. Mailferry's own part of the API.

The link is in the mail and in no answer: whoever had it could make a person of somebody else's address.
"""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, Row
from starlette.responses import Response

from mailferry.endpoints import invitation_mail
from mailferry.endpoints.mailtrap import links, names
from mailferry.endpoints.mailtrap.api_tokens import NONE_CHOSEN, are_there, grant_of, time
from mailferry.endpoints.mailtrap.deps import Call
from mailferry.endpoints.mailtrap.errors import Fault, answer
from mailferry.endpoints.mailtrap.forms import Form, identity, invalid, members, refuse
from mailferry.resources import accesses, audit, invitations, users
from mailferry.resources.accesses import Access, Specifier
from mailferry.resources.invitations import Made, Unwanted
from mailferry.resources.system_mail import Mail

UNWANTED: Mapping[Unwanted, dict[str, list[str]]] = {
    Unwanted.MEMBER: {"email": ["has access to this account already"]},
    Unwanted.INVITED: {"email": ["has been invited already; the invitation can be sent again"]},
    Unwanted.TOO_MANY: {
        "base": [
            f"You've reached the maximum number of invitations ({invitations.MOST}): delete those that nobody accepts"
        ]
    },
}
NOT_THERE = {"permissions": ["must be resources of this account"]}


async def get_list(call: Call) -> Response:
    """In the order in which they were made; those that have ended stay until they are deleted or sent again."""

    def read(connection: Connection) -> list[dict[str, Any]]:
        of_invitation = {
            access.specifier_id: access
            for access in accesses.of_account(connection, call.account_id)
            if access.specifier is Specifier.INVITE
        }
        found = invitations.of_account(connection, call.account_id)
        return [_shown(call, row, of_invitation[row.id]) for row in found if row.id in of_invitation]

    return answer(await call.read(read))


async def create(call: Call) -> Response:
    form = Form(await members(call))
    email = users.spelled(form.email("email"))
    wanted = [grant for grant in form.items("permissions", grant_of) if grant]
    form.check()
    if not wanted:
        invalid({"permissions": [NONE_CHOSEN]})
    now = call.deps.clock()

    def write(connection: Connection) -> tuple[dict[str, Any], Mail] | dict[str, list[str]]:
        if not are_there(connection, call.account_id, wanted):
            return NOT_THERE
        made = invitations.create(
            connection, call.account_id, email, tuple(dict.fromkeys(wanted)), call.token.name, now
        )
        if isinstance(made, Unwanted):
            return UNWANTED[made]
        return _told(call, connection, made, "invitation.created", now)

    found = await call.write(write)
    return await _sent(call, *found) if isinstance(found, tuple) else invalid(found)


async def resend(call: Call) -> Response:
    """The link that was sent before opens nothing any more."""
    invitation_id = identity(call, "invitation_id")
    now = call.deps.clock()

    def write(connection: Connection) -> tuple[dict[str, Any], Mail] | Fault:
        row = _changeable(call, connection, invitation_id)
        if isinstance(row, Fault):
            return row
        made = invitations.resend(connection, invitation_id, now)
        return _told(call, connection, made, "invitation.resent", now) if made else Fault.NOT_FOUND

    found = await call.write(write)
    return refuse(call, found) if isinstance(found, Fault) else await _sent(call, *found)


async def delete(call: Call) -> Response:
    invitation_id = identity(call, "invitation_id")
    now = call.deps.clock()

    def write(connection: Connection) -> Fault | None:
        row = _changeable(call, connection, invitation_id)
        if isinstance(row, Fault):
            return row
        if not invitations.remove(connection, invitation_id):
            return Fault.NOT_FOUND
        resource = ("invitation", invitation_id, row.email)
        audit.note(connection, call.account_id, call.actor, "invitation.deleted", resource, now)
        return None

    wrong = await call.write(write)
    return refuse(call, wrong) if wrong else Response(status_code=204)


def _changeable(call: Call, connection: Connection, invitation_id: int) -> Row[Any] | Fault:
    """As `account_accesses` has it of the same access: one that offers more than the caller has is not theirs."""
    row = invitations.by_id(connection, invitation_id, call.account_id)
    if row is None:
        return Fault.NOT_FOUND
    offered = accesses.of_specifier(connection, Specifier.INVITE, invitation_id)
    covered = all(call.rights.cover(access.grants) for access in offered)
    return row if covered else Fault.FORBIDDEN


def _told(call: Call, connection: Connection, made: Made, event: str, now: int) -> tuple[dict[str, Any], Mail]:
    row = invitations.by_id(connection, made.id)
    assert row is not None
    audit.note(connection, call.account_id, call.actor, event, ("invitation", made.id, row.email), now)
    (access,) = accesses.of_specifier(connection, Specifier.INVITE, made.id)
    url = invitation_mail.link(call.deps.public_url or links.base(call), made)
    return _shown(call, row, access), invitation_mail.mail(connection, made, url)


async def _sent(call: Call, shown: dict[str, Any], mail: Mail) -> Response:
    error = await invitation_mail.send(call.deps.send_mail, mail)
    return answer(shown | {"email_sent": not error, "email_error": error or None})


def _shown(call: Call, row: Row[Any], access: Access) -> dict[str, Any]:
    return {
        "id": row.id,
        "email": row.email,
        "account_access_id": access.id,
        "created_by": row.created_by,
        "created_at": time(row.created_at),
        "expires_at": time(row.expires_at),
        "expired": row.expires_at <= call.deps.clock(),
        "resources": names.grants(access.grants, call.legacy),
    }
