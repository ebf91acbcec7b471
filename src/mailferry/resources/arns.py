"""Amazon's names of accounts and of things: ``arn:aws:SERVICE:REGION:ACCOUNT:RESOURCE``."""


def aws_account(account_id: int) -> str:
    """An account's number as Amazon writes them: twelve digits."""
    return f"{account_id:012d}"


def arn(service: str, region: str, account_id: int, resource: str) -> str:
    """Such as ``arn:aws:ses:us-east-1:000000000001:identity/example.com``."""
    return f"arn:aws:{service}:{region}:{aws_account(account_id)}:{resource}"


def account_of(name: str) -> int | None:
    """Whose a thing is by its ARN."""
    parts = name.split(":", 5)
    return int(parts[4]) if len(parts) == 6 and parts[4].isascii() and parts[4].isdecimal() else None
