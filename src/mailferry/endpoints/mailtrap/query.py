"""Query strings in every form that Mailtrap's clients write: ``a[]=1``, ``a=1&a=2``, ``a[0]=1``, ``filters[x][value]=1``.

Brackets may be percent-encoded, or not.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qsl

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
#: More than any client writes, and little enough to look at.
MAX_PAIRS = 1000
MAX_VALUE = 1000

#: ``filters[to][value][]``: the name, and what stands in brackets behind it.
_KEY = re.compile(r"([^\[\]]+)((?:\[[^\[\]]*\])*)")


class BadQueryError(ValueError):
    """The text says what would be right."""


@dataclass(frozen=True, slots=True)
class Filter:
    """``filters[x]``: a plain value has no operator; some operators have no value."""

    operator: str
    values: tuple[str, ...]


def parse(query: bytes) -> list[tuple[tuple[str, ...], str]]:
    """Pairs of a path (``("filters", "to", "value")``) and a value, in their order. Raises :class:`BadQueryError`."""
    try:
        pairs = parse_qsl(query.decode(errors="replace"), keep_blank_values=True, max_num_fields=MAX_PAIRS)
    except ValueError:
        raise BadQueryError(f"too many query parameters (maximum is {MAX_PAIRS})") from None
    found = []
    for key, value in pairs:
        if (read := _KEY.fullmatch(key)) is None:
            continue
        if len(value) > MAX_VALUE:
            raise BadQueryError(f"'{read[1]}' is too long (maximum is {MAX_VALUE} characters)")
        if "\0" in value:  # PostgreSQL has no such text
            raise BadQueryError(f"'{read[1]}' must not contain a NUL character")
        path = [read[1], *read[2][1:-1].split("][")] if read[2] else [read[1]]
        # Several numbered values are the same as several unnumbered ones.
        while len(path) > 1 and (not path[-1] or path[-1].isdigit()):
            path.pop()
        found.append((tuple(path), value))
    return found


def first(pairs: list[tuple[tuple[str, ...], str]], name: str) -> str:
    """The value of a plain parameter; empty when it is not given."""
    return next((value for path, value in pairs if path == (name,)), "")


def moment(text: str, name: str) -> int | None:
    """ISO 8601 as Unix milliseconds, None for nothing; without a zone it is UTC. Raises :class:`BadQueryError`."""
    if not text:
        return None
    # A plus that was not percent-encoded came as a space.
    for form in (text, text[:-6] + text[-6:].replace(" ", "+")):
        try:
            found = datetime.fromisoformat(form)
            break
        except ValueError:
            continue
    else:
        raise BadQueryError(f"'{name}' must be an ISO 8601 time")
    if found.tzinfo is None:
        found = found.replace(tzinfo=UTC)
    return (found - _EPOCH) // timedelta(milliseconds=1)


def filters(pairs: list[tuple[tuple[str, ...], str]]) -> dict[str, Filter]:
    operators: dict[str, str] = {}
    values: dict[str, list[str]] = {}
    for path, value in pairs:
        match path:
            case ("filters", name):
                values.setdefault(name, []).append(value)
            case ("filters", name, "value"):
                values.setdefault(name, []).append(value)
            case ("filters", name, "operator"):
                operators[name] = value
    return {
        name: Filter(operators.get(name, ""), tuple(values.get(name, ())))
        for name in dict.fromkeys([*operators, *values])
    }
