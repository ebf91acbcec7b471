"""Regular expressions that mean the same on every Python that we run on."""

import importlib
import pkgutil
import re
from collections.abc import Iterator
from re import _constants, _parser  # type: ignore[attr-defined]
from typing import Any

import pytest

import mailferry
from mailferry.mail import html_scan
from mailferry.resources.suppressions import tables


def patterns() -> Iterator[tuple[str, "re.Pattern[Any]"]]:
    for module in pkgutil.walk_packages(mailferry.__path__, "mailferry."):
        # These two start what they are; migrations are run by their tool.
        if module.name.endswith("__main__") or ".migrations" in module.name:
            continue
        for name, value in vars(importlib.import_module(module.name)).items():
            for each in value.values() if isinstance(value, dict) else (value,):
                if isinstance(each, re.Pattern):
                    yield f"{module.name}.{name}", each
    yield "tables._record", tables._record(",")


def loose_repeats(pattern: "re.Pattern[Any]") -> int:
    """Possessive repeats of what may fail after it has read something, and is no atomic group."""
    found = 0

    def walk(parsed: Any) -> None:
        nonlocal found
        for what, rest in parsed:
            if what is _constants.POSSESSIVE_REPEAT:
                inner = rest[2]
                found += len(inner) != 1 or inner[0][0] not in (
                    _constants.ATOMIC_GROUP,
                    _constants.IN,
                    _constants.LITERAL,
                    _constants.NOT_LITERAL,
                    _constants.ANY,
                )
            walk_into(rest)

    def walk_into(rest: Any) -> None:
        if isinstance(rest, _parser.SubPattern):
            walk(rest)
        elif isinstance(rest, list | tuple):
            for each in rest:
                walk_into(each)

    walk(_parser.parse(pattern.pattern, pattern.flags & ~re.DEBUG))
    return found


def test_a_possessive_repeat_is_of_something_atomic() -> None:
    """Before Python 3.11.5 (Debian 12 has 3.11.2) it ends too far on otherwise (gh-106052): links were not found."""
    found = dict(patterns())
    assert len(found) > 50  # it does look
    assert [name for name, pattern in found.items() if loose_repeats(pattern)] == []


@pytest.mark.parametrize(
    "pattern, loose", [("(?:ab?c)*+", 1), ("(?>ab?c)*+", 0), ("[ab]*+x++", 0), ("(?:x(ab)++|y)", 1)]
)
def test_what_counts_as_loose(pattern: str, loose: int) -> None:
    assert loose_repeats(re.compile(pattern)) == loose


def test_a_link_is_found_that_follows_text() -> None:
    """Fails on Python 3.11.2 with loose repeats, whatever the patterns look like."""
    (href,) = html_scan.scan(b'<p>Hi <a href="https://shop.test/">x</a></p>').hrefs
    assert href.value == "https://shop.test/"
