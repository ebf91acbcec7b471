"""Properties of values as JavaScript has them: own ones only, so nothing of a prototype is ever reached."""

from __future__ import annotations

import re
from typing import Final

from mailferry.mail.handlebars.errors import Fault
from mailferry.mail.handlebars.limits import Meter
from mailferry.mail.handlebars.values import PER_STEP, UNDEFINED, Value

# CanonicalNumericIndexString (ECMA-262 7.1.21) of an array index: "01" and "-1" are ordinary names.
_INDEX = re.compile(r"0|[1-9][0-9]{0,9}")
_LAST_INDEX = 2**32 - 2

NAMES_PER_STEP: Final = 8
"""Names of an object that may be copied or sorted for one step."""


def member(parent: Value, name: str, meter: Meter) -> Value:
    """The own property of a value that is not null or undefined; `UNDEFINED` when it has none of that name."""
    if isinstance(parent, dict):
        return parent.get(name, UNDEFINED)
    if isinstance(parent, str):
        return _of_text(parent, name, meter)
    if isinstance(parent, list):
        if name == "length":
            return len(parent)
        return parent[int(name)] if _INDEX.fullmatch(name) and int(name) < len(parent) else UNDEFINED
    if isinstance(parent, (int, float)) or hasattr(parent, "call"):
        return UNDEFINED
    raise Fault(f"the data holds a {type(parent).__name__}, which is no JSON value")


def keys(value: dict[str, Value], meter: Meter) -> list[str]:
    """The names in JavaScript's order (ECMA-262 10.1.11.1): array indexes by number, then the others as they came."""
    meter.spend(len(value) // NAMES_PER_STEP)
    names = list(value)
    try:
        indexes = [
            name for name in names if name[:1].isdecimal() and _INDEX.fullmatch(name) and int(name) <= _LAST_INDEX
        ]
    except (TypeError, AttributeError):
        raise Fault("an object in the data has a name that is no text") from None
    if not indexes:
        return names
    meter.spend(len(indexes))
    known = set(indexes)
    return sorted(indexes, key=int) + [name for name in names if name not in known]


def spread(value: Value, meter: Meter) -> dict[str, Value]:
    """A new object with the own properties of a value, as Object.assign makes it."""
    if isinstance(value, dict):
        meter.spend(len(value) // NAMES_PER_STEP)
        # Assigning to __proto__ changes the prototype, and of a prototype nothing is visible.
        return {name: item for name, item in value.items() if name != "__proto__"}
    if isinstance(value, str):
        return {str(index): unit for index, unit in enumerate(_units(value, meter))}
    if isinstance(value, list):
        meter.spend(len(value))
        return {str(index): item for index, item in enumerate(value)}
    return {}


def _of_text(text: str, name: str, meter: Meter) -> Value:
    """Strings of JavaScript are UTF-16: a character outside the BMP counts twice and can be cut in halves."""
    if name == "length":
        return len(_octets(text, meter)) // 2
    if not _INDEX.fullmatch(name):
        return UNDEFINED
    at = 2 * int(name)
    unit = _octets(text, meter)[at : at + 2]
    return chr(int.from_bytes(unit, "little")) if unit else UNDEFINED


def _octets(text: str, meter: Meter) -> bytes:
    meter.spend(len(text) // PER_STEP)
    return text.encode("utf-16-le", "surrogatepass")


def _units(text: str, meter: Meter) -> list[str]:
    octets = _octets(text, meter)
    meter.spend(len(octets) // 2)
    return [chr(octets[at] | octets[at + 1] << 8) for at in range(0, len(octets), 2)]
