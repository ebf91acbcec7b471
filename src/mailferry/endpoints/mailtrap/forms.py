"""What a request of the general API brought: its JSON members, checked one by one, all that is wrong told at once."""

import contextlib
import re
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any, NoReturn

from starlette.responses import Response

from mailferry.endpoints.bodies import Share, aside, read_body
from mailferry.endpoints.mailtrap import weight, wire
from mailferry.endpoints.mailtrap.deps import Call
from mailferry.endpoints.mailtrap.errors import Fault, Problem, answer
from mailferry.mail import address
from mailferry.mail.address import BadAddress

#: PostgreSQL has no NUL in a text; the rest would break lines where these texts are shown.
_CONTROL = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")
#: Ids are 64-bit integers in both databases.
MAX_ID = (1 << 63) - 1

BLANK = "can't be blank"


class AnsweredError(Exception):
    """The request ends here, with this answer."""

    def __init__(self, response: Response) -> None:
        self.response = response


def refuse(call: Call, fault: Fault, detail: str = "") -> NoReturn:
    raise AnsweredError(call.problem(Problem(fault, detail)))


def invalid(errors: Mapping[str, Sequence[str]] | str) -> NoReturn:
    """422, by field; ``base`` is the request as a whole. Few paths say it in one sentence."""
    if isinstance(errors, str):
        raise AnsweredError(answer({"errors": errors}, 422, [errors]))
    # Of a field its name alone: the text beside it may repeat what the client wrote.
    reasons = [f"{name} is invalid" for name in errors if name != "base"]
    raise AnsweredError(answer({"errors": errors}, 422, [*errors.get("base", ()), *reasons]))


def identity(call: Call, name: str) -> int:
    """An integer out of the path; what is none is not found."""
    text = call.request.path_params[name]
    if not re.fullmatch(r"[0-9]{1,19}", text) or not 0 < int(text) <= MAX_ID:
        refuse(call, Fault.NOT_FOUND)
    return int(text)


@contextlib.asynccontextmanager
async def held_body(call: Call) -> AsyncIterator[tuple[bytearray, Share]]:
    """The body as it came, and what it holds of the memory for all bodies until the block ends."""
    with Share(call.deps.budget, call.deps.body.patience) as share:
        yield await read_body(call.request.receive, call.request.headers, share, call.deps.body), share


async def members(call: Call, wrapped_in: str = "") -> dict[str, Any]:
    """The body's object, or the one within it by that name. An absent body is an empty object.

    Members that stand outside, where nobody reads them, would be told 200 and change nothing.
    """
    async with held_body(call) as (body, share):
        if len(body) + await aside(len(body), lambda: weight.growth(body, share.largest)) > share.largest:
            refuse(call, Fault.VALUES_TOO_MANY)
        found = await aside(len(body), lambda: wire.decode(body)) if body.strip() else {}
    if isinstance(found, Problem):
        raise AnsweredError(call.problem(found))
    if not wrapped_in:
        return found
    inner = found.get(wrapped_in)
    if inner is None and found.keys() - {wrapped_in}:
        invalid({wrapped_in: ["is missing: all members belong within it"]})
    if inner is None:
        return {}
    if not isinstance(inner, dict):
        invalid({wrapped_in: ["must be an object"]})
    return inner


class Form:
    """Reads members; :meth:`check` ends the request if any of them was wrong."""

    def __init__(self, given: Mapping[str, Any]) -> None:
        self.given = given
        self.errors: dict[str, list[str]] = {}

    def wrong(self, name: str, text: str) -> None:
        self.errors.setdefault(name, []).append(text)

    def check(self) -> None:
        if self.errors:
            invalid(self.errors)

    def has(self, name: str) -> bool:
        return self.given.get(name) is not None

    def text(self, name: str, *, least: int = 0, most: int = 255, lines: bool = False) -> str:
        """Empty when it is absent; ``least`` > 0 makes it required. Counted in characters."""
        value = self.given.get(name)
        if value is None or value == "":
            if least:
                self.wrong(name, BLANK)
                if least > 1:
                    self.wrong(name, f"is too short (minimum is {least} characters)")
            return ""
        if not isinstance(value, str):
            self.wrong(name, "must be a string")
            return ""
        if len(value) < least:
            self.wrong(name, f"is too short (minimum is {least} characters)")
        if len(value) > most:
            self.wrong(name, f"is too long (maximum is {most} characters)")
        if _CONTROL.search(re.sub(r"[\r\n\t]", "", value) if lines else value):
            self.wrong(name, "must not contain control characters")
        if least and not value.strip():
            self.wrong(name, BLANK)
        return value

    def flag(self, name: str) -> bool | None:
        """None when it is absent. Clients send `"true"` as well."""
        value = self.given.get(name)
        known = {True: True, False: False, "true": True, "false": False}
        if value is not None and not isinstance(value, (bool, str)):
            self.wrong(name, "must be a boolean")
            return None
        if value is not None and value not in known:
            self.wrong(name, "must be a boolean")
            return None
        return None if value is None else known[value]

    def number(self, name: str) -> int | None:
        """Ids come as integers and as their digits."""
        value = self.given.get(name)
        if value is None:
            return None
        text = str(value) if isinstance(value, (int, str)) and not isinstance(value, bool) else ""
        if not re.fullmatch(r"[0-9]{1,19}", text) or int(text) > MAX_ID:
            self.wrong(name, "is not a number")
            return None
        return int(text)

    def choice(self, name: str, allowed: Sequence[str], *, required: bool = False) -> str:
        value = self.given.get(name)
        if value is None:
            if required:
                self.wrong(name, BLANK)
            return ""
        if value not in allowed:
            self.wrong(name, f"is not included in the list: {', '.join(allowed)}")
            return ""
        return str(value)

    def email(self, name: str, *, required: bool = True) -> str:
        """In its stored form (mail/address.parse)."""
        value = self.text(name, least=1 if required else 0, most=address.LONGEST)
        if not value or name in self.errors:
            return ""
        try:
            return address.parse(value)
        except BadAddress as error:
            self.wrong(name, f"is invalid: {error}")
            return ""

    def items(self, name: str, read: Callable[["Form"], Any], most: int = 1000) -> list[Any]:
        """An array of objects, each read as a form of its own; an error names its place."""
        value = self.given.get(name)
        if value is None:
            return []
        if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
            self.wrong(name, "must be an array of objects")
            return []
        if len(value) > most:
            self.wrong(name, f"is too long (maximum is {most} items)")
            return []
        found = []
        for place, item in enumerate(value):
            form = Form(item)
            found.append(read(form))
            for field, texts in form.errors.items():
                for text in texts:
                    self.wrong(name, f"{place}: {field} {text}")
        return found
