"""What is asked of an inbox's messages (sandbox/query.py), as a query string and as JSON; a condition that nobody knows is
refused, since a misspelled one would hold of every message.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from mailferry.endpoints.mailtrap.deps import Call
from mailferry.endpoints.mailtrap.errors import Fault
from mailferry.endpoints.mailtrap.forms import MAX_ID, Form, refuse
from mailferry.endpoints.mailtrap.query import MAX_VALUE, BadQueryError, moment, parse
from mailferry.sandbox.query import Query

CONDITIONS = ("to", "from", "subject", "text", "html", "header", "has_attachment", "after", "since")
#: Seconds that a request may wait.
LONGEST_WAIT = 120
MOST_HEADERS = 20
_NAME = re.compile(r"[!-9;-~]{1,100}")
_SECONDS = re.compile(r"[0-9]{1,6}(\.[0-9]{1,6})?")

#: Told the name of a condition, and what is wrong with it.
Wrong = Callable[[str, str], None]


@dataclass(frozen=True, slots=True)
class Asked:
    query: Query
    #: Other parameters by their names, as they came.
    beside: Mapping[str, str]
    #: All that were given.
    named: frozenset[str]


def asked(call: Call, *beside: str) -> Asked:
    """Of the query string, which may have parameters beside the conditions. Ends the request when something is wrong."""
    errors: list[str] = []
    try:
        given = _given(parse(call.request.scope["query_string"]))
    except BadQueryError as error:
        refuse(call, Fault.QUERY_INVALID, str(error))
    known = (*CONDITIONS, *beside)
    errors += [f"'{name}' is unknown; known are {', '.join(known)}" for name in given if name not in known]
    query = read(given, lambda name, text: errors.append(f"'{name}' {text}"))
    if errors:
        refuse(call, Fault.QUERY_INVALID, errors[0])
    return Asked(query, {name: str(given[name]) for name in beside if name in given}, frozenset(given))


def of_form(form: Form, name: str = "query") -> Query:
    """A member of a JSON body; what is wrong is the form's to tell."""
    given = form.given.get(name)
    if given is None:
        return Query()
    if not isinstance(given, dict):
        form.wrong(name, "must be an object")
        return Query()
    for each in given:
        if each not in CONDITIONS:
            form.wrong(name, f"'{each[:100]}' is unknown; known are {', '.join(CONDITIONS)}")
    return read(given, lambda condition, text: form.wrong(name, f"'{condition}' {text}"))


def read(given: Mapping[str, Any], wrong: Wrong) -> Query:
    texts = {name: _text(given, name, wrong) for name in ("to", "from", "subject", "text", "html")}
    return Query(
        to=texts["to"],
        sender=texts["from"],
        subject=texts["subject"],
        text=texts["text"],
        html=texts["html"],
        headers=_headers(given.get("header"), wrong),
        has_attachment=_flag(given, "has_attachment", wrong),
        after=_identity(given, "after", wrong),
        since=_time(given, "since", wrong),
    )


def seconds(text: str, default: float, most: float) -> float | None:
    """None: it is none, or too many."""
    if not text:
        return default
    return float(text) if _SECONDS.fullmatch(text) and float(text) <= most else None


def timeout(call: Call, found: Asked, default: float, most: float = LONGEST_WAIT) -> float:
    """Ends the request when it is wrong."""
    wait = seconds(found.beside.get("timeout", ""), default, most)
    if wait is None:
        refuse(call, Fault.QUERY_INVALID, f"'timeout' must be seconds, {most:.0f} at most")
    return wait


def number(call: Call, found: Asked, name: str, default: int, most: int) -> int:
    text = found.beside.get(name, "")
    if text and (not re.fullmatch(r"[0-9]{1,6}", text) or not 1 <= int(text) <= most):
        refuse(call, Fault.QUERY_INVALID, f"'{name}' must be between 1 and {most}")
    return int(text) if text else default


def _given(pairs: list[tuple[tuple[str, ...], str]]) -> dict[str, Any]:
    """``header[X-Name]=value`` becomes an object, as JSON has it."""
    found: dict[str, Any] = {}
    for path, value in pairs:
        match path:
            case ("header", name):
                found.setdefault("header", {})[name] = value
            case (name,):
                found[name] = value
            case (name, *_):
                found[f"{name}[...]"] = value
    return found


def _text(given: Mapping[str, Any], name: str, wrong: Wrong) -> str:
    value = given.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        wrong(name, "must be a string")
    elif not value.strip():
        wrong(name, "must not be empty")  # a variable that is not set must not make a test pass
    elif len(value) > MAX_VALUE:
        wrong(name, f"is too long (maximum is {MAX_VALUE} characters)")
    elif re.search(r"[\0\ud800-\udfff]", value):
        wrong(name, "must not contain NUL or half a character")
    else:
        return value
    return ""


def _headers(value: Any, wrong: Wrong) -> dict[str, str]:
    if value is None:
        return {}
    if not isinstance(value, dict) or not all(isinstance(each, str) for each in value.values()):
        wrong("header", "must be names with texts: header[X-Name]=part")
        return {}
    if len(value) > MOST_HEADERS or any(not _NAME.fullmatch(name) for name in value):
        wrong("header", f"must be names of header fields ({MOST_HEADERS} at most)")
    if any(len(each) > MAX_VALUE for each in value.values()):
        wrong("header", f"is too long (maximum is {MAX_VALUE} characters)")
    return value


def _flag(given: Mapping[str, Any], name: str, wrong: Wrong) -> bool | None:
    value = given.get(name)
    known = {"true": True, "false": False, "1": True, "0": False}
    if value is None or isinstance(value, bool):
        return value
    if not isinstance(value, str) or value not in known:
        wrong(name, "must be a boolean")
        return None
    return known[value]


def _identity(given: Mapping[str, Any], name: str, wrong: Wrong) -> int:
    value = given.get(name)
    if value is None:
        return 0
    text = str(value) if isinstance(value, (int, str)) and not isinstance(value, bool) else ""
    # 0: what a client has that saw no message yet.
    if not re.fullmatch(r"[0-9]{1,19}", text) or int(text) > MAX_ID:
        wrong(name, "must be the id of a message")
        return 0
    return int(text)


def _time(given: Mapping[str, Any], name: str, wrong: Wrong) -> int:
    value = given.get(name)
    if value is None:
        return 0
    try:
        found = moment(value, name) if isinstance(value, str) else None
    except BadQueryError:
        found = None
    if found is None or not 0 <= found <= MAX_ID:
        wrong(name, "must be an ISO 8601 time")
        return 0
    return found
