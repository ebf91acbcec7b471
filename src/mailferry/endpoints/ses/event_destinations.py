"""Event destinations of configuration sets. What they are told, and by whom, is in consumers/ses and consumers/webhooks."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import structlog
from sqlalchemy import Connection

from mailferry.consumers.ses import destinations
from mailferry.consumers.webhooks import topics as deeds
from mailferry.endpoints.ses import configuration_set, destinations_v1, names
from mailferry.endpoints.ses.deps import Call, Params, Result
from mailferry.endpoints.ses.errors import SesError, invalid
from mailferry.resources import arns, topics, webhooks
from mailferry.resources.arns import account_of

log = structlog.get_logger(__name__)

#: Of one set (quotas), and dimensions of one destination.
MOST, MOST_DIMENSIONS = 10, 10
_DIMENSION_NAME = re.compile(r"[A-Za-z0-9_:-]{1,256}")
_DIMENSION_VALUE = re.compile(r"[A-Za-z0-9_.@-]{1,256}")
VALIDATED = "Successfully validated SNS topic for Amazon SES event publishing."
_KINDS = (
    "CloudWatchDestination",
    "EventBridgeDestination",
    "KinesisFirehoseDestination",
    "PinpointDestination",
    "SnsDestination",
)
Destination = dict[str, Any]


async def create_v2(call: Call, params: Params) -> Result:
    await _create(call, params, {"Name": params["EventDestinationName"], **params["EventDestination"]})
    return None


async def create_v1(call: Call, params: Params) -> Result:
    await _create(call, params, destinations_v1.read(params["EventDestination"]))
    return None


async def update_v2(call: Call, params: Params) -> Result:
    await _update(call, params, {"Name": params["EventDestinationName"], **params["EventDestination"]})
    return None


async def update_v1(call: Call, params: Params) -> Result:
    await _update(call, params, destinations_v1.read(params["EventDestination"]))
    return None


async def get_v2(call: Call, params: Params) -> Result:
    found = await configuration_set.found(call, params["ConfigurationSetName"])
    return {"EventDestinations": found.body.get("EventDestinations", [])}


async def delete(call: Call, params: Params) -> Result:
    name = params["EventDestinationName"]

    def change(body: Destination) -> None:
        standing = body.get("EventDestinations", [])
        body["EventDestinations"] = [each for each in standing if each["Name"] != name]
        if len(standing) == len(body["EventDestinations"]):
            raise _missing(params["ConfigurationSetName"], name)

    await configuration_set.changed(call, params["ConfigurationSetName"], change)
    return None


async def _create(call: Call, params: Params, destination: Destination) -> None:
    set_name, name = params["ConfigurationSetName"], names.checked(destination["Name"], "An event destination's name")
    await configuration_set.found(call, set_name)
    made = await _checked(call, destination)

    def change(body: Destination) -> None:
        standing = body.get("EventDestinations", [])
        if any(each["Name"] == name for each in standing):
            members = {"ConfigurationSetName": set_name, "EventDestinationName": name}
            text = f"An event destination named <{name}> already exists in configuration set <{set_name}>."
            raise SesError("EventDestinationAlreadyExists", text, members=members)
        if len(standing) >= MOST:
            raise SesError("LimitExceeded", f"A configuration set has at most {MOST} event destinations.")
        body["EventDestinations"] = [*standing, made]

    await configuration_set.changed(call, set_name, change)
    await _announce(call, made)


async def _update(call: Call, params: Params, destination: Destination) -> None:
    set_name, name = params["ConfigurationSetName"], destination["Name"]
    made = await _checked(call, destination)

    def change(body: Destination) -> None:
        standing = body.get("EventDestinations", [])
        if all(each["Name"] != name for each in standing):
            raise _missing(set_name, name)
        body["EventDestinations"] = [made if each["Name"] == name else each for each in standing]

    await configuration_set.changed(call, set_name, change)
    await _warn(call, made)


async def _checked(call: Call, given: Destination) -> Destination:
    """As it is kept. Raises `SesError`."""
    named = [kind for kind in _KINDS if given.get(kind)]
    if len(named) != 1:
        raise invalid("Exactly one event destination must be specified.")
    if not given.get("MatchingEventTypes"):
        raise invalid("At least one matching event type must be specified.")
    if watch := given.get("CloudWatchDestination"):
        _check_dimensions(given["Name"], watch["DimensionConfigurations"])
    if stream := given.get("KinesisFirehoseDestination"):
        _check_arn(arns.STREAM, stream["DeliveryStreamArn"], given["Name"], "InvalidFirehoseDestination")
    if bus := given.get("EventBridgeDestination"):
        _check_arn(arns.BUS, bus["EventBusArn"], given["Name"], "InvalidParameterValue")
    if "SnsDestination" in named:
        arn = given["SnsDestination"]["TopicArn"]
        if account_of(arn) != call.account_id or await call.read(lambda c: topics.topic(c, arn)) is None:
            members = {"EventDestinationName": given["Name"]}
            raise SesError("InvalidSNSDestination", f"SNS topic <{arn}> not found.", members=members)
    return {**given, "Enabled": given.get("Enabled", False)}


def _check_dimensions(destination: str, dimensions: Sequence[Mapping[str, str]]) -> None:
    """What `/metrics` can take as labels for ever."""
    text = ""
    if len(dimensions) > MOST_DIMENSIONS:
        text = f"A destination has at most {MOST_DIMENSIONS} dimensions."
    for each in dimensions:
        if not _DIMENSION_NAME.fullmatch(each["DimensionName"]):
            text = "A dimension's name has 1 to 256 letters of ASCII, digits, hyphens, underscores and colons."
        elif not _DIMENSION_VALUE.fullmatch(each["DefaultDimensionValue"]):
            text = (
                "A default dimension value has 1 to 256 letters of ASCII, digits, hyphens, underscores, periods and @."
            )
    if text:
        raise SesError("InvalidCloudWatchDestination", text, members={"EventDestinationName": destination})


def _check_arn(form: re.Pattern[str], arn: str, destination: str, code: str) -> None:
    """One of another form no webhook could stand for."""
    if not form.fullmatch(arn):
        text = f"<{arn[:200]}> is no ARN of an event bus or a delivery stream."
        raise SesError(code, text, members={"EventDestinationName": destination})


async def _announce(call: Call, destination: Destination) -> None:
    """A text that no handler takes for an event."""
    if sns := destination.get("SnsDestination"):
        await tell(call, sns["TopicArn"], VALIDATED)
    await _warn(call, destination)


async def _warn(call: Call, destination: Destination) -> None:
    """A bus or a stream that no webhook stands for: its events go nowhere, and whoever runs this can mend that."""
    arn = destinations.receiver(destination)
    if not arn:
        return
    standing = await call.read(lambda c: webhooks.of_account(c, call.account_id, subscriptions=True))
    if all(each.subscription != arn for each in standing):
        remedy = f"mailferry webhooks add URL --destination {arn}"
        log.warning("event_destination_unheard", account=call.account_id, destination=arn, remedy=remedy)


async def tell(call: Call, arn: str, text: str) -> None:
    """Publishes a text of ours to a topic, if it is there."""
    now = call.now()

    def write(connection: Connection) -> None:
        topic = topics.topic(connection, arn)
        if topic is not None:
            deeds.publish(connection, topic, text, "", now)

    await call.write(write)


def _missing(set_name: str, name: str) -> SesError:
    members = {"ConfigurationSetName": set_name, "EventDestinationName": name}
    return SesError("EventDestinationDoesNotExist", f"No EventDestination found for {name}", members=members)
