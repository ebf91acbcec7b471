"""What is set for an identity beside its keys: return path, notifications, the configuration set of its mail."""

from typing import Any

import msgspec
from sqlalchemy import Connection

from mailferry.endpoints.ses import event_destinations, identity
from mailferry.endpoints.ses.deps import Call, Params, Result
from mailferry.endpoints.ses.errors import SesError, invalid
from mailferry.endpoints.ses.identity import V2_STATUS, Edit, Identity
from mailferry.resources import custom_hosts, documents, domains, topics
from mailferry.resources.arns import account_of
from mailferry.resources.custom_hosts import RETURN_PATH
from mailferry.resources.documents import Kind

KINDS = ("Bounce", "Complaint", "Delivery")
_DEFAULT = "UseDefaultValue"
V2_BEHAVIOR = {_DEFAULT: "USE_DEFAULT_VALUE", "RejectMessage": "REJECT_MESSAGE"}
_V1_BEHAVIOR = {v2: v1 for v1, v2 in V2_BEHAVIOR.items()}


# --- the return path -------------------------------------------------------------------------------------------------


async def set_mail_from_v1(call: Call, params: Params) -> Result:
    await _set_mail_from(call, params["Identity"], params.get("MailFromDomain"), params.get("BehaviorOnMXFailure"))
    return {}


async def put_mail_from_v2(call: Call, params: Params) -> Result:
    behavior = _V1_BEHAVIOR.get(params.get("BehaviorOnMxFailure", ""))
    await _set_mail_from(call, params["EmailIdentity"], params.get("MailFromDomain"), behavior)
    return {}


async def get_mail_from_v1(call: Call, params: Params) -> Result:
    found = await identity.look_all(call, params["Identities"])
    return {"MailFromDomainAttributes": {name: mail_from_v1(each) for name, each in found}}


def mail_from_v1(found: Identity) -> dict[str, Any]:
    kept = found.settings.get("mail_from")
    if not kept:
        return {"BehaviorOnMXFailure": _DEFAULT}
    return {
        "MailFromDomain": kept["domain"],
        "MailFromDomainStatus": _mail_from_status(found),
        "BehaviorOnMXFailure": kept["on_mx_failure"],
    }


def mail_from_v2(found: Identity) -> dict[str, Any]:
    shown = mail_from_v1(found)
    return {
        "MailFromDomain": shown.get("MailFromDomain"),
        "MailFromDomainStatus": V2_STATUS.get(shown.get("MailFromDomainStatus", "")),
        "BehaviorOnMxFailure": V2_BEHAVIOR[shown["BehaviorOnMXFailure"]],
    }


def _mail_from_status(found: Identity) -> str:
    if custom_hosts.is_ours(found.return_path):
        return "Success"
    return "TemporaryFailure" if custom_hosts.was_ours(found.return_path) else "Pending"


async def _set_mail_from(call: Call, name: str, given: str | None, behavior: str | None) -> None:
    found = await identity.existing(call, name)
    if not given:
        await identity.change(call, name, _clear_mail_from)
        return
    own = found.name.rpartition("@")[2]
    try:
        mail_from = domains.spelled(given)
    except ValueError:
        raise invalid(f"Provided MAIL-FROM domain <{given[:300]}> is invalid.") from None
    if not mail_from.endswith(f".{own}"):
        raise invalid(
            f"Provided MAIL-FROM domain <{mail_from}> is not subdomain of the domain of the identity <{own}>."
        )
    await identity.change(
        call,
        name,
        lambda settings: settings.update(mail_from={"domain": mail_from, "on_mx_failure": behavior or _DEFAULT}),
        also=lambda connection: want_host(connection, call, RETURN_PATH, mail_from),
    )
    call.deps.look_up_host(call.account_id, custom_hosts.named(RETURN_PATH, mail_from))


def want_host(connection: Connection, call: Call, purpose: str, host: str) -> None:
    """Raises `SesError`: there are too many."""
    if not custom_hosts.want(connection, call.account_id, purpose, host, call.now()):
        text = f"An account has at most {custom_hosts.MOST} MAIL FROM and custom redirect domains together."
        raise SesError("LimitExceeded", text)


