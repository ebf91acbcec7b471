"""Amazon's names of accounts and of things: ``arn:aws:SERVICE:REGION:ACCOUNT:RESOURCE``."""

#: Of an account's number: more than Amazon's twelve, and fewer than 64 bits hold.
_DIGITS = 18


def aws_account(account_id: int) -> str:
    """An account's number as Amazon writes them: twelve digits."""
    return f"{account_id:012d}"


def arn(service: str, region: str, account_id: int, resource: str) -> str:
    """Such as ``arn:aws:ses:us-east-1:000000000001:identity/example.com``."""
    return f"arn:aws:{service}:{region}:{aws_account(account_id)}:{resource}"


def account_of(name: str) -> int | None:
    """Whose a thing is by its ARN."""
    parts = name.split(":", 5)
    number = parts[4] if len(parts) == 6 else ""
    # Longer ones are nobody's, and no number of a database or of `int`.
    return int(number) if number.isascii() and number.isdecimal() and len(number) <= _DIGITS else None
