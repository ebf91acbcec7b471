"""The account as a whole: quota, sending switch, the numbers of the last two weeks."""

from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import Connection

from mailferry.consumers.stats import reading
from mailferry.consumers.stats.reading import HOURS, Counts, Query
from mailferry.endpoints.ses.deps import Call, Params, Result
from mailferry.resources import documents, quotas
from mailferry.resources.documents import Kind as Document
from mailferry.resources.permissions import VIEWER, Resource

DAY_MS = 86_400_000
#: The name under which the account's settings are kept.
DOCUMENT = "settings"
#: Its member with the resources that the customer paused by their reputation: the last part of an ARN, identity/NAME.
PAUSED = "paused"
#: What an account without a quota is told, since clients divide by these: large, finite, positive.
MAX_24_HOURS = 10_000_000.0
MAX_RATE = 1_000.0
_HOUR_MS = 3_600_000
_POINTS_MS = 14 * DAY_MS


def settings(connection: Connection, account_id: int) -> Mapping[str, Any]:
    """What was set for the account: ``sending``, ``suppressed`` and what is only kept."""
    found = documents.get(connection, account_id, Document.ACCOUNT, DOCUMENT)
    return found.body if found else {}


async def change(call: Call, **members: Any) -> None:
    """These alone."""
    await change_by(call, lambda body: {**body, **members})


async def change_by(call: Call, changed: Callable[[Mapping[str, Any]], Mapping[str, Any]]) -> None:
    now = call.now()
    await call.write(
        lambda connection: documents.change(
            connection, call.account_id, Document.ACCOUNT, DOCUMENT, changed, now, made=True
        )
    )
    call.deps.documents.forget()


async def get_send_quota(call: Call, params: Params) -> Result:
    sent = await call.deps.recent.recipients(call.account_id)
    quota = await quotas.known(call.deps.documents, call.account_id)
    return {
        "Max24HourSend": float(quota.per_day) or MAX_24_HOURS,
        "MaxSendRate": quota.per_second or MAX_RATE,
        "SentLast24Hours": float(sent),
    }


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
        "PricingAttributes": {"CurrentPlan": found["plan"]} if "plan" in found else None,
    }


async def get_send_statistics(call: Call, params: Params) -> Result:
    """By the hour in which mail was accepted, as all is counted here; Amazon's points are of a quarter of one."""
    now = call.now()
    first = (now - _POINTS_MS) // _HOUR_MS
    query = Query(call.account_id, first // HOURS, now // DAY_MS, call.rights.granted(Resource.DOMAIN))
    found = await call.read(lambda c: reading.by_hour(c, query))
    return {"SendDataPoints": [_point(hour, counts) for hour, counts in found if hour > first]}


async def get_sending_enabled(call: Call, params: Params) -> Result:
    found = await call.read(lambda c: settings(c, call.account_id))
    return {"Enabled": found.get("sending", True)}


async def update_sending_enabled(call: Call, params: Params) -> Result:
    await change(call, sending=params.get("Enabled", False))
    return None


async def put_sending_attributes(call: Call, params: Params) -> Result:
    await change(call, sending=params.get("SendingEnabled", False))
    return None


def _point(hour: int, counts: Counts) -> dict[str, Any]:
    """What is suppressed was attempted, as Amazon counts."""
    return {
        "Timestamp": hour * _HOUR_MS,
        "DeliveryAttempts": counts.sent + counts.rejected,
        "Bounces": counts.bounced,
        "Complaints": counts.spam,
        "Rejects": counts.rejected,
    }


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
