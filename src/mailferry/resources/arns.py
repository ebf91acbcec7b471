"""Amazon's names of accounts and of things: ``arn:aws:SERVICE:REGION:ACCOUNT:RESOURCE``."""

import re

#: No database takes a NUL.
_OWNED = re.compile(r"[^:\0]*(?::[^:\0]*){3}:([0-9]{12}):[^\0]*")
#: As the event destinations of configuration sets name them (EventBusArn, DeliveryStreamArn). Names are EventBridge's and
#: Firehose's, of 256 and 64 characters.
BUS = re.compile(r"arn:aws[a-z0-9-]*:events:[a-z0-9-]+:[0-9]{12}:event-bus/[/A-Za-z0-9_.-]{1,256}")
STREAM = re.compile(r"arn:aws[a-z0-9-]*:firehose:[a-z0-9-]+:[0-9]{12}:deliverystream/[A-Za-z0-9_.-]{1,64}")


def aws_account(account_id: int) -> str:
    """An account's number as Amazon writes them: twelve digits."""
    return f"{account_id:012d}"


def arn(service: str, region: str, account_id: int, resource: str) -> str:
    """Such as ``arn:aws:ses:us-east-1:000000000001:identity/example.com``."""
    return f"arn:aws:{service}:{region}:{aws_account(account_id)}:{resource}"


def account_of(name: str) -> int | None:
    """Whose a thing is by its ARN."""
    found = _OWNED.fullmatch(name)
    return int(found[1]) if found else None
