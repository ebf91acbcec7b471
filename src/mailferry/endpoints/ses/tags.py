"""Tags of resources. They are kept where the resource is, and of what is no document in one of their own.

What is tagged must be there. Nothing has a region here, so an ARN of any region names the same resource.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from mailferry.endpoints.ses import identity
from mailferry.endpoints.ses.deps import Call, Params, Result
from mailferry.endpoints.ses.errors import SesError, invalid, not_found
from mailferry.resources import documents, templates
from mailferry.resources.documents import Kind
from mailferry.resources.permissions import VIEWER

#: Of one resource, and characters of one (quotas).
MAX_TAGS = 50
MAX_KEY = 128
MAX_VALUE = 256
#: The member of a document that holds them, as a list of Key and Value.
MEMBER = "Tags"
_ARN = re.compile(r"arn:aws[a-z-]*:ses:[a-z0-9-]+:([0-9]{12}):([a-z-]+/.+)")
#: By the word in an ARN: documents that hold their own tags.
_HOLDING = {
    "configuration-set": Kind.CONFIGURATION_SET,
    "dedicated-ip-pool": Kind.DEDICATED_IP_POOL,
    "identity": Kind.IDENTITY,
    "tenant": Kind.TENANT,
}
CONTACT_LIST, TEMPLATE, VERIFICATION_TEMPLATE = "contact-list", "template", "custom-verification-email-template"
#: And those whose form leaves no room for them; a template is no document at all.
_CLOSED = {CONTACT_LIST: Kind.CONTACT_LIST, VERIFICATION_TEMPLATE: Kind.VERIFICATION_TEMPLATE, TEMPLATE: None}

Tags = Sequence[Mapping[str, str]]


@dataclass(frozen=True, slots=True)
class _Place:
    """The document that holds a resource's tags. ``made``: it is made when there is none."""

    kind: Kind
    name: str
    made: bool


async def tag(call: Call, params: Params) -> Result:
    given = read(params)
    resource = await _resource(call, params["ResourceArn"])
    await _change(call, resource, lambda kept: _merged(kept, given))
    return {}


async def untag(call: Call, params: Params) -> Result:
    gone = set(params["TagKeys"])
    resource = await _resource(call, params["ResourceArn"])
    await _change(call, resource, lambda kept: [each for each in kept if each["Key"] not in gone])
    return {}


async def list_of(call: Call, params: Params) -> Result:
    resource = await _resource(call, params["ResourceArn"])
    return {"Tags": await call.read(lambda connection: of(connection, call.account_id, resource))}


def of(connection: Connection, account_id: int, resource: str) -> Tags:
    """``resource`` as in an ARN: ``template/welcome``."""
    place = _place(resource)
    found = documents.get(connection, account_id, place.kind, place.name)
    kept: Tags = found.body.get(MEMBER) or [] if found else []
    return kept


def put(connection: Connection, call: Call, resource: str, given: Tags) -> None:
    """Of a resource that was made, and is no document that holds them: those of an earlier one of its name are gone."""
    forget(connection, call.account_id, resource)
    if given:
        documents.add(connection, call.account_id, Kind.TAGS, resource, {MEMBER: given}, call.now())


def forget(connection: Connection, account_id: int, resource: str) -> None:
    """Of a resource that is gone, and is no document that held them."""
    documents.remove(connection, account_id, Kind.TAGS, resource)


def read(params: Params) -> list[Mapping[str, str]]:
    """Those that a resource is to be made with, or given. Raises `SesError`."""
    given: list[Mapping[str, str]] = list(params.get(MEMBER, ()))
    keys = [each["Key"] for each in given]
    if len(set(keys)) < len(keys):
        raise invalid("Duplicate tag keys found.")
    if len(keys) > MAX_TAGS:
        raise invalid(f"A resource has at most {MAX_TAGS} tags.")
    for each in given:
        if not 1 <= len(each["Key"]) <= MAX_KEY:
            raise invalid(f"A tag's key has 1 to {MAX_KEY} characters.")
        if len(each["Value"]) > MAX_VALUE:
            raise invalid(f"A tag's value has at most {MAX_VALUE} characters.")
        if each["Key"].lower().startswith("aws:"):
            raise invalid("Keys of tags that begin with aws: are reserved.")
    return given


def _merged(kept: Tags, given: Tags) -> Tags:
    """Beside those that are there, over those of the same key."""
    fresh = {each["Key"]: each["Value"] for each in (*kept, *given)}
    if len(fresh) > MAX_TAGS:
        raise invalid(f"A resource has at most {MAX_TAGS} tags.")
    return [{"Key": key, "Value": value} for key, value in fresh.items()]


async def _change(call: Call, resource: str, changed: Callable[[Tags], Tags]) -> None:
    place = _place(resource)

    def edited(body: Mapping[str, Any]) -> Mapping[str, Any]:
        return {**body, MEMBER: changed(body.get(MEMBER) or [])}

    def write(connection: Connection) -> None:
        there = documents.change(
            connection, call.account_id, place.kind, place.name, edited, call.now(), made=place.made
        )
        if not there:
            raise not_found(f"Resource {resource[:300]} does not exist.")

    await call.write(write)
    call.deps.documents.forget()


async def _resource(call: Call, arn: str) -> str:
    """What of the account the ARN names. Raises `SesError`: nothing, or nothing that is there."""
    found = _ARN.fullmatch(arn)
    account, resource = found.groups() if found else ("", "")
    word, _, name = resource.partition("/")
    if word not in {*_HOLDING, *_CLOSED}:
        raise invalid(f"Invalid resource ARN <{arn[:300]}>.")
    if account != call.aws_account:
        raise SesError("AccessDenied", f"The resource {arn[:300]} is of another account.", status=403)
    if word == "identity":
        return f"identity/{(await identity.existing(call, name)).name}"
    if call.rights.account < VIEWER:
        raise call.denied(arn[:300])
    if not await call.read(lambda connection: _is_there(connection, call.account_id, word, name)):
        raise not_found(f"Resource {arn[:300]} does not exist.")
    return resource


def _is_there(connection: Connection, account_id: int, word: str, name: str) -> bool:
    if word in _HOLDING:
        place = _place(f"{word}/{name}")
        return documents.get(connection, account_id, place.kind, place.name) is not None
    if kind := _CLOSED[word]:
        return documents.get(connection, account_id, kind, name) is not None
    return name in templates.of_names(connection, account_id, [name])


def _place(resource: str) -> _Place:
    word, _, name = resource.partition("/")
    if word == "tenant":  # its id stands behind its name
        return _Place(Kind.TENANT, name.partition("/")[0], made=False)
    if word == "identity":  # a domain may be there without any settings
        return _Place(Kind.IDENTITY, name, made="@" not in name)
    if word in _HOLDING:
        return _Place(_HOLDING[word], name, made=False)
    return _Place(Kind.TAGS, resource, made=True)
