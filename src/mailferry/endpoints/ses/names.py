"""Names that customers give to what is kept by its name, within Amazon's bounds (each operation's page of the API reference).

Without them a set with an empty name can be made and never be named, and an index of PostgreSQL refuses a name that is
longer than a third of its page.
"""

import re

from mailferry.endpoints.ses.errors import SesError

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
#: Of the rules that sort what is received.
_RULE = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_.-]{0,62}[A-Za-z0-9])?")


def checked(name: str, what: str, code: str = "InvalidParameterValue") -> str:
    """Raises `SesError`."""
    return _checked(_NAME, name, f"{what} has 1 to 64 letters of ASCII, digits, hyphens and underscores", code)


def rule(name: str, what: str) -> str:
    """Raises `SesError`."""
    words = "letters of ASCII, digits, hyphens, underscores and periods, and a letter or a digit at its ends"
    return _checked(_RULE, name, f"{what} has 1 to 64 {words}", "InvalidParameterValue")


def _checked(form: re.Pattern[str], name: str, text: str, code: str) -> str:
    if not form.fullmatch(name):
        raise SesError(code, f"{text}; <{name[:100]}> is none.")
    return name
