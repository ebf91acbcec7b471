"""Key pairs of Amazon's dialect for an operator: made or taken over with rights on what is named, listed, ended."""

import re
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row

from mailferry.credentials import ACCOUNT
from mailferry.endpoints.operations import access_words
from mailferry.endpoints.operations.domains import known_account
from mailferry.endpoints.operations.reading import iso
from mailferry.endpoints.operations.tools import OPERATOR, Mistake, Tools, Verb, none_of, one_line
from mailferry.resources import access_keys, audit, aws_regions
from mailferry.resources.accesses import Specifier

#: As IAM makes them; SMTP tells its users of Amazon's dialect by that.
_KEY_ID = re.compile(r"[A-Z0-9]{16,128}")
#: What HTTP fields and forms carry as it is; Amazon's have 40 characters of base64.
_SECRET = re.compile(r"[!-~]{16,128}")
#: Part of names such as arn:aws:iam::1:user/NAME, which clients take apart.
_NAME = re.compile(r"[\w+=,.@-]{1,64}", re.ASCII)


async def keys_create(
    tools: Tools,
    name: str,
    access: Sequence[str],
    account: int = ACCOUNT,
    key_id: str = "",
    secret: str = "",
) -> dict[str, Any]:
    """``access``: as of a token. ``key_id``, ``secret``: a pair that the customer has already, at Amazon."""
    await known_account(tools, account)
    called, pair, now = _named(name), _pair(key_id, secret), tools.clock()

    def write(connection: Connection) -> dict[str, Any]:
        granted = access_words.read(connection, account, access)
        try:
            made, public, hidden = access_keys.create(
                connection, tools.sealer, account, called, granted, now, created_by=OPERATOR.name, pair=pair
            )
        except access_keys.Taken as error:
            raise Mistake(f"{error}; mailferry keys list shows them") from None
        audit.note(connection, account, OPERATOR, "access_key.created", ("access_key", made, called), now)
        return _shown(connection, _row(connection, public, account)) | {"secret_access_key": hidden}

    made = await tools.database.write(write)
    tools.forget_keys()
    return made


async def keys_list(tools: Tools, account: int = 0) -> list[dict[str, Any]]:
    """Of one account, or with 0 of all of them, without their secrets."""
    if account:
        await known_account(tools, account)
    return await tools.database.read(
        lambda connection: [_shown(connection, row) for row in access_keys.of_account(connection, account)]
    )


async def keys_disable(tools: Tools, key: str, account: int = 0) -> dict[str, Any]:
    return await _switch(tools, key, account, disabled=True)


async def keys_enable(tools: Tools, key: str, account: int = 0) -> dict[str, Any]:
    return await _switch(tools, key, account, disabled=False)


async def keys_revoke(tools: Tools, key: str, account: int = 0) -> dict[str, Any]:
    now = tools.clock()

    def write(connection: Connection) -> dict[str, Any]:
        row = _row(connection, key, account)
        access_keys.remove(connection, row.id)
        audit.note(connection, row.account_id, OPERATOR, "access_key.deleted", ("access_key", row.id, row.name), now)
        return {"revoked": row.key_id, "name": row.name, "account_id": row.account_id}

    revoked = await tools.database.write(write)
    tools.forget_keys()
    return revoked


async def keys_smtp_password(tools: Tools, key: str, region: str, account: int = 0) -> dict[str, Any]:
    """What Amazon's console calls SMTP credentials: they hold for one region."""
    if region not in aws_regions.names():
        raise Mistake(f"{region!r} is no region of AWS; there are: {', '.join(aws_regions.names())}")

    def read(connection: Connection) -> dict[str, Any]:
        found = access_keys.find(connection, tools.sealer, _row(connection, key, account).key_id)
        assert found is not None
        password = aws_regions.smtp_password(found.secret, region)
        return {"smtp_username": found.key_id, "smtp_password": password, "region": region}

    return await tools.database.read(read)


VERBS: dict[str, Verb] = {
    "keys.create": keys_create,
    "keys.list": keys_list,
    "keys.disable": keys_disable,
    "keys.enable": keys_enable,
    "keys.revoke": keys_revoke,
    "keys.smtp_password": keys_smtp_password,
}


async def _switch(tools: Tools, key: str, account: int, *, disabled: bool) -> dict[str, Any]:
    now = tools.clock()

    def write(connection: Connection) -> dict[str, Any]:
        row = _row(connection, key, account)
        access_keys.set_disabled(connection, row.key_id, disabled)
        done = "access_key.disabled" if disabled else "access_key.enabled"
        audit.note(connection, row.account_id, OPERATOR, done, ("access_key", row.id, row.name), now)
        return _shown(connection, _row(connection, key, account))

    shown = await tools.database.write(write)
    tools.forget_keys()
    return shown


def _named(name: str) -> str:
    called = one_line(name, "a key's name")
    if not _NAME.fullmatch(called):
        raise Mistake("a key's name is a user's as IAM has them: 1 to 64 letters, digits and + = , . @ _ -")
    return called


def _pair(key_id: str, secret: str) -> tuple[str, str] | None:
    if not key_id and not secret:
        return None
    if not _KEY_ID.fullmatch(key_id):
        raise Mistake(
            f"{key_id!r} is no id of an access key: 16 to 128 capitals and digits, such as AKIAIOSFODNN7EXAMPLE"
        )
    if not _SECRET.fullmatch(secret):
        raise Mistake("a secret access key is 16 to 128 printable characters without a space; Amazon's have 40")
    return key_id, secret


def _row(connection: Connection, key: str, account: int) -> Row[Any]:
    """Ids are unique over all accounts, so the account need not be named. Raises :class:`Mistake`."""
    for row in access_keys.of_account(connection, account):
        if row.key_id == key:
            return row
    raise none_of("key", key, account)


def _shown(connection: Connection, row: Row[Any]) -> dict[str, Any]:
    return {
        "access_key_id": row.key_id,
        "account_id": row.account_id,
        "name": row.name,
        "access": access_words.of_holder(connection, row.account_id, Specifier.ACCESS_KEY, row.id),
        "disabled": row.disabled,
        "created_by": row.created_by,
        "created_at": iso(row.created_at),
        "last_used_at": iso(row.last_used_at or None),
    }
