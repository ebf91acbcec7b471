"""`account_accesses` and `permissions`: who may do what in an account, and changing it. For admins of the account."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, select
from starlette.responses import Response

from mailferry.endpoints.mailtrap import names
from mailferry.endpoints.mailtrap.api_tokens import time
from mailferry.endpoints.mailtrap.deps import Call
from mailferry.endpoints.mailtrap.errors import Fault, answer
from mailferry.endpoints.mailtrap.forms import Form, identity, invalid, members, refuse
from mailferry.endpoints.mailtrap.query import BadQueryError, parse
from mailferry.resources import access_keys, accesses, audit, invitations, tokens, tree, users
from mailferry.resources.accesses import Access, Specifier
from mailferry.resources.permissions import ADMIN, OWNER, Grant, Resource, Rights
from mailferry.resources.tree import Node
from mailferry.store import schema

UPDATED = "Permissions have been updated!"
LAST_OWNER = "The last owner of an account or an organization stays its owner: make somebody else one first"

_FILTERS = {
    "project_ids": Resource.PROJECT,
    "inbox_ids": Resource.INBOX,
    "sandbox_ids": Resource.INBOX,
    "domain_ids": Resource.DOMAIN,
}


async def get_list(call: Call) -> Response:
    wanted = _wanted(call)

    def read(connection: Connection) -> list[dict[str, Any]]:
        found = accesses.of_account(connection, call.account_id)
        if wanted:
            found = [a for a in found if any((grant.kind, grant.id) in wanted for grant in a.grants)]
        described = _specifiers(connection, found)
        return [_access(call, access, described[access.id]) for access in found if access.id in described]

    return answer(await call.read(read))


async def remove(call: Call) -> Response:
    """A person loses the account, and is forgotten with the last one; a token or an invitation is gone altogether."""
    access_id = identity(call, "account_access_id")
    now = call.deps.clock()

    def write(connection: Connection) -> Fault | str | None:
        accesses.lock(connection, call.account_id)
        found = accesses.of_account(connection, call.account_id, access_id)
        if not found:
            return Fault.NOT_FOUND
        (access,) = found
        if not call.rights.cover(access.grants):
            return Fault.FORBIDDEN
        if users.is_last_owner(connection, access):
            return LAST_OWNER
        match access.specifier:
            case Specifier.USER:
                users.remove_access(connection, access)
            case Specifier.INVITE:
                if not invitations.remove(connection, access.specifier_id):
                    return write(connection)  # it was accepted just now: the access is a person's
            case Specifier.API_TOKEN:
                tokens.remove(connection, access.specifier_id)
            case Specifier.ACCESS_KEY:
                access_keys.remove(connection, access.specifier_id)
        resource = (access.specifier, access.specifier_id, "")
        audit.note(connection, call.account_id, call.actor, "account_access.deleted", resource, now)
        return None

    wrong = await call.write(write)
    if isinstance(wrong, Fault):
        refuse(call, wrong)
    if wrong:
        invalid({"base": [wrong]})
    call.deps.credentials.forget()
    return answer({"id": access_id})


async def update_permissions(call: Call) -> Response:
    """All of them or none."""
    access_id = identity(call, "account_access_id")
    form = Form(await members(call))
    changes = [change for change in form.items("permissions", _change) if change]
    if not form.has("permissions"):
        form.wrong("permissions", "can't be blank")
    form.check()
    now = call.deps.clock()

    def write(connection: Connection) -> Fault | str | None:
        accesses.lock(connection, call.account_id)
        found = accesses.of_account(connection, call.account_id, access_id)
        if not found:
            return Fault.NOT_FOUND
        (access,) = found
        there = {(node.kind, node.id) for node in tree.of_account(connection, call.account_id).walk()}
        if missing := [c for c in changes if (c.grant.kind, c.grant.id) not in there]:
            kind = names.resource(missing[0].grant.kind, call.legacy)
            return f"{kind} {missing[0].grant.id} is no resource of this account"
        if not call.rights.cover(access.grants):
            return Fault.FORBIDDEN
        if _ends_ownership(access, changes) and users.is_last_owner(connection, access):
            return LAST_OWNER
        _apply(connection, access, changes)
        resource = (access.specifier, access.specifier_id, "")
        audit.note(
            connection, call.account_id, call.actor, "permissions.updated", resource, now, _told(access, changes)
        )
        return None

    wrong = await call.write(write)
    if isinstance(wrong, Fault):
        refuse(call, wrong)
    if wrong:
        invalid({"permissions": [wrong]})
    call.deps.credentials.forget()
    return answer({"message": UPDATED})


async def get_resources(call: Call) -> Response:
    """Those that the token is an admin of, each below what it belongs to."""
    root = await call.read(lambda connection: tree.of_account(connection, call.account_id))
    shown = _shown(call, root, call.rights, 0)
    if shown is None:
        return answer([])
    return answer([shown] if call.rights.account >= ADMIN else shown["resources"])


# --- permissions ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Change:
    """``grant.level`` is 0 where it is taken away."""

    grant: Grant


def _change(form: Form) -> _Change | None:
    kind, identity = names.kind(form), form.number("resource_id")
    if identity is None and "resource_id" not in form.errors:
        form.wrong("resource_id", "can't be blank")
    level = 0 if form.flag("_destroy") else names.level(form)
    if kind is Resource.ORGANIZATION:
        form.wrong("resource_type", "cannot be changed here")
    return _Change(Grant(kind, identity, level)) if kind and identity else None


def _apply(connection: Connection, access: Access, changes: Sequence[_Change]) -> None:
    for change in changes:
        if change.grant.level:
            accesses.put(connection, access.id, [change.grant])
        else:
            accesses.withdraw(connection, access.id, change.grant.kind, change.grant.id)


def _told(access: Access, changes: Sequence[_Change]) -> dict[str, tuple[Any, Any]]:
    before = {(grant.kind, grant.id): grant.level for grant in access.grants}
    return {
        f"{change.grant.kind} {change.grant.id}": (
            before.get((change.grant.kind, change.grant.id)),
            change.grant.level or None,
        )
        for change in changes
    }


def _ends_ownership(access: Access, changes: Sequence[_Change]) -> bool:
    owned = {(grant.kind, grant.id) for grant in access.grants if grant.level >= OWNER}
    return any((change.grant.kind, change.grant.id) in owned for change in changes)


def _shown(call: Call, node: Node, rights: Rights, parent: int) -> dict[str, Any] | None:
    below = [shown for each in node.below if (shown := _shown(call, each, rights, node.id))]
    level = rights.account if node.kind is Resource.ACCOUNT else rights.on(node.kind, node.id, parent)
    if level < ADMIN and not below:
        return None
    return {
        "id": node.id,
        "name": node.name,
        "type": names.resource(node.kind, call.legacy),
        "access_level": level or rights.shown(node.kind, node.id, len(below)),
        "resources": below,
    }


# --- accesses ------------------------------------------------------------------------------------------------------


def _wanted(call: Call) -> set[tuple[Resource, int]]:
    """What the filters name; an id that is none matches nothing."""
    try:
        pairs = parse(call.request.scope["query_string"])
    except BadQueryError as error:
        refuse(call, Fault.QUERY_INVALID, str(error))
    given = [(path[0], value) for path, value in pairs if len(path) == 1 and path[0] in _FILTERS]
    return {(_FILTERS[name], int(value) if value.isascii() and value.isdigit() else -1) for name, value in given}


def _access(call: Call, access: Access, specifier: Mapping[str, Any]) -> dict[str, Any]:
    mine = access.specifier is Specifier.API_TOKEN and access.specifier_id == call.token.id
    changeable = call.rights.cover(access.grants)
    return {
        "id": access.id,
        "specifier_type": names.SPECIFIERS[access.specifier],
        "specifier": specifier,
        "resources": names.grants(access.grants, call.legacy),
        "permissions": {
            "can_read": True,
            "can_update": changeable,
            "can_destroy": changeable,
            "can_leave": mine and changeable,
        },
    }


def _specifiers(connection: Connection, found: Sequence[Access]) -> dict[int, dict[str, Any]]:
    """By access. More members than the real service gives: its own Python SDK needs them of every specifier."""
    ids: dict[Specifier, dict[int, int]] = {kind: {} for kind in Specifier}
    for access in found:
        ids[access.specifier][access.specifier_id] = access.id
    described: dict[int, dict[str, Any]] = {}
    people = ids[Specifier.USER]
    for row in connection.execute(select(schema.users).where(schema.users.c.id.in_(people))):
        described[people[row.id]] = _person(row.id, row.email, row.name)
    invited = ids[Specifier.INVITE]
    for row in connection.execute(select(schema.invitations).where(schema.invitations.c.id.in_(invited))):
        described[invited[row.id]] = _person(row.id, row.email, "")
    programs = ids[Specifier.API_TOKEN]
    for token in connection.execute(select(schema.tokens).where(schema.tokens.c.id.in_(programs))):
        described[programs[token.id]] = _person(token.id, "", token.name) | {
            "author_name": token.created_by,
            "token": f"{'*' * 28}{token.last_4_digits}",
            "expires_at": time(token.expires_at),
        }
    return described


def _person(identity: int, email: str, name: str) -> dict[str, Any]:
    return {"id": identity, "email": email, "name": name, "two_factor_authentication_enabled": False}
