"""Which operation of SES v2 a path means. It is looked up as it came: a decoded slash is not the end of a name."""

import re
from collections.abc import Mapping

from mailferry.endpoints.ses.errors import SesError
from mailferry.endpoints.ses.model import Operation, service

#: How older clients ask for what has another method or path today.
_OLDER = (
    ("PUT", "/v1/email/identities/{EmailIdentity}/dkim/signing", "PutEmailIdentityDkimSigningAttributes"),
    ("GET", "/v2/email/contact-lists/{ContactListName}/contacts", "ListContacts"),
    ("GET", "/v2/email/identities", "ListEmailIdentities"),
    ("GET", "/v2/email/import-jobs", "ListImportJobs"),
)


def _pattern(path: str) -> re.Pattern[str]:
    parts = re.split(r"\{(\w+)\}", path.rstrip("/"))
    text = "".join(re.escape(part) if number % 2 == 0 else f"(?P<{part}>[^/]+)" for number, part in enumerate(parts))
    return re.compile(text + "/?")


def _rows() -> list[tuple[str, re.Pattern[str], Operation]]:
    operations = service("sesv2").operations
    today = [(each.method, each.path, each.name) for each in operations.values()]
    # Fixed words before labels: /contacts/list is no contact.
    rows = sorted([*today, *_OLDER], key=lambda row: [part.startswith("{") for part in row[1].split("/")])
    return [(method, _pattern(path), operations[name]) for method, path, name in rows]


_ROWS = _rows()


def find(method: str, path: str) -> tuple[Operation, Mapping[str, str]]:
    """The labels are still encoded. Raises `SesError`."""
    for each, pattern, operation in _ROWS:
        if each == method and (found := pattern.fullmatch(path)):
            return operation, found.groupdict()
    raise SesError("UnknownOperationException", f"There is no operation {method} {path[:200]}")
