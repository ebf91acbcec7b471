"""`/api/accounts`, `/api/organizations/{id}/sub_accounts` and `billing/usage`: which accounts there are, and their use."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, func, select
from starlette.responses import Response

from mailferry.endpoints.mailtrap.deps import Call
from mailferry.endpoints.mailtrap.errors import Fault, answer
from mailferry.endpoints.mailtrap.forms import AnsweredError, Form, identity, members, refuse
from mailferry.journal.ids import first_at
from mailferry.resources import accounts, audit, organizations
from mailferry.resources.permissions import ADMIN, INDETERMINATE, NONE
from mailferry.store.schema import recipients

#: Clients compare numbers with the limit, so there must be one; nothing is limited here.
UNLIMITED = 1_000_000_000
_PLAN = {"name": "Self-hosted"}


async def get_list(call: Call) -> Response:
    """Those that the token reaches, with its level there."""
    rights = call.token.rights

    def read(connection: Connection) -> list[dict[str, Any]]:
        level = rights.account or INDETERMINATE
        if rights.organization == NONE:
            name = accounts.name_of(connection, call.token.account_id)
            return [_account(call.token.account_id, name, level)]
        found = organizations.sub_accounts(connection, rights.organization_id)
        return [_account(row.id, row.name, rights.organization) for row in found]

    return answer(await call.read(read))


def _account(account_id: int, name: str, level: int) -> dict[str, Any]:
    return {"id": account_id, "name": name, "access_levels": [level]}


async def get_sub_accounts(call: Call) -> Response:
    organization_id = _organization(call)
    found = await call.read(lambda connection: organizations.sub_accounts(connection, organization_id))
    return answer([{"id": row.id, "name": row.name} for row in found])


async def create_sub_account(call: Call) -> Response:
    organization_id = _organization(call)
    given = await members(call, "account")
    if not given:
        # The real service answers so, and the Ruby SDK has a case for it.
        raise AnsweredError(Response(status_code=400, media_type="text/html"))
    form = Form(given)
    name = form.text("name", least=1)
    form.check()
    now = call.deps.clock()

    def write(connection: Connection) -> int:
        made = organizations.create_sub_account(connection, organization_id, name, now)
        audit.note(connection, made, call.actor, "account.created", ("account", made, name), now)
        return made

    return answer({"id": await call.write(write), "name": name})


def _organization(call: Call) -> int:
    asked = identity(call, "organization_id")
    rights = call.token.rights
    if rights.organization < ADMIN or rights.organization_id != asked:
        refuse(call, Fault.FORBIDDEN)
    return asked


async def get_usage(call: Call) -> Response:
    """Counted over the calendar month (UTC): each recipient is one message, as Mailtrap counts."""
    start, end = _month(call.deps.clock())
    counted = select(func.count()).where(
        recipients.c.account_id == call.account_id,
        recipients.c.id >= first_at(_ms(start)),
        recipients.c.id < first_at(_ms(end)),
    )
    sent = await call.read(lambda connection: int(connection.execute(counted).scalar_one()))
    return answer(
        {
            "billing": {"cycle_start": _iso(start), "cycle_end": _iso(end)},
            "testing": {
                "plan": _PLAN,
                "usage": {"sent_messages_count": _count(0), "forwarded_messages_count": _count(0)},
            },
            "sending": {"plan": _PLAN, "usage": {"sent_messages_count": _count(sent)}},
            "marketing": {"plan": _PLAN, "usage": {"sent_messages_count": _count(0)}},
        }
    )


def _count(current: int) -> dict[str, int]:
    return {"current": current, "limit": UNLIMITED}


def _month(now: int) -> tuple[datetime, datetime]:
    start = datetime.fromtimestamp(now / 1000, UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    year, month = (start.year, start.month + 1) if start.month < 12 else (start.year + 1, 1)
    return start, start.replace(year=year, month=month)


def _ms(moment: datetime) -> int:
    return int(moment.timestamp()) * 1000


def _iso(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
