"""Subscriptions of topics: HTTP and HTTPS receivers, who are asked whether they want it."""

from collections.abc import Callable
from dataclasses import replace

import msgspec
from sqlalchemy import Connection

from mailferry.consumers.webhooks import topics as deeds
from mailferry.endpoints.ses import paging
from mailferry.endpoints.ses.deps import Call, Params, Result
from mailferry.endpoints.ses.errors import SesError
from mailferry.endpoints.ses.sns_topics import PAGE, invalid_parameter, own
from mailferry.net.http_call import BadUrl, Url, parse_url
from mailferry.resources import topics
from mailferry.resources.arns import account_of, aws_account
from mailferry.resources.topics import State, Subscription
from mailferry.resources.webhooks import MOST, TooMany

PROTOCOLS = ("http", "https")
#: What a subscription's ARN is called until it is confirmed.
PENDING = "pending confirmation"
#: Kept and read back. RawMessageDelivery alone means something here.
_ATTRIBUTES = frozenset({"DeliveryPolicy", "FilterPolicy", "FilterPolicyScope", "RawMessageDelivery", "RedrivePolicy"})
_JSON = frozenset({"DeliveryPolicy", "FilterPolicy", "RedrivePolicy"})


async def subscribe(call: Call, params: Params) -> Result:
    """One that stands already is not made again; one that is not confirmed is asked again."""
    protocol, endpoint = params["Protocol"], params.get("Endpoint", "")
    url, attributes, now = _url(call, protocol, endpoint), dict(params.get("Attributes", {})), call.now()
    for name, value in attributes.items():
        _check(name, value)
    wanted = Subscription(
        arn="",
        account_id=call.account_id,
        webhook_id=0,
        state=State.PENDING,
        protocol=protocol,
        endpoint=_shown(url),
        attributes=attributes,
        base=call.deps.public_url.rstrip("/") or call.base_url,
        authenticated=False,
        asked_at=now,
    )

    def write(connection: Connection) -> Subscription:
        # One at a time, or what is asked for twice at once stands twice.
        topic = own(connection, call, params["TopicArn"], locked=True)
        return deeds.subscribe(connection, call.deps.sealer, topic, url, wanted, call.actor, now)

    try:
        made = await call.write(write)
    except TooMany:
        text = f"An account has at most {MOST} subscriptions."
        raise SesError("SubscriptionLimitExceeded", text, 403) from None
    known = made.state is State.CONFIRMED or params.get("ReturnSubscriptionArn", False)
    return {"SubscriptionArn": made.arn if known else PENDING}


async def confirm(call: Call, params: Params) -> Result:
    authenticated = params.get("AuthenticateOnUnsubscribe", "").lower() == "true"
    if account_of(params["TopicArn"]) != call.account_id:
        raise SesError("NotFound", "Topic does not exist", 404)
    now = call.now()
    found = await call.write(
        lambda connection: deeds.confirm(connection, params["TopicArn"], params["Token"], authenticated, now)
    )
    if found is None:
        raise invalid_parameter("Token")
    return {"SubscriptionArn": found.arn}


async def unsubscribe(call: Call, params: Params) -> Result:
    """Silent where there is none."""
    arn, now = params["SubscriptionArn"], call.now()
    _check_arn(arn)

    def write(connection: Connection) -> None:
        found = topics.subscription(connection, arn)
        if found is not None and found.account_id == call.account_id:
            deeds.remove(connection, found, call.actor, now)

    await call.write(write)
    return None


async def get_list(call: Call, params: Params) -> Result:
    return await _page(call, params, "")


async def list_by_topic(call: Call, params: Params) -> Result:
    await call.read(lambda connection: own(connection, call, params["TopicArn"]))
    return await _page(call, params, params["TopicArn"])


