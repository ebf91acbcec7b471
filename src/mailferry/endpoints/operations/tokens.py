"""API tokens for an operator: made with rights on what is named, listed, and revoked. A secret is told once."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row

from mailferry.endpoints.operations.domains import known_account
from mailferry.endpoints.operations.reading import iso
from mailferry.endpoints.operations.tools import ACCOUNT, OPERATOR, Mistake, Tools, Verb
from mailferry.resources import accesses, audit, tokens, tree
from mailferry.resources.accesses import Specifier
from mailferry.resources.permissions import ADMIN, SINGLE, VIEWER, VIEWER_PLUS, Grant, Resource
from mailferry.resources.tree import Node

LEVELS = {"admin": ADMIN, "viewer-plus": VIEWER_PLUS, "viewer": VIEWER}
#: Characters, as in the API.
MAX_NAME = 255
_ALONE = frozenset({Resource.ACCOUNT, *SINGLE})
_FORMS = "account, templates, billing, campaigns, domain:NAME, project:ID or inbox:ID"


async def tokens_create(tools: Tools, name: str, access: Sequence[str], account: int = ACCOUNT) -> dict[str, Any]:
    """``access``: such as ``account=admin`` or ``domain:shop.example=viewer``, one a resource of the account."""
    await known_account(tools, account)
    called, now = _name(name), tools.clock()

    def write(connection: Connection) -> dict[str, Any]:
        nodes = list(tree.of_account(connection, account).walk())
        granted = _grants(access, nodes)
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
        raise _none(token, account)
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
        raise _none(token, account)
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


def _none(token: int, account: int) -> Mistake:
    where = f" of account {account}" if account else ""
    return Mistake(f"there is no token {token}{where}; mailferry tokens list shows them")


def _name(text: str) -> str:
    name = text.strip()
    if not name or len(name) > MAX_NAME or not name.isprintable():
        raise Mistake(f"a token's name is one line of 1 to {MAX_NAME} characters")
    return name


def _grants(access: Sequence[str], nodes: Sequence[Node]) -> list[Grant]:
    found: dict[tuple[Resource, int], Grant] = {}
    for text in access:
        grant = _grant(text, nodes)
        if (grant.kind, grant.id) in found:
            raise Mistake(f"access to {text.rpartition('=')[0]} is named twice")
        found[grant.kind, grant.id] = grant
    if not found:
        raise Mistake("a token needs access to something, such as account=admin")
    return list(found.values())


def _grant(text: str, nodes: Sequence[Node]) -> Grant:
    resource, _, level = text.rpartition("=")
    if level not in LEVELS:
        raise Mistake(f"{text!r} is no access: RESOURCE=LEVEL with one of the levels {', '.join(LEVELS)}")
    word, _, which = resource.partition(":")
    for node in nodes:
        named = not which if node.kind in _ALONE else _is(node, which)
        if node.kind == word and named:
            return Grant(node.kind, node.id, LEVELS[level])
    raise Mistake(f"the account has no {resource!r}: access is given to {_FORMS}")


def _is(node: Node, which: str) -> bool:
    """By its id; a domain also by its name, which is what people know."""
    return which == str(node.id) or (node.kind is Resource.DOMAIN and which.strip().rstrip(".").lower() == node.name)


def _shown(connection: Connection, row: Row[Any]) -> dict[str, Any]:
    names = {(node.kind, node.id): node.name for node in tree.of_account(connection, row.account_id).walk()}
    granted = [
        grant for access in accesses.of_specifier(connection, Specifier.API_TOKEN, row.id) for grant in access.grants
    ]
    return {
        "id": row.id,
        "account_id": row.account_id,
        "name": row.name,
        "last_4_digits": row.last_4_digits,
        "access": [_told(grant, names) for grant in granted],
        "created_by": row.created_by,
        "created_at": iso(row.created_at),
        "last_used_at": iso(row.last_used_at or None),
        "expires_at": iso(row.expires_at or None),
    }


def _told(grant: Grant, names: dict[tuple[Resource, int], str]) -> str:
    """As ``tokens create`` is told it."""
    level = next((word for word, number in LEVELS.items() if number == grant.level), str(grant.level))
    if grant.kind in _ALONE:
        return f"{grant.kind}={level}"
    which = names.get((grant.kind, grant.id), "") if grant.kind is Resource.DOMAIN else ""
    return f"{grant.kind}:{which or grant.id}={level}"
