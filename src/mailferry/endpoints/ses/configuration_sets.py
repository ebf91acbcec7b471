"""Configuration sets: documents by v2's member names, which v1 reads and writes too."""

from collections.abc import Callable
from typing import Any

from sqlalchemy import Connection

from mailferry.consumers.ses import destinations
from mailferry.consumers.webhooks import gather
from mailferry.endpoints.ses import destinations_v1, paging, tags
from mailferry.endpoints.ses.deps import Call, Params, Result
from mailferry.endpoints.ses.errors import SesError, invalid
from mailferry.resources import audit, documents
from mailferry.resources.documents import Document, Kind

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

Body = dict[str, Any]


async def create_v2(call: Call, params: Params) -> Result:
    body: Body = {name: params[name] for name in _OPTIONS if name in params}
    if "TrackingOptions" in body:
        _check_tracking(body["TrackingOptions"])
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
            _note(connection, call, name, "configuration_set.deleted", now)
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


async def put_tracking_v2(call: Call, params: Params) -> Result:
    _check_tracking(params)
    return await _put(call, params, "TrackingOptions")


async def put_vdm(call: Call, params: Params) -> Result:
    options = params.get("VdmOptions", {})
    await changed(call, params["ConfigurationSetName"], lambda body: body.update(VdmOptions=options))
    return None


async def update_reputation_v1(call: Call, params: Params) -> Result:
    given = {**params, "ReputationMetricsEnabled": params["Enabled"]}
    return await _put_flag(call, given, "ReputationOptions", "ReputationMetricsEnabled")


async def update_sending_v1(call: Call, params: Params) -> Result:
    return await _put_flag(call, {**params, "SendingEnabled": params["Enabled"]}, "SendingOptions", "SendingEnabled")


async def create_tracking_v1(call: Call, params: Params) -> Result:
    name = params["ConfigurationSetName"]
    _check_tracking(params["TrackingOptions"])

    def change(body: Body) -> None:
        if body.get("TrackingOptions", {}).get("CustomRedirectDomain"):
            text = f"Tracking options already exist in configuration set <{name}>."
            raise SesError("TrackingOptionsAlreadyExistsException", text, members={"ConfigurationSetName": name})
        body["TrackingOptions"] = dict(params["TrackingOptions"])

    await changed(call, name, change)
    return None


async def update_tracking_v1(call: Call, params: Params) -> Result:
    _check_tracking(params["TrackingOptions"])
    return await _tracked(call, params, lambda body: body.update(TrackingOptions=dict(params["TrackingOptions"])))


async def delete_tracking_v1(call: Call, params: Params) -> Result:
    return await _tracked(call, params, lambda body: body.pop("TrackingOptions"))


async def _tracked(call: Call, params: Params, then: Callable[[Body], object]) -> Result:
    """Changes tracking options that are there."""
    name = params["ConfigurationSetName"]

    def change(body: Body) -> None:
        if not body.get("TrackingOptions", {}).get("CustomRedirectDomain"):
            text = f"There are no tracking options in configuration set <{name}>."
            raise SesError("TrackingOptionsDoesNotExistException", text, members={"ConfigurationSetName": name})
        then(body)

    await changed(call, name, change)
    return None


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


# --- what all of them stand on ---------------------------------------------------------------------------------------


async def found(call: Call, name: str) -> Document:
    """Raises `SesError`."""
    document = await call.read(lambda c: documents.get(c, call.account_id, Kind.CONFIGURATION_SET, name))
    if document is None:
        raise missing(name)
    return document


async def changed(call: Call, name: str, change: Callable[[Body], object]) -> None:
    """``change`` is handed the document, locked, and may raise. Raises `SesError`."""
    now = call.now()

    def write(connection: Connection) -> None:
        document = documents.get(connection, call.account_id, Kind.CONFIGURATION_SET, name, locked=True)
        if document is None:
            raise missing(name)
        body = dict(document.body)
        change(body)
        key = destinations.key(body)
        documents.replace(connection, call.account_id, Kind.CONFIGURATION_SET, name, body, now, key=key)
        if key:
            # From this moment on the journal is kept, so that nothing goes uncounted.
            gather.begin(connection, now)
        _note(connection, call, name, "configuration_set.updated", now)

    await call.write(write)
    call.deps.documents.forget()


def missing(name: str) -> SesError:
    text = f"Configuration set <{name}> does not exist."
    return SesError("ConfigurationSetDoesNotExist", text, members={"ConfigurationSetName": name})


async def _create(call: Call, name: str, body: Body) -> None:
    now = call.now()

    def write(connection: Connection) -> bool:
        if documents.count(connection, call.account_id, Kind.CONFIGURATION_SET) >= MOST:
            raise SesError("LimitExceeded", f"An account has at most {MOST} configuration sets.")
        made = documents.add(connection, call.account_id, Kind.CONFIGURATION_SET, name, body, now)
        if made:
            _note(connection, call, name, "configuration_set.created", now)
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


def _check_tracking(options: Params) -> None:
    if not options.get("CustomRedirectDomain") and "HttpsPolicy" not in options:
        raise SesError("InvalidTrackingOptions", "A custom redirect domain must be specified.")


def _note(connection: Connection, call: Call, name: str, event: str, now: int) -> None:
    audit.note(connection, call.account_id, call.actor, event, ("configuration_set", 0, name), now)
