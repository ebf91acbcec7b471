"""People for an operator: who has access to an account, invited, given another role, removed."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection

from mailferry.credentials import ACCOUNT
from mailferry.endpoints.operations import access_words
from mailferry.endpoints.operations import invitations as invitation_verbs
from mailferry.endpoints.operations.domains import known_account, one_or_all
from mailferry.endpoints.operations.reading import iso
from mailferry.endpoints.operations.tools import OPERATOR, Mistake, Tools, Verb
from mailferry.mail import address
from mailferry.resources import accesses, accounts, audit, invitations, users
from mailferry.resources.accesses import Access, Specifier
from mailferry.resources.invitations import Unwanted
from mailferry.resources.permissions import OWNER, Grant, Resource
from mailferry.resources.system_mail import Mail
from mailferry.resources.users import User

UNWANTED: Mapping[Unwanted, str] = {
    Unwanted.MEMBER: "{email} has access to account {account} already; mailferry users role changes it",
    Unwanted.INVITED: "{email} has been invited to account {account} already; mailferry invitations resend makes a new link",
    Unwanted.TOO_MANY: f"account {{account}} has {invitations.MOST} invitations, and more are too many: "
    "mailferry invitations revoke ends those that nobody accepts",
}
LAST_OWNER = "{email} is the last owner of account {account} or of its organization: make somebody else an owner first"


async def users_list(tools: Tools, account: int = 0) -> list[dict[str, Any]]:
    """One row an access, of one account or with 0 of all of them."""
    await one_or_all(tools, account)

    def read(connection: Connection) -> list[dict[str, Any]]:
        wanted = [account] if account else accounts.all_ids(connection)
        return [_shown(connection, *each) for one in wanted for each in users.of_account(connection, one)]

    return await tools.database.read(read)


async def users_invite(tools: Tools, email: str, access: Sequence[str], account: int = ACCOUNT) -> dict[str, Any]:
    """``access``: such as ``account=owner`` or ``domain:shop.example=viewer``. The link is told this once."""
    await known_account(tools, account)
    to, now = _email(email), tools.clock()

    def write(connection: Connection) -> tuple[dict[str, Any], Mail]:
        granted = access_words.read(connection, account, access, of_person=True)
        made = invitations.create(connection, account, to, granted, "", now)
        if isinstance(made, Unwanted):
            raise Mistake(UNWANTED[made].format(email=to, account=account))
        return invitation_verbs.told(tools, connection, made, "invitation.created", now)

    return await invitation_verbs.sent(tools, *await tools.database.write(write))


async def users_role(tools: Tools, email: str, role: str, account: int = ACCOUNT) -> dict[str, Any]:
    """Another level on the whole account; what is granted on single resources of it stays."""
    await known_account(tools, account)
    to, now = Grant(Resource.ACCOUNT, account, access_words.level(role)), tools.clock()

    def write(connection: Connection) -> dict[str, Any]:
        accesses.lock(connection, account)
        user, access = _member(connection, email, account)
        before = {(grant.kind, grant.id): grant.level for grant in access.grants}.get((to.kind, to.id))
        if before == OWNER > to.level and users.is_last_owner(connection, access):
            raise Mistake(LAST_OWNER.format(email=user.email, account=account))
        accesses.put(connection, access.id, [to])
        told = {f"account {account}": (before, to.level)}
        resource = (Specifier.USER, user.id, user.email)
        audit.note(connection, account, OPERATOR, "permissions.updated", resource, now, told)
        return _shown(connection, *_member(connection, email, account))

    return await tools.database.write(write)


async def users_remove(tools: Tools, email: str, account: int = ACCOUNT) -> dict[str, Any]:
    """From one account; whoever has no other one is forgotten."""
    await known_account(tools, account)
    now = tools.clock()

    def write(connection: Connection) -> dict[str, Any]:
        accesses.lock(connection, account)
        user, access = _member(connection, email, account)
        if users.is_last_owner(connection, access):
            raise Mistake(LAST_OWNER.format(email=user.email, account=account))
        users.remove_access(connection, access)
        resource = (Specifier.USER, user.id, user.email)
        audit.note(connection, account, OPERATOR, "account_access.deleted", resource, now)
        return {"removed": user.email, "account_id": account}

    return await tools.database.write(write)


VERBS: dict[str, Verb] = {
    "users.list": users_list,
    "users.invite": users_invite,
    "users.role": users_role,
    "users.remove": users_remove,
}


def _email(text: str) -> str:
    try:
        return users.spelled(address.parse(text.strip()))
    except address.BadAddress as error:
        raise Mistake(f"{text!r} is no mail address: {error}") from None


def _member(connection: Connection, email: str, account: int) -> tuple[User, Access]:
    wanted = _email(email)
    for user, access in users.of_account(connection, account):
        if user.email == wanted:
            return user, access
    raise Mistake(f"{wanted} has no access to account {account}; mailferry users list shows who has")


def _shown(connection: Connection, user: User, access: Access) -> dict[str, Any]:
    return {
        "id": user.id,
        "account_id": access.account_id,
        "email": user.email,
        "name": user.name,
        "access": access_words.told(connection, access.account_id, access.grants),
        "created_at": iso(user.created_at),
    }
