"""What receivers of notifications ask without a key: to confirm, to unsubscribe, and the certificate of our signatures.

A token, and the random end of a subscription's ARN, are known to the receiver alone.
"""

from collections.abc import Awaitable, Callable, Mapping

from sqlalchemy import Connection

from mailferry.consumers.webhooks import topics as deeds
from mailferry.endpoints.ses.deps import Deps, Result
from mailferry.endpoints.ses.errors import SesError
from mailferry.endpoints.ses.sns_topics import invalid_parameter
from mailferry.resources import topics

Form = Mapping[str, str]


async def confirm(deps: Deps, form: Form) -> Result:
    now, authenticated = deps.clock(), form.get("AuthenticateOnUnsubscribe", "").lower() == "true"
    topic, token = form.get("TopicArn", ""), form.get("Token", "")
    found = await deps.db.write(lambda connection: deeds.confirm(connection, topic, token, authenticated, now))
    if found is None:
        raise invalid_parameter("Token")
    return {"SubscriptionArn": found.arn}


async def unsubscribe(deps: Deps, form: Form) -> Result:
    """Its receiver is told how to take that back."""
    now, arn = deps.clock(), form.get("SubscriptionArn", "")

    def write(connection: Connection) -> None:
        found = topics.subscription(connection, arn, locked=True)
        if found is None:
            raise SesError("NotFound", "Subscription does not exist", 404)
        if found.authenticated:
            raise SesError("AuthorizationError", "The subscription can be ended with a key of its account alone.", 403)
        if found.state is topics.State.CONFIRMED:
            deeds.end(connection, found, now)

    await deps.db.write(write)
    return None


#: Actions of Amazon SNS that may be unsigned.
OPEN: Mapping[str, Callable[[Deps, Form], Awaitable[Result]]] = {
    "ConfirmSubscription": confirm,
    "Unsubscribe": unsubscribe,
}
