"""The names of AWS's regions, from botocore's data file, and the passwords of SMTP that are derived for them."""

import base64
import hashlib
import hmac
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


def smtp_password(secret: str, region: str) -> str:
    """The password of SMTP that Amazon's consoles and scripts derive (SES developer guide, "smtp-credentials")."""
    key = ("AWS4" + secret).encode()
    for part in ("11111111", region, "ses", "aws4_request", "SendRawEmail"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return base64.b64encode(b"\x04" + key).decode()
