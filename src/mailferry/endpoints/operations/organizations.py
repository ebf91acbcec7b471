"""Accounts and organizations for an operator: made, listed, and accounts put under an organization."""

from dataclasses import asdict
from typing import Any

from sqlalchemy import Connection

from mailferry.credentials import ACCOUNT
from mailferry.endpoints.operations.domains import known_account
from mailferry.endpoints.operations.reading import iso
from mailferry.endpoints.operations.tools import OPERATOR, Mistake, Tools, Verb, one_line
from mailferry.journal.recent import Recent
from mailferry.resources import accounts, audit, organizations, quotas, users


async def accounts_list(tools: Tools) -> list[dict[str, Any]]:
    def read(connection: Connection) -> list[dict[str, Any]]:
        return [_account(connection, row.id, row) for row in accounts.every(connection)]

    return await tools.database.read(read)


async def accounts_create(tools: Tools, name: str, organization: int = 0) -> dict[str, Any]:
    """With nobody in it yet. Organization 0: it stands alone."""
    called, now = one_line(name, "an account's name"), tools.clock()

    def write(connection: Connection) -> dict[str, Any]:
        if organization:
            _known(connection, organization)
            made = organizations.create_sub_account(connection, organization, called, now)
        else:
            made = accounts.create_account(connection, called, now)
        audit.note(connection, made, OPERATOR, "account.created", ("account", made, called), now)
        return next(_account(connection, row.id, row) for row in accounts.every(connection) if row.id == made)

    return await tools.database.write(write)


async def accounts_quota(
    tools: Tools, account: int, per_day: int | None = None, per_second: float | None = None
) -> dict[str, Any]:
    """What is given is changed; 0 lifts it."""
    await known_account(tools, account)
    now = tools.clock()
    given = {"per_day": per_day, "per_second": per_second}

    def write(connection: Connection) -> dict[str, Any]:
        members = {name: value for name, value in given.items() if value is not None}
        before, after = (asdict(each) for each in quotas.change(connection, account, members, now))
        if before != after:
            resource = ("account", account, accounts.name_of(connection, account))
            changes = {name: (before[name], after[name]) for name in members}
            audit.note(connection, account, OPERATOR, "account.updated", resource, now, changes)
        return after

    quota = await tools.database.write(write)
    tools.forget_documents()
    sent = await Recent(tools.database, tools.clock).recipients(account)
    return {"account_id": account, **quota, "sent": sent}


async def organizations_list(tools: Tools) -> list[dict[str, Any]]:
    return await tools.database.read(
        lambda connection: [_organization(connection, row) for row in organizations.every(connection)]
    )


async def organizations_create(tools: Tools, name: str, account: int = ACCOUNT) -> dict[str, Any]:
    """Around this account, which must stand alone so far."""
    await known_account(tools, account)
    called, now = one_line(name, "an organization's name"), tools.clock()

    def write(connection: Connection) -> dict[str, Any]:
        if not accounts.lock_free(connection, account):
            raise _taken(account)
        made = organizations.create(connection, called, account, now)
        audit.note(connection, account, OPERATOR, "organization.created", ("organization", made, called), now)
        return next(_organization(connection, row) for row in organizations.every(connection) if row.id == made)

    made = await tools.database.write(write)
    tools.forget_tokens()
    return made


async def organizations_add_account(tools: Tools, organization: int, account: int) -> dict[str, Any]:
    """Whoever has a level on the organization has it in this account from now on."""
    await known_account(tools, account)
    now = tools.clock()

    def write(connection: Connection) -> dict[str, Any]:
        row = _known(connection, organization)
        if not organizations.add_account(connection, organization, account):
            raise _taken(account)
        resource = ("account", account, accounts.name_of(connection, account))
        changes = {"organization_id": (None, organization)}
        audit.note(connection, account, OPERATOR, "account.updated", resource, now, changes)
        return _organization(connection, row)

    changed = await tools.database.write(write)
    tools.forget_tokens()
    return changed


VERBS: dict[str, Verb] = {
    "accounts.list": accounts_list,
    "accounts.create": accounts_create,
    "accounts.quota": accounts_quota,
    "organizations.list": organizations_list,
    "organizations.create": organizations_create,
    "organizations.add-account": organizations_add_account,
}


def _known(connection: Connection, organization: int) -> Any:
    found = {row.id: row for row in organizations.every(connection)}
    if organization not in found:
        known = ", ".join(map(str, found)) or "none; mailferry organizations create makes one"
        raise Mistake(f"there is no organization {organization}; there are: {known}")
    return found[organization]


def _taken(account: int) -> Mistake:
    return Mistake(f"account {account} is in an organization already; mailferry organizations list shows in which")


def _account(connection: Connection, account_id: int, row: Any) -> dict[str, Any]:
    return {
        "id": account_id,
        "name": row.name,
        "organization_id": row.organization_id or None,
        "owners": users.owners(connection, account_id),
        "created_at": iso(row.created_at),
    }


def _organization(connection: Connection, row: Any) -> dict[str, Any]:
    below = organizations.sub_accounts(connection, row.id)
    return {
        "id": row.id,
        "name": row.name,
        "accounts": [{"id": each.id, "name": each.name} for each in below],
        "created_at": iso(row.created_at),
    }
