"""How v1 spells an event destination, which is kept as v2 does."""

from collections.abc import Mapping
from typing import Any

_TYPES_V1 = {
    "send": "SEND",
    "reject": "REJECT",
    "bounce": "BOUNCE",
    "complaint": "COMPLAINT",
    "delivery": "DELIVERY",
    "open": "OPEN",
    "click": "CLICK",
    "renderingFailure": "RENDERING_FAILURE",
}
_SOURCES_V1 = {"messageTag": "MESSAGE_TAG", "emailHeader": "EMAIL_HEADER", "linkTag": "LINK_TAG"}


Destination = dict[str, Any]


def write(destination: Mapping[str, Any]) -> Destination:
    """What v1 has no word for is left out."""
    types = {word: name for name, word in _TYPES_V1.items()}
    shown: Destination = {
        "Name": destination["Name"],
        "Enabled": destination["Enabled"],
        "MatchingEventTypes": [types[each] for each in destination["MatchingEventTypes"] if each in types],
    }
    if sns := destination.get("SnsDestination"):
        shown["SNSDestination"] = {"TopicARN": sns["TopicArn"]}
    if firehose := destination.get("KinesisFirehoseDestination"):
        names = {"IAMRoleARN": firehose["IamRoleArn"], "DeliveryStreamARN": firehose["DeliveryStreamArn"]}
        shown["KinesisFirehoseDestination"] = names
    if watch := destination.get("CloudWatchDestination"):
        sources = {word: name for name, word in _SOURCES_V1.items()}
        shown["CloudWatchDestination"] = _with_sources(watch, sources)
    return shown


def read(given: Mapping[str, Any]) -> Destination:
    found: Destination = {
        "Name": given["Name"],
        "Enabled": given.get("Enabled", False),
        "MatchingEventTypes": [_TYPES_V1[each] for each in given["MatchingEventTypes"]],
    }
    if sns := given.get("SNSDestination"):
        found["SnsDestination"] = {"TopicArn": sns["TopicARN"]}
    if firehose := given.get("KinesisFirehoseDestination"):
        names = {"IamRoleArn": firehose["IAMRoleARN"], "DeliveryStreamArn": firehose["DeliveryStreamARN"]}
        found["KinesisFirehoseDestination"] = names
    if watch := given.get("CloudWatchDestination"):
        found["CloudWatchDestination"] = _with_sources(watch, _SOURCES_V1)
    return found


def _with_sources(watch: Mapping[str, Any], words: Mapping[str, str]) -> Destination:
    dimensions = watch["DimensionConfigurations"]
    return {
        "DimensionConfigurations": [
            {**each, "DimensionValueSource": words[each["DimensionValueSource"]]} for each in dimensions
        ]
    }