async def get_attributes(call: Call, params: Params) -> Result:
    found = await call.read(lambda connection: _own(connection, call, params["SubscriptionArn"]))
    attributes = {
        "SubscriptionArn": found.arn,
        "TopicArn": found.topic,
        "Owner": call.aws_account,
        "Protocol": found.protocol,
        "Endpoint": found.endpoint,
        "RawMessageDelivery": "false",
        **found.attributes,
        "PendingConfirmation": _flag(found.state is State.PENDING),
        "ConfirmationWasAuthenticated": _flag(found.authenticated),
        "SubscriptionPrincipal": call.arn("iam", f"user/{call.key.name}").replace(f":{call.region}:", "::"),
    }
    return {"Attributes": attributes}


async def set_attributes(call: Call, params: Params) -> Result:
    name, value = params["AttributeName"], params.get("AttributeValue", "")
    _check(name, value)

    def change(found: Subscription) -> Subscription:
        return replace(found, attributes={**found.attributes, name: value})

    await _changed(call, params["SubscriptionArn"], change)
    return None


async def _changed(call: Call, arn: str, change: Callable[[Subscription], Subscription]) -> None:
    now = call.now()

    def write(connection: Connection) -> None:
        topics.keep_subscription(connection, change(_own(connection, call, arn, locked=True)), now)

    await call.write(write)


async def _page(call: Call, params: Params, topic: str) -> Result:
    after = paging.after(params)
    found = await call.read(lambda c: topics.subscriptions(c, call.account_id, topic=topic, after=after, most=PAGE + 1))
    page, token = paging.page(found, PAGE, lambda each: each.arn)
    shown = [
        {
            "SubscriptionArn": each.arn if each.state is State.CONFIRMED else "PendingConfirmation",
            "Owner": aws_account(each.account_id),
            "Protocol": each.protocol,
            "Endpoint": each.endpoint,
            "TopicArn": each.topic,
        }
        for each in page
    ]
    return {"Subscriptions": shown, "NextToken": token}


def _own(connection: Connection, call: Call, arn: str, *, locked: bool = False) -> Subscription:
    _check_arn(arn)
    found = topics.subscription(connection, arn, locked=locked)
    if found is None or found.account_id != call.account_id or found.state is State.ENDED:
        raise SesError("NotFound", "Subscription does not exist", 404)
    return found


def _check_arn(arn: str) -> None:
    if account_of(arn) is None or arn.count(":") != 6:
        raise invalid_parameter("SubscriptionArn Reason: An ARN must have 7 elements: a subscription must be confirmed")


def _url(call: Call, protocol: str, endpoint: str) -> Url:
    if protocol not in PROTOCOLS:
        known = " and ".join(PROTOCOLS)
        raise invalid_parameter(f"Protocol: {protocol} is not supported by Mailferry, only {known} are")
    try:
        url = parse_url(endpoint)
    except BadUrl as error:
        raise invalid_parameter(f"Endpoint: it {error}") from None
    if url.scheme != protocol:
        raise invalid_parameter("Endpoint Reason: Please use the protocol that the endpoint's URL begins with")
    if not call.deps.may_have_port(url.port):
        raise invalid_parameter("Endpoint: ports 443 and 80 are called, unless [net] allow_private lifts that")
    return url


def _shown(url: Url) -> str:
    """A password is not shown."""
    if not url.userinfo:
        return str(url)
    user = url.userinfo.partition(":")[0]
    return str(url).replace("://", f"://{user}:****@", 1)


def _check(name: str, value: str) -> None:
    if name not in _ATTRIBUTES:
        raise invalid_parameter(f"AttributeName: {name} is not served")
    if name == "RawMessageDelivery" and value not in ("true", "false"):
        raise invalid_parameter("RawMessageDelivery: must be true or false")
    if name in _JSON and value:
        try:
            msgspec.json.decode(value)
        except msgspec.DecodeError as error:
            raise invalid_parameter(f"{name}: is no JSON: {error}") from None


def _flag(value: bool) -> str:
    return "true" if value else "false"
