"""Message ids of SES's form: region, moment, our own message id. Nothing need be kept to find one from the other."""

import re

#: The four digits that ids of a region begin with.
_PREFIXES = {
    "us-east-1": "0100",
    "us-west-2": "0101",
    "eu-west-1": "0102",
    "eu-central-1": "0107",
    "ap-south-1": "0109",
}
_OTHER = "010f"
_FORM = re.compile(r"[0-9a-f]{16}-([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})-[0-9]{6}")


def public(message_id: str, region: str) -> str:
    """Of a message id of ours, which is a UUIDv7 and begins with its moment."""
    moment = message_id.replace("-", "")[:12]
    return f"{_PREFIXES.get(region, _OTHER)}{moment}-{message_id}-000000"


def internal(public_id: str) -> str:
    """Ours, or nothing."""
    found = _FORM.fullmatch(public_id)
    return found[1] if found else ""
