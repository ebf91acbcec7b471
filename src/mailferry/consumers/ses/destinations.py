"""Event destinations as configuration sets hold them: who is told of an event, and what is counted of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from mailferry.resources import documents
from mailferry.resources.documents import Kind

#: The key of configuration sets that have something counted, so that whoever counts finds them without reading all.
WATCHED = "watched"
#: Amazon's: characters of a dimension's value.
MOST_VALUE = 256
Body = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Count:
    """One event for one CloudWatch destination."""

    account_id: int
    set_name: str
    destination: str
    #: As CloudWatch calls the metric, such as ``RenderingFailure``.
    metric: str
    dimensions: Mapping[str, str]


def asking(body: Body, type_: str) -> list[Body]:
    """The set's enabled destinations of that type of event."""
    return [each for each in _enabled(body) if type_ in each["MatchingEventTypes"]]


def topics(asking: Sequence[Body]) -> list[str]:
    return _arns(asking, "SnsDestination", "TopicArn")


def buses(asking: Sequence[Body]) -> list[str]:
    return _arns(asking, "EventBridgeDestination", "EventBusArn")


def streams(asking: Sequence[Body]) -> list[str]:
    return _arns(asking, "KinesisFirehoseDestination", "DeliveryStreamArn")


def receiver(destination: Body) -> str:
    """The ARN of the bus or stream that it names: only a webhook hears of these (resources/webhooks.py). "": of none."""
    return next(iter((*buses([destination]), *streams([destination]))), "")


def counts(account_id: int, set_name: str, asking: Sequence[Body], published: Body) -> list[Count]:
    """``published``: the event as it is told."""
    metric = published["eventType"].replace(" ", "")
    return [
        Count(account_id, set_name, each["Name"], metric, _dimensions(watch, published))
        for each in asking
        if (watch := each.get("CloudWatchDestination"))
    ]


def key(body: Body) -> str:
    """Of the document."""
    return WATCHED if any(each.get("CloudWatchDestination") for each in _enabled(body)) else ""


def watched_accounts(connection: Connection) -> frozenset[int]:
    """Those in which something is counted."""
    return frozenset(documents.accounts_of_key(connection, Kind.CONFIGURATION_SET, WATCHED))


def _enabled(body: Body) -> list[Body]:
    return [each for each in body.get("EventDestinations", []) if each.get("Enabled")]


def _arns(asking: Sequence[Body], kind: str, member: str) -> list[str]:
    return list(dict.fromkeys(each[kind][member] for each in asking if each.get(kind)))


def _dimensions(watch: Body, published: Body) -> dict[str, str]:
    found = {}
    for each in watch["DimensionConfigurations"]:
        name = each["DimensionName"]
        values = _values(each["DimensionValueSource"], name, published)
        found[name] = next(iter(values), each["DefaultDimensionValue"])[:MOST_VALUE]
    return found


def _values(source: str, name: str, published: Body) -> Sequence[str]:
    mail = published["mail"]
    if source == "MESSAGE_TAG":
        found: Sequence[str] = mail["tags"].get(name, ())
    elif source == "EMAIL_HEADER":
        found = [each["value"] for each in mail.get("headers", ()) if each["name"].lower() == name.lower()]
    else:
        found = (published.get("click", {}).get("linkTags") or {}).get(name, ())
    return found