def _clear_mail_from(settings: dict[str, Any]) -> None:
    settings.pop("mail_from", None)


# --- notifications ---------------------------------------------------------------------------------------------------


async def set_topic_v1(call: Call, params: Params) -> Result:
    arn, kind = params.get("SnsTopic", ""), params["NotificationType"]
    await identity.existing(call, params["Identity"])
    if arn:
        await _check_topic(call, arn)
    await identity.change(call, params["Identity"], _put("topics", kind, arn or None))
    if arn:
        await event_destinations.tell(call, arn, _subscribed(params["Identity"], kind, arn))
    return {}


async def set_headers_v1(call: Call, params: Params) -> Result:
    await identity.change(call, params["Identity"], _put("headers_in", params["NotificationType"], params["Enabled"]))
    return {}


async def set_forwarding_v1(call: Call, params: Params) -> Result:
    await _set_forwarding(call, params["Identity"], params["ForwardingEnabled"])
    return {}


async def put_feedback_v2(call: Call, params: Params) -> Result:
    await _set_forwarding(call, params["EmailIdentity"], params.get("EmailForwardingEnabled", False))
    return {}


async def get_notifications_v1(call: Call, params: Params) -> Result:
    found = await identity.look_all(call, params["Identities"])
    return {"NotificationAttributes": {name: _notifications(each) for name, each in found}}


def forwarding(found: Identity) -> bool:
    return bool(found.settings.get("forwarding", True))


def _notifications(found: Identity) -> dict[str, Any]:
    topics, headers = found.settings.get("topics", {}), found.settings.get("headers_in", {})
    return {
        "ForwardingEnabled": forwarding(found),
        **{f"{kind}Topic": topics.get(kind) for kind in KINDS},
        **{f"HeadersIn{kind}NotificationsEnabled": headers.get(kind, False) for kind in KINDS},
    }


async def _check_topic(call: Call, arn: str) -> None:
    if account_of(arn) != call.account_id or await call.read(lambda c: topics.topic(c, arn)) is None:
        raise invalid(f"SNS topic <{arn[:300]}> not found.")


def _subscribed(name: str, kind: str, arn: str) -> str:
    """What a topic is told that an identity names; handlers know it by its type."""
    text = (
        f"You have successfully subscribed your Amazon SNS topic '{arn}' to receive '{kind}' notifications from Amazon SES "
        f"for identity '{name}'."
    )
    return msgspec.json.encode({"notificationType": "AmazonSnsSubscriptionSucceeded", "message": text}).decode()


async def _set_forwarding(call: Call, name: str, enabled: bool) -> None:
    await identity.change(call, name, lambda settings: settings.update(forwarding=enabled))


def _put(member: str, kind: str, value: Any) -> Edit:
    """One of three; None takes it away."""

    def edit(settings: dict[str, Any]) -> None:
        kept = {**settings.get(member, {}), kind: value}
        settings[member] = {each: value for each, value in kept.items() if value is not None}

    return edit


# --- the configuration set of its mail -------------------------------------------------------------------------------


async def put_configuration_set_v2(call: Call, params: Params) -> Result:
    name = params.get("ConfigurationSetName", "")
    await identity.existing(call, params["EmailIdentity"])
    if name:
        await call.read(lambda connection: check_configuration_set(connection, call.account_id, name))
    await identity.change(call, params["EmailIdentity"], set_configuration_set(name))
    return {}


def check_configuration_set(connection: Connection, account_id: int, name: str) -> None:
    if documents.get(connection, account_id, Kind.CONFIGURATION_SET, name) is None:
        text = f"Configuration set <{name[:100]}> does not exist."
        raise SesError("ConfigurationSetDoesNotExist", text, members={"ConfigurationSetName": name[:100]})


def set_configuration_set(name: str) -> Edit:
    def edit(settings: dict[str, Any]) -> None:
        settings.pop("configuration_set", None)
        if name:
            settings["configuration_set"] = name

    return edit
