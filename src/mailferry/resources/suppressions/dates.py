"""Moments as suppression lists write them: ISO 8601, Unix time, RFC 5322 3.3, and what consoles show to people."""

import re
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
#: `December 10, 2019, 08:58 (UTC+01:00)`, `Dec 10 2019 at 8:58:01 AM`: what consoles show.
_SPOKEN = re.compile(
    r"(?P<month>[A-Za-z]{3})[a-z]*\.? (?P<day>\d{1,2}),? (?P<year>\d{4})"
    r"(?:,? (?:at )?(?P<hour>\d{1,2}):(?P<minute>\d\d)(?::(?P<second>\d\d))?(?: ?(?P<half>[AaPp])[Mm])?)?"
    r"(?: ?\(?(?:UTC|GMT|Z)?(?P<zone>[+-]\d\d:?\d\d)?\)?)?"
)
#: Unix time in seconds, milliseconds, microseconds.
_UNIX = {10: 1000, 13: 1, 16: 0.001}
_NAMED_ZONE = re.compile(r"(?: ?[+-]00:?00)? (?:UTC|GMT)\Z")


def moment(text: str) -> int | None:
    """Unix milliseconds; without a zone it is UTC. None: not understood. Orders of day and month are not guessed at."""
    text = text.strip()
    digits = text.partition(".")[0]
    if digits.isascii() and digits.isdigit():
        factor = _UNIX.get(len(digits))
        return int(int(digits) * factor) if factor else None
    try:
        found = _calendar(text)
    except (ValueError, OverflowError, TypeError):
        return None
    if found.tzinfo is None:
        found = found.replace(tzinfo=UTC)
    milliseconds = (found - _EPOCH) // timedelta(milliseconds=1)
    return milliseconds if milliseconds > 0 else None


def _calendar(text: str) -> datetime:
    if text[:4].isdigit():
        return datetime.fromisoformat(_NAMED_ZONE.sub("+00:00", text).replace("/", "-").replace(" +", "+"))
    if spoken := _SPOKEN.fullmatch(text):
        return _spoken(spoken)
    if text[:1].isalpha() or text[:1].isdigit():
        return parsedate_to_datetime(text)  # RFC 5322 3.3: Mailgun's
    raise ValueError(text)


def _spoken(found: re.Match[str]) -> datetime:
    month = _MONTHS.index(found["month"].lower()) + 1
    hour = int(found["hour"] or 0)
    if found["half"]:
        hour = hour % 12 + (12 if found["half"].lower() == "p" else 0)
    zone = f"{found['zone'] or '+00:00'}"
    clock = f"{hour:02}:{found['minute'] or '00'}:{found['second'] or '00'}"
    return datetime.fromisoformat(f"{found['year']}-{month:02}-{int(found['day']):02}T{clock}{zone}")
