"""Configuration sets: documents by v2's member names, which v1 reads and writes too."""

from typing import Any

from sqlalchemy import Connection

from mailferry.endpoints.ses import destinations_v1, names, paging, tags, tracking_options
from mailferry.endpoints.ses.configuration_set import Body, changed, found, missing, note
from mailferry.endpoints.ses.deps import Call, Params, Result
from mailferry.endpoints.ses.errors import SesError, invalid
from mailferry.resources import documents
from mailferry.resources.documents import Kind

#: Quotas.
MOST = 10_000
PAGE, LONGEST_PAGE = 50, 1000
#: Whatever a set may be made with, by its name in the document.
_OPTIONS = (
    "ArchivingOptions",
    "DeliveryOptions",
    "MessageSecurityOptions",
    "ReputationOptions",
    "SendingOptions",
    "SuppressionOptions",
    "TrackingOptions",
    "VdmOptions",
)
_TLS_V1 = {"REQUIRE": "Require", "OPTIONAL": "Optional"}


async def create_v2(call: Call, params: Params) -> Result:
    body: Body = {name: params[name] for name in _OPTIONS if name in params}
    if "TrackingOptions" in body:
        await tracking_options.check(call, body["TrackingOptions"])
    await _create(call, params["ConfigurationSetName"], body | {tags.MEMBER: tags.read(params)})
    return None


async def create_v1(call: Call, params: Params) -> Result:
    await _create(call, params["ConfigurationSet"]["Name"], {})
    return None


async def get_v2(call: Call, params: Params) -> Result:
    body = (await found(call, params["ConfigurationSetName"])).body
    defaults: Body = {
        "DeliveryOptions": {"TlsPolicy": "OPTIONAL"},
        "ReputationOptions": {"ReputationMetricsEnabled": False},
        "SendingOptions": {"SendingEnabled": True},
    }
    shown = {
        name: {**defaults.get(name, {}), **body.get(name, {})} for name in _OPTIONS if name in {**defaults, **body}
    }
    return {"ConfigurationSetName": params["ConfigurationSetName"], **shown, "Tags": body.get(tags.MEMBER, [])}


async def describe_v1(call: Call, params: Params) -> Result:
    """Only what is asked for by name."""
    name = params["ConfigurationSetName"]
    body = (await found(call, name)).body
    reputation = body.get("ReputationOptions", {})
    shown: Body = {
        "eventDestinations": (
            "EventDestinations",
            [destinations_v1.write(each) for each in body.get("EventDestinations", [])],
        ),
        "trackingOptions": ("TrackingOptions", body.get("TrackingOptions")),
        "deliveryOptions": ("DeliveryOptions", {"TlsPolicy": _TLS_V1[_tls(body)]}),
        "reputationOptions": (
            "ReputationOptions",
            {
                "SendingEnabled": body.get("SendingOptions", {}).get("SendingEnabled", True),
                "ReputationMetricsEnabled": reputation.get("ReputationMetricsEnabled", False),
                "LastFreshStart": reputation.get("LastFreshStart"),
            },
        ),
    }
    wanted = params.get("ConfigurationSetAttributeNames", [])
    return {"ConfigurationSet": {"Name": name}, **dict(shown[each] for each in wanted if each in shown)}


async def list_v2(call: Call, params: Params) -> Result:
    names, token = await _page(call, params.get("PageSize", PAGE), params.get("NextToken", ""))
    return {"ConfigurationSets": names, "NextToken": token}


async def list_v1(call: Call, params: Params) -> Result:
    names, token = await _page(call, params.get("MaxItems", PAGE), params.get("NextToken", ""))
    return {"ConfigurationSets": [{"Name": name} for name in names], "NextToken": token}


async def delete(call: Call, params: Params) -> Result:
    name, now = params["ConfigurationSetName"], call.now()

    def write(connection: Connection) -> bool:
        gone = documents.remove(connection, call.account_id, Kind.CONFIGURATION_SET, name)
        if gone:
            note(connection, call, name, "configuration_set.deleted", now)
        return gone

    if not await call.write(write):
        raise missing(name)
    call.deps.documents.forget()
    return None


