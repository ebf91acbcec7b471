"""How sizes, times and senders are written on the pages."""

from datetime import UTC, datetime

from mailferry.sandbox.inbox import Caught


def size(octets: int) -> str:
    if octets < 1024:
        return f"{octets} B"
    amount, unit = octets / 1024, "KB"
    if amount >= 1000:
        amount, unit = amount / 1024, "MB"
    return f"{amount:.1f} {unit}" if amount < 10 else f"{amount:.0f} {unit}"


def moment(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%d %b %Y, %H:%M UTC")


def subject(caught: Caught) -> str:
    return caught.subject.strip() or "(no subject)"


def sender(caught: Caught) -> str:
    return caught.from_name or caught.from_email or "(no sender)"


def plural(number: int, one: str, many: str = "") -> str:
    return f"{number:,} {one if number == 1 else many or one + 's'}"
