"""Pages of a list: how large, from where on, and the token of the next one, which says nothing to a client."""

import base64
import binascii
from collections.abc import Sequence
from typing import Any, TypeVar

from mailferry.endpoints.ses.deps import Params
from mailferry.endpoints.ses.errors import SesError, invalid

T = TypeVar("T")


def size(params: Params, default: int, most: int, name: str = "PageSize") -> int:
    """Raises `SesError`."""
    found: int = params.get(name, default)
    if not 1 <= found <= most:
        raise invalid(f"Value {found} for parameter {name} is invalid. {name} must be between 1 and {most}.")
    return found


def after(params: Params, name: str = "NextToken") -> str:
    """The last name of the page before; empty: from the start. Raises `SesError`."""
    token = params.get(name, "")
    try:
        found = base64.urlsafe_b64decode(token.encode()).decode()
    except (UnicodeError, binascii.Error):
        found = "\0"
    if "\0" in found:
        raise SesError("InvalidNextToken", f"Invalid {name} <{token[:100]}>.")
    return found


def token(last: str) -> str:
    return base64.urlsafe_b64encode(last.encode()).decode()


def page(found: Sequence[T], most: int, last: Any) -> tuple[Sequence[T], str | None]:
    """Of one row more than the page holds: the page, and the next one's token, None where there is none.

    ``last`` gives a row's name.
    """
    if len(found) <= most:
        return found, None
    return found[:most], token(last(found[most - 1]))
