"""What the texts of a template say in Handlebars: whether they can be used, what they read, data to look at them with."""

from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from mailferry.mail import handlebars
from mailferry.mail.handlebars import TemplateError
from mailferry.mail.handlebars.variables import variables
from mailferry.resources.templates import Texts

#: What a preview shows where nobody has given data; Mailtrap's begins so, too.
TEST = "Test_"


def flaws(texts: Texts) -> dict[str, TemplateError]:
    """By field, where it stops being Handlebars. Large texts take most of a second: not for the event loop."""
    found = {}
    for field, text in asdict(texts).items():
        try:
            handlebars.compile(text)
        except TemplateError as error:
            found[field] = error
    return found


def reads(texts: Texts) -> list[str]:
    """The paths that the texts read, such as ``user.name`` and ``items[].price``. What cannot be read, reads nothing."""
    found: set[str] = set()
    for text in asdict(texts).values():
        try:
            found |= variables(handlebars.compile(text))
        except TemplateError:
            continue
    return sorted(found)


def sample(paths: Iterable[str]) -> dict[str, Any]:
    """Data that has all these paths: ``Test_Name`` for ``name``, one item for a list."""
    root: dict[str, Any] = {}
    for path in paths:
        _put(root, path.split("."))
    return root


def _put(where: dict[str, Any], path: list[str]) -> None:
    """A path of which a longer one is known says nothing new: ``items`` beside ``items[].price``."""
    name, *rest = path
    is_list = name.endswith("[]")
    name = name.removesuffix("[]")
    if not name:  # a list that is the data itself, which it never is
        return
    word = TEST + name[:1].upper() + name[1:]
    known = where.get(name)
    if not rest:
        if known is None or (is_list and isinstance(known, str)):
            where[name] = [word] if is_list else word
        return
    inner = known[0] if isinstance(known, list) else known
    if not isinstance(inner, dict):
        inner = {}
    where[name] = [inner] if is_list or isinstance(known, list) else inner
    _put(inner, rest)
