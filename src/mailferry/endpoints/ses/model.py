"""The operations and shapes of an AWS service, read from the data files of the installed botocore (Apache-2.0).

They are what every AWS client is made from, so whatever is asked and answered by them is understood. botocore itself is
never imported: its files are read once at start, in a few milliseconds.
"""

import gzip
import importlib.util
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any


@dataclass(slots=True)
class Shape:
    """One type. Filled in after it is made, since a type may contain itself."""

    name: str
    #: structure, list, map, string, integer, long, double, float, boolean, timestamp or blob.
    kind: str
    members: dict[str, "Member"] = field(default_factory=dict)
    required: tuple[str, ...] = ()
    #: What a list or map holds.
    item: "Shape | None" = None
    enum: tuple[str, ...] = ()
    least: int | None = None
    most: int | None = None
    pattern: re.Pattern[str] | None = None


@dataclass(frozen=True, slots=True)
class Member:
    shape: Shape
    #: ``uri``, ``querystring``, ``header``, or nothing: in the body.
    location: str
    #: As it is spelled on the wire.
    wire: str


@dataclass(frozen=True, slots=True)
class Operation:
    name: str
    method: str
    #: Such as ``/v2/email/identities/{EmailIdentity}``.
    path: str
    input: Shape
    output: Shape | None
    #: The element around a result of the query protocol.
    wrapper: str


@dataclass(frozen=True, slots=True)
class Fault:
    """A modelled error, as it is spelled on the wire."""

    code: str
    status: int
    members: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Service:
    name: str
    version: str
    namespace: str
    operations: Mapping[str, Operation]
    #: By the code on the wire.
    faults: Mapping[str, Fault]


_VERSIONS = {"ses": "2010-12-01", "sesv2": "2019-09-27", "sns": "2010-03-31", "sts": "2011-06-15"}


@cache
def service(name: str) -> Service:
    """``ses``, ``sesv2``, ``sns`` or ``sts``."""
    version = _VERSIONS[name]
    raw = json.loads(gzip.decompress((_data() / name / version / "service-2.json.gz").read_bytes()))
    shapes = _Shapes(raw["shapes"])
    operations = {each["name"]: _operation(each, shapes) for each in raw["operations"].values()}
    faults = [_fault(key, each) for key, each in raw["shapes"].items() if each.get("exception")]
    namespace = raw["metadata"].get("xmlNamespace", "")
    return Service(name, version, namespace, operations, {fault.code: fault for fault in faults})


def _data() -> Path:
    found = importlib.util.find_spec("botocore")
    assert found and found.submodule_search_locations, "botocore is a dependency"
    return Path(found.submodule_search_locations[0]) / "data"


class _Shapes:
    def __init__(self, raw: Mapping[str, Any]) -> None:
        self._raw = raw
        self._made: dict[str, Shape] = {}

    def get(self, name: str) -> Shape:
        if name in self._made:
            return self._made[name]
        raw = self._raw[name]
        shape = self._made[name] = Shape(name, raw["type"])
        shape.required = tuple(raw.get("required", ()))
        shape.enum = tuple(raw.get("enum", ()))
        shape.least, shape.most = raw.get("min"), raw.get("max")
        shape.pattern = _pattern(raw.get("pattern"))
        if item := raw.get("member") or raw.get("value"):
            shape.item = self.get(item["shape"])
        for key, member in raw.get("members", {}).items():
            wire = member.get("locationName", key)
            shape.members[key] = Member(self.get(member["shape"]), member.get("location", ""), wire)
        return shape


def _pattern(text: str | None) -> re.Pattern[str] | None:
    try:
        return re.compile(text) if text else None
    except re.error:  # Java's, which Python's re does not know
        return None


def _operation(raw: Mapping[str, Any], shapes: _Shapes) -> Operation:
    given, answered = raw.get("input"), raw.get("output")
    return Operation(
        raw["name"],
        raw["http"]["method"],
        raw["http"]["requestUri"],
        shapes.get(given["shape"]) if given else Shape("Nothing", "structure"),
        shapes.get(answered["shape"]) if answered else None,
        (answered or {}).get("resultWrapper", ""),
    )


def _fault(name: str, raw: Mapping[str, Any]) -> Fault:
    error = raw.get("error", {})
    return Fault(error.get("code", name), error.get("httpStatusCode", 400), tuple(raw.get("members", {})))
