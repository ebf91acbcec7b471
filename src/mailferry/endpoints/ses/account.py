"""The account as a whole: quota, sending switch, the numbers of the last two weeks."""

from collections.abc import Collection, Mapping
from typing import Any

from sqlalchemy import Connection, Select, func, select

from mailferry.endpoints.ses.deps import Call, Params, Result
from mailferry.journal.events import Kind
from mailferry.journal.ids import first_at
from mailferry.resources import documents
from mailferry.resources.documents import Kind as Document
from mailferry.resources.permissions import VIEWER, Resource
from mailferry.store.schema import events, messages, recipients

DAY_MS = 86_400_000
#: The name under which the account's settings are kept.
DOCUMENT = "settings"
#: Nothing here limits how much is sent, and clients divide by these: large, finite, positive.
MAX_24_HOURS = 10_000_000.0
MAX_RATE = 1_000.0
_POINT_MS = 15 * 60_000
_POINTS_MS = 14 * DAY_MS
_COUNTED = {
    Kind.ACCEPTED: "DeliveryAttempts",
    Kind.BOUNCE: "Bounces",
    Kind.SPAM: "Complaints",
    Kind.REJECT: "Rejects",
}


def settings(connection: Connection, account_id: int) -> Mapping[str, Any]:
    """What was set for the account: ``sending``, ``suppressed`` and what is only kept."""
    found = documents.get(connection, account_id, Document.ACCOUNT, DOCUMENT)
    return found.body if found else {}


async def change(call: Call, **members: Any) -> None:
    """These alone."""
    now = call.now()
    await call.write(
        lambda connection: documents.change(
            connection, call.account_id, Document.ACCOUNT, DOCUMENT, lambda body: {**body, **members}, now, made=True
        )
    )
    call.deps.documents.forget()


async def get_send_quota(call: Call, params: Params) -> Result:
    sent = await call.read(lambda c: _sent(c, call.account_id, call.now() - DAY_MS))
    return {"Max24HourSend": MAX_24_HOURS, "MaxSendRate": MAX_RATE, "SentLast24Hours": float(sent)}


async def get_account(call: Call, params: Params) -> Result:
    quota = await get_send_quota(call, params)
    found = await call.read(lambda c: settings(c, call.account_id))
    return {
        "DedicatedIpAutoWarmupEnabled": found.get("warmup", False),
        "EnforcementStatus": "HEALTHY",
        "ProductionAccessEnabled": True,
        "SendQuota": quota,
        "SendingEnabled": found.get("sending", True),
        "SuppressionAttributes": {"SuppressedReasons": found.get("suppressed", ["BOUNCE", "COMPLAINT"])},
        # Who is behind the account is for those alone who may read all of it.
        "Details": found.get("details") if call.rights.account >= VIEWER else None,
        "VdmAttributes": found.get("vdm"),
    }


async def get_send_statistics(call: Call, params: Params) -> Result:
    seen = call.rights.granted(Resource.DOMAIN)
    points = await call.read(lambda c: _points(c, call.account_id, seen, call.now() - _POINTS_MS))
    return {"SendDataPoints": points}


async def get_sending_enabled(call: Call, params: Params) -> Result:
    found = await call.read(lambda c: settings(c, call.account_id))
    return {"Enabled": found.get("sending", True)}


async def update_sending_enabled(call: Call, params: Params) -> Result:
    await change(call, sending=params.get("Enabled", False))
    return None


async def put_sending_attributes(call: Call, params: Params) -> Result:
    await change(call, sending=params.get("SendingEnabled", False))
    return None


def _sent(connection: Connection, account_id: int, since: int) -> int:
    found = select(func.count()).where(recipients.c.account_id == account_id, recipients.c.id >= first_at(since))
    return int(connection.execute(found).scalar_one())


def _points(connection: Connection, account_id: int, seen: Collection[int] | None, since: int) -> list[dict[str, Any]]:
    """``seen``: the domains that may be; None = all."""
    point = events.c.at - events.c.at % _POINT_MS
    rows = connection.execute(
        select(point.label("at"), events.c.kind, func.count().label("number"))
        .where(events.c.account_id == account_id, events.c.at >= since, events.c.kind.in_(_COUNTED))
        .where(*([] if seen is None else [events.c.message_id.in_(_of_domains(account_id, seen))]))
        .group_by(point, events.c.kind)
        .order_by(point)
    )
    found: dict[int, dict[str, Any]] = {}
    for row in rows:
        counts = found.setdefault(row.at, {"Timestamp": row.at, **dict.fromkeys(_COUNTED.values(), 0)})
        counts[_COUNTED[Kind(row.kind)]] = row.number
    return list(found.values())


def _of_domains(account_id: int, seen: Collection[int]) -> Select[Any]:
    return select(messages.c.id).where(messages.c.account_id == account_id, messages.c.domain_id.in_(sorted(seen)))


async def put_details(call: Call, params: Params) -> Result:
    """There is no review of an account here; what is told is kept and read back."""
    names = ("MailType", "WebsiteURL", "ContactLanguage", "UseCaseDescription", "AdditionalContactEmailAddresses")
    await change(call, details={name: params[name] for name in names if name in params})
    return None


async def put_vdm(call: Call, params: Params) -> Result:
    await change(call, vdm=params["VdmAttributes"])
    return None


async def put_pricing(call: Call, params: Params) -> Result:
    await change(call, plan=params["Plan"])
    return None


async def get_dashboard_options(call: Call, params: Params) -> Result:
    return {"DashboardEnabled": False}
