"""Values as JavaScript sees them (ECMA-262): what is true, what text a value gives, what equals what.

A value is what JSON gives in Python: dict, list, str, int, float, bool, None; and two that JSON does not have:
`UNDEFINED`, and a function, of which a template knows one kind only, the block handed to a partial.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import Any, Final, Protocol

from mailferry.mail.handlebars.errors import Fault
from mailferry.mail.handlebars.limits import Meter

Value = Any
"""Data comes from outside, so every use of a value looks at its type first."""

WHITESPACE: Final = (
    "\t\n\v\f\r \u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u2028\u2029\u202f\u205f\u3000\ufeff"
)
"""What \\s matches in JavaScript (ECMA-262 22.2.2.9); Python's \\s is another set."""

EXACT: Final = 2**53
"""Up to here every whole number is a double of its own."""

PER_STEP: Final = 64
"""Characters that may be read for one step."""

_NUMBER = re.compile(r"[+-]?(?:Infinity|(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)")
_OTHER_BASE = re.compile(r"0(?:[xX][0-9a-fA-F]+|[oO][0-7]+|[bB][01]+)")


class Undefined:
    """The type of `UNDEFINED`: what a name has that is not in the data."""

    __slots__ = ()

    def __bool__(self) -> bool:
        return False

    def __repr__(self) -> str:
        return "undefined"


UNDEFINED: Final = Undefined()


class Function(Protocol):
    """A value that is called instead of printed."""

    def call(self, caller: Any, context: Value, data: dict[str, Value] | None) -> Value: ...


def is_nothing(value: Value) -> bool:
    """null or undefined."""
    return value is None or value is UNDEFINED


def is_true(value: Value) -> bool:
    """ToBoolean (ECMA-262 7.1.2): objects and lists are true, even empty ones."""
    if isinstance(value, (str, int, float)):
        return bool(value) and value == value
    return value is not None and value is not UNDEFINED


def is_empty(value: Value) -> bool:
    """What #if and #with take for empty; zero is not."""
    if isinstance(value, list):
        return not value
    is_zero = value == 0 and isinstance(value, (int, float)) and not isinstance(value, bool)
    return not is_zero and not is_true(value)


def text_of(value: Value, meter: Meter) -> str:
    """ToString (ECMA-262 7.1.17)."""
    if type(value) is int or type(value) is float:
        return number_text(value)
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return _join(value, meter)
    if isinstance(value, dict):
        # ToPrimitive calls the object's own toString, and what comes from JSON cannot be called.
        if "toString" in value:
            raise Fault('an object with a "toString" of its own cannot be printed')
        return "[object Object]"
    return _scalar_text(value)


def number_text(value: int | float) -> str:
    """Number::toString (ECMA-262 6.1.6.1.20): the shortest digits that give this double."""
    if isinstance(value, int) and -EXACT <= value <= EXACT:
        return str(value)
    value = double(value)
    if 1e-4 <= value < 1e16:
        # Where both write a plain decimal, Python's alone has a zero after the point of a whole number.
        return repr(value).removesuffix(".0")
    if not math.isfinite(value):
        return "NaN" if value != value else ("Infinity" if value > 0 else "-Infinity")
    if value == 0:
        return "0"
    # Python chooses the same digits and puts the point elsewhere.
    sign, digits, exponent = _digits(value)
    return sign + _place_point(digits, exponent)


def double(value: int | float) -> float:
    """The double that a number of JSON is in JavaScript."""
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def equal(left: Value, right: Value, meter: Meter) -> bool:
    """IsLooselyEqual (ECMA-262 7.2.13), the == of JavaScript."""
    if left is right:
        return not (isinstance(left, float) and math.isnan(left))
    if is_nothing(left) or is_nothing(right):
        return is_nothing(left) and is_nothing(right)
    left_is_object, right_is_object = (not isinstance(side, (str, int, float)) for side in (left, right))
    if left_is_object and right_is_object:
        return False
    if left_is_object or right_is_object:
        left, right = (
            text_of(side, meter) if not isinstance(side, (str, int, float)) else side for side in (left, right)
        )
    if isinstance(left, str) and isinstance(right, str):
        return left == right
    return _as_number(left, meter) == _as_number(right, meter)


def _join(items: list[Value], meter: Meter) -> str:
    """Array.prototype.join, for lists in lists too; a loop of its own because data may nest deeper than Python's stack."""
    pieces: list[str] = []
    length = 0
    open_lists: list[Iterator[Value]] = [iter(items)]
    between = ""
    while open_lists:
        item = next(open_lists[-1], open_lists)
        if item is open_lists:
            open_lists.pop()
            between = ","
            continue
        pieces.append(between)
        if isinstance(item, list):
            open_lists.append(iter(item))
            between = ""
        else:
            pieces.append("" if is_nothing(item) else text_of(item, meter))
            between = ","
        length += len(pieces[-1]) + 1
        meter.spend(1)
        meter.need(length - 1)
    return "".join(pieces)


def _scalar_text(value: Value) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return number_text(value)
    if value is None:
        return "null"
    if value is UNDEFINED:
        return "undefined"
    if hasattr(value, "call"):
        raise Fault("a partial block is called with {{> @partial-block}}, it cannot be printed")
    raise Fault(f"the data holds a {type(value).__name__}, which is no JSON value")


def _digits(value: float) -> tuple[str, str, int]:
    """Sign, digits without zeros at the ends, and the exponent n: the value is 0.DIGITS times ten to the n."""
    mantissa, _, power = repr(value).partition("e")
    sign = "-" if mantissa.startswith("-") else ""
    whole, _, fraction = mantissa.lstrip("-").partition(".")
    digits = (whole + fraction).lstrip("0")
    exponent = len(whole) + int(power or 0) - (len(whole + fraction) - len(digits))
    return sign, digits.rstrip("0"), exponent


def _place_point(digits: str, exponent: int) -> str:
    if len(digits) <= exponent <= 21:
        return digits.ljust(exponent, "0")
    if 0 < exponent <= 21:
        return f"{digits[:exponent]}.{digits[exponent:]}"
    if -6 < exponent <= 0:
        return f"0.{'0' * -exponent}{digits}"
    mantissa = f"{digits[0]}.{digits[1:]}" if len(digits) > 1 else digits
    return f"{mantissa}e{exponent - 1:+d}"


def _as_number(value: str | int | float, meter: Meter) -> float:
    """ToNumber (ECMA-262 7.1.4)."""
    if not isinstance(value, str):
        return double(value)
    meter.spend(len(value) // PER_STEP)
    value = value.strip(WHITESPACE)
    if not value:
        return 0.0
    if _NUMBER.fullmatch(value):
        return float(value)
    return double(int(value, 0)) if _OTHER_BASE.fullmatch(value) else math.nan
