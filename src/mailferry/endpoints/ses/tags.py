"""Tags of resources, kept by the resource's ARN. What is tagged must be there."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection

from mailferry.endpoints.ses import identity
from mailferry.endpoints.ses.deps import Call, Params, Result
from mailferry.endpoints.ses.errors import SesError, invalid, not_found
from mailferry.resources import documents
from mailferry.resources.documents import Kind

#: Of one resource.
MAX_TAGS = 50
MAX_KEY = 128
MAX_VALUE = 256
_ARN = re.compile(r"arn:aws[a-z-]*:ses:[a-z0-9-]+:([0-9]{12}):([a-z-]+)/(.+)")
#: By the word in an ARN; what has none here is not looked for (templates have a table of their own).
_KINDS = {
    "configuration-set": Kind.CONFIGURATION_SET,
    "contact-list": Kind.CONTACT_LIST,
    "custom-verification-email-template": Kind.VERIFICATION_TEMPLATE,
    "dedicated-ip-pool": Kind.DEDICATED_IP_POOL,
    "tenant": Kind.TENANT,
}
_OTHERS = frozenset({"identity", "template"})


async def tag(call: Call, params: Params) -> Result:
    arn, given = params["ResourceArn"], params["Tags"]
    check(given)
    await _check_resource(call, arn)
    await call.write(lambda connection: add(connection, call, arn, given))
    return {}


async def untag(call: Call, params: Params) -> Result:
    arn, gone = params["ResourceArn"], set(params["TagKeys"])
    await _check_resource(call, arn)

    def write(connection: Connection) -> None:
        found = documents.lock(connection, call.account_id, Kind.TAGS, arn)
        if found:
            kept = {key: value for key, value in found.body.items() if key not in gone}
            documents.replace(connection, call.account_id, Kind.TAGS, arn, kept, call.now())

    await call.write(write)
    return {}


async def list_of(call: Call, params: Params) -> Result:
    arn = params["ResourceArn"]
    await _check_resource(call, arn)
    return {"Tags": await call.read(lambda connection: of(connection, call, arn))}


def of(connection: Connection, call: Call, arn: str) -> list[dict[str, str]]:
    found = documents.get(connection, call.account_id, Kind.TAGS, arn)
    return [{"Key": key, "Value": value} for key, value in found.body.items()] if found else []


def add(connection: Connection, call: Call, arn: str, given: Sequence[Mapping[str, Any]]) -> None:
    """Beside those that are there, over those of the same key. They were checked. Raises `SesError`: they are too many."""
    if not given:
        return
    documents.add(connection, call.account_id, Kind.TAGS, arn, {}, call.now())
    found = documents.lock(connection, call.account_id, Kind.TAGS, arn)
    kept = {**(found.body if found else {}), **{each["Key"]: each["Value"] for each in given}}
    if len(kept) > MAX_TAGS:
        raise invalid(f"A resource has at most {MAX_TAGS} tags.")
    documents.replace(connection, call.account_id, Kind.TAGS, arn, kept, call.now())


def check(given: Sequence[Mapping[str, Any]]) -> None:
    """Raises `SesError`."""
    keys = [each["Key"] for each in given]
    if len(set(keys)) < len(keys):
        raise invalid("Duplicate tag keys found.")
    for each in given:
        if not 1 <= len(each["Key"]) <= MAX_KEY:
            raise invalid(f"A tag's key has 1 to {MAX_KEY} characters.")
        if len(each["Value"]) > MAX_VALUE:
            raise invalid(f"A tag's value has at most {MAX_VALUE} characters.")
        if each["Key"].lower().startswith("aws:"):
            raise invalid("Keys of tags that begin with aws: are reserved.")


async def _check_resource(call: Call, arn: str) -> None:
    found = _ARN.fullmatch(arn)
    if found is None or found[2] not in {*_KINDS, *_OTHERS}:
        raise invalid(f"Invalid resource ARN <{arn[:300]}>.")
    account, word, name = found.groups()
    if account != call.aws_account:
        raise SesError("AccessDenied", f"The resource {arn[:300]} is of another account.", status=403)
    if word == "identity":
        await identity.existing(call, name)
        return
    kind = _KINDS.get(word)
    # A tenant's ARN has its id behind the name.
    key = name.partition("/")[0] if word == "tenant" else name
    if kind and not await call.read(lambda connection: documents.get(connection, call.account_id, kind, key)):
        raise not_found(f"Resource {arn[:300]} does not exist.")
