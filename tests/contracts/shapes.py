"""Whether a value has a shape of the table (facts.py says how they are written), and where it has not."""

from collections.abc import Iterator
from typing import Any

from tests.contracts.facts import ANY, ANY_OF, FREE, OPTIONAL, Shape


def flaws(shape: Shape, *values: Any) -> list[str]:
    """``place: what is wrong``, nothing where all of the values are right.

    Stricter than the contract where that is how an answer is read: a member that may be missing must be there, and of all
    lists and objects of free names in one place, one must hold something, or nothing would be known about what they hold.
    Members that the contract does not name are allowed.
    """
    found = [flaw for value in values for flaw in _flaws(shape, value, "")]
    filled = {place for place, wrong in found if wrong is FILLED}
    wrong = [(p, w) for p, w in found if w is not FILLED and not (w is EMPTY and p in filled)]
    return list(dict.fromkeys(f"{place}: {text}" for place, text in wrong))


#: Nothing wrong, but worth knowing.
FILLED = "holds something"
EMPTY = "holds nothing, and nothing is known of what it would hold"


def _flaws(shape: Shape, value: Any, place: str) -> Iterator[tuple[str, str]]:
    if isinstance(shape, str):
        if not any(_is(word, value) for word in shape.split("|")):
            yield place, f"{value!r} is no {shape}"
    elif isinstance(shape, list):
        yield from _of_list(shape[0], value, place)
    elif shape is None:
        if value is not None:
            yield place, f"{value!r} where nothing is expected"
    elif ANY_OF in shape:
        found = [list(_flaws(each, value, place)) for each in shape[ANY_OF]]
        yield from min(found, key=lambda flaws: sum(wrong is not FILLED for _, wrong in flaws))
    else:
        yield from _of_object(shape, value, place)


def _of_list(item: Shape, value: Any, place: str) -> Iterator[tuple[str, str]]:
    if not isinstance(value, list):
        yield place, f"{value!r} is no list"
        return
    yield f"{place}[]", FILLED if value else EMPTY
    for each in value:
        yield from _flaws(item, each, f"{place}[]")


def _of_object(shape: dict[str, Shape], value: Any, place: str) -> Iterator[tuple[str, str]]:
    if not isinstance(value, dict):
        yield place, f"{value!r} is no object"
        return
    named = {name.removesuffix(OPTIONAL): each for name, each in shape.items() if name != FREE}
    for name, each in named.items():
        where = f"{place}.{name}".removeprefix(".")
        if name not in value:
            yield where, "is missing"
        else:
            yield from _flaws(each, value[name], where)
    if FREE in shape:
        free = f"{place}.{FREE}".removeprefix(".")
        others = [value[name] for name in value if name not in named]
        if not named:
            yield free, FILLED if others else EMPTY
        for each in others:
            yield from _flaws(shape[FREE], each, free)


def _is(word: str, value: Any) -> bool:
    if word == ANY:
        return True
    if word == "null":
        return value is None
    if word == "boolean" or isinstance(value, bool):
        return word == "boolean" and isinstance(value, bool)
    kinds: dict[str, type | tuple[type, ...]] = {"integer": int, "number": (int, float), "string": str}
    return isinstance(value, kinds[word])
