"""API tokens for an operator: made with rights on what is named, listed, and revoked. A secret is told once."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row

from mailferry.credentials import ACCOUNT
from mailferry.endpoints.operations import access_words
from mailferry.endpoints.operations.domains import known_account
from mailferry.endpoints.operations.reading import iso
from mailferry.endpoints.operations.tools import OPERATOR, Mistake, Tools, Verb, none_of, one_line
from mailferry.resources import audit, tokens
from mailferry.resources.accesses import Specifier


async def tokens_create(tools: Tools, name: str, access: Sequence[str], account: int = ACCOUNT) -> dict[str, Any]:
    """``access``: such as ``account=admin`` or ``domain:shop.example=viewer``, one a resource of the account."""
    await known_account(tools, account)
    called, now = one_line(name, "a token's name"), tools.clock()

    def write(connection: Connection) -> dict[str, Any]:
        granted = access_words.read(connection, account, access)
        made, secret = tokens.create(connection, account, called, granted, now, created_by=OPERATOR.name)
        audit.note(connection, account, OPERATOR, "api_token.created", ("api_token", made, called), now)
        row = tokens.by_id(connection, account, made, now)
        assert row is not None
        return _shown(connection, row) | {"token": secret}

    return await tools.database.write(write)


async def tokens_list(tools: Tools, account: int = 0) -> list[dict[str, Any]]:
    """Of one account, or with 0 of all of them; those that have not ended, without their secrets."""
    if account:
        await known_account(tools, account)
    now = tools.clock()
    return await tools.database.read(
        lambda connection: [_shown(connection, row) for row in tokens.of_account(connection, account, now)]
    )


async def tokens_revoke(tools: Tools, token: int, account: int = 0) -> dict[str, Any]:
    """Ids are one row of numbers over all accounts, so the account need not be named."""
    now = tools.clock()

    def write(connection: Connection) -> dict[str, Any] | None:
        found = [row for row in tokens.of_account(connection, account, now) if row.id == token]
        for row in found:
            tokens.remove(connection, row.id)
            audit.note(connection, row.account_id, OPERATOR, "api_token.deleted", ("api_token", row.id, row.name), now)
            return {"revoked": row.id, "name": row.name, "account_id": row.account_id}
        return None

    revoked = await tools.database.write(write)
    if revoked is None:
        raise none_of("token", token, account)
    tools.forget_tokens()
    return revoked


async def tokens_reset(tools: Tools, token: int, account: int = 0) -> dict[str, Any]:
    """A new token with the same access and a secret that is told this once; the old one goes on for twelve hours."""
    now = tools.clock()

    def write(connection: Connection) -> dict[str, Any] | None:
        for row in tokens.of_account(connection, account, now):
            if row.id == token:
                return _reset(connection, row, now)
        return None

    made = await tools.database.write(write)
    if made is None:
        raise none_of("token", token, account)
    tools.forget_tokens()
    return made


VERBS: dict[str, Verb] = {
    "tokens.reset": tokens_reset,
    "tokens.create": tokens_create,
    "tokens.list": tokens_list,
    "tokens.revoke": tokens_revoke,
}


def _reset(connection: Connection, row: Row[Any], now: int) -> dict[str, Any]:
    made = tokens.reset(connection, row.account_id, row.id, now)
    if made is None:
        raise Mistake(f"token {row.id} was reset already, or ends within 12 hours")
    after = tokens.by_id(connection, row.account_id, made[0], now)
    assert after is not None
    audit.note(connection, row.account_id, OPERATOR, "api_token.reset", ("api_token", after.id, after.name), now)
    return _shown(connection, after) | {"token": made[1]}


def _shown(connection: Connection, row: Row[Any]) -> dict[str, Any]:
    return {
        "id": row.id,
        "account_id": row.account_id,
        "name": row.name,
        "last_4_digits": row.last_4_digits,
        "access": access_words.of_holder(connection, row.account_id, Specifier.API_TOKEN, row.id),
        "created_by": row.created_by,
        "created_at": iso(row.created_at),
        "last_used_at": iso(row.last_used_at or None),
        "expires_at": iso(row.expires_at or None),
    }