# --- options -------------------------------------------------------------------------------------------------------


async def put_delivery_v2(call: Call, params: Params) -> Result:
    return await _put(call, params, "DeliveryOptions")


async def put_delivery_v1(call: Call, params: Params) -> Result:
    policy = params.get("DeliveryOptions", {}).get("TlsPolicy", "Optional").upper()

    def change(body: Body) -> None:
        body["DeliveryOptions"] = {**body.get("DeliveryOptions", {}), "TlsPolicy": policy}

    await changed(call, params["ConfigurationSetName"], change)
    return None


async def put_archiving(call: Call, params: Params) -> Result:
    return await _put(call, params, "ArchivingOptions")


async def put_reputation(call: Call, params: Params) -> Result:
    return await _put_flag(call, params, "ReputationOptions", "ReputationMetricsEnabled")


async def put_sending(call: Call, params: Params) -> Result:
    return await _put_flag(call, params, "SendingOptions", "SendingEnabled")


async def put_suppression(call: Call, params: Params) -> Result:
    """An empty list means that nothing stops mail; a set without these options has the account's."""
    return await _put(call, params, "SuppressionOptions", SuppressedReasons=params.get("SuppressedReasons", []))


async def put_vdm(call: Call, params: Params) -> Result:
    options = params.get("VdmOptions", {})
    await changed(call, params["ConfigurationSetName"], lambda body: body.update(VdmOptions=options))
    return None


async def update_reputation_v1(call: Call, params: Params) -> Result:
    given = {**params, "ReputationMetricsEnabled": params["Enabled"]}
    return await _put_flag(call, given, "ReputationOptions", "ReputationMetricsEnabled")


async def update_sending_v1(call: Call, params: Params) -> Result:
    return await _put_flag(call, {**params, "SendingEnabled": params["Enabled"]}, "SendingOptions", "SendingEnabled")


async def _put(call: Call, params: Params, options: str, **more: Any) -> Result:
    given = {name: value for name, value in params.items() if name != "ConfigurationSetName"}
    await changed(call, params["ConfigurationSetName"], lambda body: body.update({options: {**given, **more}}))
    return None


async def _put_flag(call: Call, params: Params, options: str, flag: str) -> Result:
    """What is not said is false, as at Amazon."""

    def change(body: Body) -> None:
        body[options] = {**body.get(options, {}), flag: params.get(flag, False)}

    await changed(call, params["ConfigurationSetName"], change)
    return None


# --- making and listing ----------------------------------------------------------------------------------------------


async def _create(call: Call, name: str, body: Body) -> None:
    names.checked(name, "A configuration set's name", "InvalidConfigurationSet")
    now = call.now()

    def write(connection: Connection) -> bool:
        if documents.count(connection, call.account_id, Kind.CONFIGURATION_SET) >= MOST:
            raise SesError("LimitExceeded", f"An account has at most {MOST} configuration sets.")
        made = documents.add(connection, call.account_id, Kind.CONFIGURATION_SET, name, body, now)
        if made:
            note(connection, call, name, "configuration_set.created", now)
        return made

    if not await call.write(write):
        text = f"Configuration set <{name}> already exists."
        raise SesError("ConfigurationSetAlreadyExists", text, members={"ConfigurationSetName": name})
    call.deps.documents.forget()


async def _page(call: Call, size: int, token: str) -> tuple[list[str], str | None]:
    if not 1 <= size <= LONGEST_PAGE:
        raise invalid(f"The page size must be between 1 and {LONGEST_PAGE}")
    after = paging.after({"NextToken": token})
    found = await call.read(
        lambda c: documents.page(c, call.account_id, Kind.CONFIGURATION_SET, after=after, most=size + 1)
    )
    page, following = paging.page(found, size, lambda each: each.name)
    return [each.name for each in page], following


def _tls(body: Any) -> str:
    policy: str = body.get("DeliveryOptions", {}).get("TlsPolicy", "OPTIONAL")
    return policy
