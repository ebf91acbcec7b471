"""The operations of the table, under a name that both families of paths share, and what Mailferry says otherwise."""

import re
from dataclasses import dataclass
from typing import Any

from tests.contracts.facts import Shape, committed

#: The newer family's word for the older one's.
_WORDS = {
    "inboxes": "sandboxes",
    "inbox_id": "sandbox_id",
    "sending_domains": "domains",
    "sending_domain_id": "domain_id",
    "sending_message_id": "message_id",
}


@dataclass(frozen=True)
class Operation:
    """One of the table. ``name`` is ``GET domains/{domain_id}`` in either family."""

    family: str
    file: str
    method: str
    path: str
    query: tuple[str, ...]
    asks: Shape
    answers: dict[int, Shape]

    @property
    def legacy(self) -> bool:
        return self.path.startswith("/api/accounts/")

    @property
    def bulk(self) -> bool:
        return self.file == "email-sending-bulk"

    @property
    def name(self) -> str:
        return f"{self.method} {shared_name(self.path)}"

    def __str__(self) -> str:
        return f"{self.method} {'bulk ' if self.bulk else ''}{self.path}"


def shared_name(path: str) -> str:
    rest = re.sub(r"^(/bulk)?/api/(accounts/\{account_id\}/)?", "", path)
    return re.sub(r"\w+", lambda word: _WORDS.get(word[0], word[0]), rest)


def blank(path: str) -> str:
    """Paths are the same whatever their parameters are called."""
    return re.sub(r"\{[^}]*\}", "{}", path)


def _operation(row: dict[str, Any]) -> Operation:
    method, _, path = row["operation"].partition(" ")
    answers = {int(status): shape for status, shape in row["answers"].items()}
    return Operation(row["family"], row["file"], method, path, tuple(row["query"]), row["asks"], answers)


def operations() -> list[Operation]:
    """Those that both families have under one path are the same but for the contract's words, and stand here twice."""
    return [_operation(row) for row in committed()]


@dataclass(frozen=True)
class Deviation:
    """Where the answer is right, and the table's shape is not.

    ``operations`` is a regular expression for ``family method path``, ``places`` what the shapes' flaws name. A deviation
    that an answer does not show any more fails.
    """

    operations: str
    status: int
    places: tuple[str, ...]
    why: str

    def meets(self, operation: Operation, status: int) -> bool:
        return status == self.status and bool(re.fullmatch(self.operations, f"{operation.family} {operation}"))


_OLDER = r"legacy \w+ /api/accounts/.*/(sending_domains|suppressions|stats|email_logs|webhooks|email_templates)\b.*"
_AS_SENDING = ("success", "errors")
_NEWER = "in the newer contract errors is a string, and in the older one where it is not about mail"

DEVIATIONS = (
    Deviation(_OLDER, 401, _AS_SENDING, "recorded: the general API answers {'error': 'Incorrect API token'}"),
    Deviation(_OLDER, 400, _AS_SENDING, "the newer contract: {'error': '...'}"),
    Deviation(_OLDER, 403, _AS_SENDING, _NEWER),
    Deviation(_OLDER, 429, _AS_SENDING, _NEWER),
    Deviation(
        r"\w+ GET .*/messages/\{message_id\}/body\.(?!html$).*",
        401,
        ("",),
        "as all of the general API; the contract has a text and does not say which",
    ),
    Deviation(r"\w+ GET .*/messages/\{message_id\}/body\.(?!html$).*", 403, ("",), "the same"),
    Deviation(r"legacy POST .*/projects", 200, ("inboxes[]",), "a new project has none"),
    Deviation(r"current POST .*/projects", 200, ("sandboxes[]",), "a new project has none"),
    Deviation(
        r"\w+ GET .*/messages",
        200,
        ("[].smtp_information.data",),
        "recorded: of a message that came by the API there is none",
    ),
    Deviation(
        r"current GET .*/messages/\{message_id\}",
        200,
        ("blacklists_report_info",),
        "the older contract: false where no blocklist was asked",
    ),
    Deviation(r"current GET .*/messages", 200, ("[].blacklists_report_info",), "the same"),
    Deviation(r"\w+ GET .*/spam_report", 200, ("report.Details[].Pts",), "recorded: a text"),
    Deviation(r"\w+ GET .*/analyze", 200, ("report.success",), "recorded, and in the SDKs: status"),
    Deviation(
        r"legacy GET .*/suppressions",
        200,
        ("[].id", "[].reason"),
        "recorded: ids are UUIDs, and the reason is called type",
    ),
    Deviation(
        r"legacy DELETE .*/suppressions/.*", 200, ("success", "message"), "recorded: the suppression is answered"
    ),
    Deviation(
        r"\w+ POST (bulk )?/api/batch(/\{\w+\})?",
        200,
        ("errors", "responses[].errors", "responses[].message_ids"),
        "recorded: a result has ids or errors, and what succeeds as a whole has no errors",
    ),
    Deviation(
        r"\w+ POST /api/organizations/.*",
        400,
        ("",),
        "recorded: an account without a name is answered with no body at all",
    ),
    Deviation(
        r"current POST /api/contacts/exports",
        422,
        ("errors.*",),
        "the contract's own example is {'errors': {'filters': 'invalid'}}",
    ),
    Deviation(
        r"\w+ POST .*/contacts/imports",
        201,
        ("created_contacts_count", "updated_contacts_count", "contacts_over_limit_count"),
        "the contract's own text: counts are there once the import is finished",
    ),
)

FAMILIES = ("legacy", "current")
_BODY = "sandboxes/{sandbox_id}/messages/{message_id}/body"

#: Statuses of the table that nothing is answered with, and why. One that is answered after all fails.
NEVER: dict[tuple[str, int], str] = {
    (
        "legacy GET email_logs",
        404,
    ): "a list that holds nothing is empty; an account that is not there is 403 everywhere",
    ("current GET email_logs", 404): "a list that holds nothing is empty",
    **dict.fromkeys(
        [(f"{family} POST send/{{sandbox_id}}", 429) for family in FAMILIES], "an inbox takes as many a second as come"
    ),
    **dict.fromkeys(
        [(f"{family} GET {_BODY}.{kind}", 409) for family in FAMILIES for kind in ("raw", "eml")],
        "all that was caught has its bytes",
    ),
    ("current GET permissions/resources", 403): "whoever is an admin of nothing is shown an empty tree",
}
