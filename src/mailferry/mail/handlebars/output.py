"""Tags that print: the text of a value, escaped for HTML or as it is."""

from __future__ import annotations

import re

from mailferry.mail.handlebars.errors import Fault, MissingVariable
from mailferry.mail.handlebars.frames import Frame, Get
from mailferry.mail.handlebars.run import PartialBlock
from mailferry.mail.handlebars.values import UNDEFINED, Value, is_nothing, text_of

_SPECIAL = re.compile("[&<>\"'`=]")
_ENTITIES = (
    ("&", "&amp;"),
    ("<", "&lt;"),
    (">", "&gt;"),
    ('"', "&quot;"),
    ("'", "&#x27;"),
    ("`", "&#x60;"),
    ("=", "&#x3D;"),
)


def escape(text: str) -> str:
    """As handlebars.js escapes: safe in HTML text and in attribute values, quoted or not."""
    # Faster than str.translate and than a substitution by pattern, for short and for long texts.
    for character, entity in _ENTITIES:
        if character in text:
            text = text.replace(character, entity)
    return text


def show(get: Get, path: str = "", helper: str | None = None, name: str | None = None) -> Get:
    """{{x}}. A strict rendering refuses an undefined `path`; `helper` is the name under which a function is called.

    Most tags print a name of the context: with `name` that is looked up here, and `get` serves other contexts than dicts.
    """
    special = _SPECIAL.search

    def piece(frame: Frame) -> Value:
        context = frame.context
        value = context.get(name, UNDEFINED) if name is not None and type(context) is dict else get(frame)
        state = frame.state
        if type(value) is not str:
            value = _resolved(value, frame, path, helper)
            if type(value) is not str:
                if not state.escape:
                    return value
                value = text_of(value, state)
        if state.escape and special(value):
            # The copies are made before the result is counted, so its least length is looked at first.
            state.need(len(value))
            value = escape(value)
        state.room -= len(value)
        if state.room < 0:
            raise state.no_room()
        return value

    return piece


def show_raw(get: Get, path: str = "", helper: str | None = None) -> Get:
    """{{{x}}}: the value itself, which becomes text where it is joined to others."""

    def piece(frame: Frame) -> Value:
        value = get(frame)
        if type(value) is not str:
            value = _resolved(value, frame, path, helper)
            if type(value) is not str:
                return value
        frame.state.write(len(value))
        return value

    return piece


def resolved(value: Value, frame: Frame, helper: str | None) -> Value:
    """A value, or what it gives if it is a partial block: a helper gets its options, here as the context."""
    if not isinstance(value, PartialBlock):
        return value
    options = UNDEFINED if helper is None else {"name": helper, "hash": {}, "data": frame.data}
    return value.call(frame, options, None)


def _resolved(value: Value, frame: Frame, path: str, helper: str | None) -> Value:
    if type(value) is int or type(value) is float:
        return value
    if value is UNDEFINED and path in frame.state.reserved:
        return frame.state.reserved[path]
    if value is UNDEFINED and path and frame.state.strict:
        raise Fault(f'"{path}" is not in the data', MissingVariable, path)
    value = resolved(value, frame, helper)
    return "" if is_nothing(value) else value
