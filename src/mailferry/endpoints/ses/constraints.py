"""What a service's model demands of an input: members that must be there, words of an enumeration, lengths, patterns.

The texts are those of AWS's own validation.
"""

from typing import Any

from mailferry.endpoints.ses.model import Shape

#: Subjects and bodies.
_CONTENT = "MessageData"


def problems(shape: Shape, given: Any, where: str = "") -> list[str]:
    """All of them, in the model's order."""
    match shape.kind:
        case "structure":
            return _structure(shape, given, where)
        case "list":
            found = _size(shape, len(given), where, given)
            assert shape.item
            for number, each in enumerate(given, 1):
                found += problems(shape.item, each, f"{where}.{number}.member")
            return found
        case "map":
            assert shape.item
            return [text for key, each in given.items() for text in problems(shape.item, each, f"{where}.{key}.member")]
        case "string":
            return _string(shape, given, where)
        case "integer" | "long":
            return _number(shape, given, where)
    return []


def _structure(shape: Shape, given: Any, where: str) -> list[str]:
    found = []
    for name, member in shape.members.items():
        # Most members are absent, and need no name.
        if name in given:
            found += problems(member.shape, given[name], _below(where, name))
        elif name in shape.required:
            at = _below(where, name)
            found.append(f"Value null at '{at}' failed to satisfy constraint: Member must not be null")
    return found


def _string(shape: Shape, given: str, where: str) -> list[str]:
    if shape.enum and given not in shape.enum:
        words = ", ".join(shape.enum)
        return [
            f"Value '{given[:200]}' at '{where}' failed to satisfy constraint: Member must satisfy enum value set: [{words}]"
        ]
    found = _size(shape, len(given), where, given)
    # PostgreSQL keeps no NUL, and nothing that has a name has one in it. What a message says is composed, not kept.
    if "\0" in given and shape.name != _CONTENT:
        found.append(f"Value '{given[:200]}' at '{where}' failed to satisfy constraint: Member must not hold a NUL")
    if not found and shape.pattern and not shape.pattern.fullmatch(given):
        found.append(
            f"Value '{given[:200]}' at '{where}' failed to satisfy constraint: "
            f"Member must satisfy regular expression pattern: {shape.pattern.pattern}"
        )
    return found


def _size(shape: Shape, length: int, where: str, given: Any) -> list[str]:
    shown = given[:200] if isinstance(given, str) else f"[{length} members]"
    if shape.least is not None and length < shape.least:
        return [
            f"Value '{shown}' at '{where}' failed to satisfy constraint: Member must have length greater than or equal to {shape.least}"
        ]
    if shape.most is not None and length > shape.most:
        return [
            f"Value '{shown}' at '{where}' failed to satisfy constraint: Member must have length less than or equal to {shape.most}"
        ]
    return []


def _number(shape: Shape, given: int, where: str) -> list[str]:
    if shape.least is not None and given < shape.least:
        return [
            f"Value '{given}' at '{where}' failed to satisfy constraint: Member must have value greater than or equal to {shape.least}"
        ]
    if shape.most is not None and given > shape.most:
        return [
            f"Value '{given}' at '{where}' failed to satisfy constraint: Member must have value less than or equal to {shape.most}"
        ]
    return []


def _below(where: str, name: str) -> str:
    camel = name[:1].lower() + name[1:]
    return f"{where}.{camel}" if where else camel
