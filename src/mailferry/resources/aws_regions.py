"""The names of AWS's regions, from botocore's data file: a password of SMTP is derived for one of them."""

import importlib.util
from functools import cache
from pathlib import Path
from typing import Any

import msgspec


@cache
def names() -> tuple[str, ...]:
    """All of all partitions, China's and the governments' too: whoever moves here has his password for one of them."""
    found = importlib.util.find_spec("botocore")
    assert found and found.submodule_search_locations, "botocore is a dependency"
    file = Path(found.submodule_search_locations[0]) / "data" / "partitions.json"
    raw: dict[str, Any] = msgspec.json.decode(file.read_bytes())
    regions = [region for partition in raw["partitions"] for region in partition["regions"]]
    # What is of no region, such as aws-global, has no SMTP.
    return tuple(region for region in regions if not region.endswith("-global"))
