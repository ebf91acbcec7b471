"""Mailtrap's words for resources and levels, in both families of paths."""

from collections.abc import Mapping
from typing import Any

from mailferry.endpoints.mailtrap.forms import Form
from mailferry.resources.accesses import Specifier
from mailferry.resources.permissions import ADMIN, OWNER, VIEWER, VIEWER_PLUS, Grant, Resource

SPECIFIERS = {Specifier.USER: "User", Specifier.INVITE: "Invite", Specifier.API_TOKEN: "ApiToken"}

_SAME = {
    Resource.ORGANIZATION: "organization",
    Resource.ACCOUNT: "account",
    Resource.PROJECT: "project",
    Resource.BILLING: "billing",
    Resource.TEMPLATES: "email_template_permission_scope",
    Resource.CAMPAIGNS: "email_campaign_permission_scope",
}
_LEGACY = _SAME | {Resource.INBOX: "inbox", Resource.DOMAIN: "sending_domain"}
_CURRENT = _SAME | {Resource.INBOX: "sandbox", Resource.DOMAIN: "domain"}
#: Whichever family a client knows, it is understood.
KINDS = {word: kind for words in (_LEGACY, _CURRENT) for kind, word in words.items()} | {
    "mailsend_domain": Resource.DOMAIN
}
_LEVELS: Mapping[str, int] = {"owner": OWNER, "admin": ADMIN, "viewer_plus": VIEWER_PLUS, "viewer": VIEWER}


def resource(kind: Resource, legacy: bool) -> str:
    return (_LEGACY if legacy else _CURRENT)[kind]


def grants(given: tuple[Grant, ...], legacy: bool) -> list[dict[str, Any]]:
    return [
        {"resource_type": resource(grant.kind, legacy), "resource_id": grant.id, "access_level": grant.level}
        for grant in given
    ]


def kind(form: Form, name: str = "resource_type") -> Resource | None:
    word = form.given.get(name)
    found = KINDS.get(word) if isinstance(word, str) else None
    if found is None:
        form.wrong(name, f"is not included in the list: {', '.join(sorted(KINDS))}")
    return found


def level(form: Form, name: str = "access_level") -> int:
    """100, "100" or "admin". 0 when it is none of them, or more than may be given away."""
    value = form.given.get(name)
    text = str(value).lower() if isinstance(value, (int, str)) and not isinstance(value, bool) else ""
    found = _LEVELS.get(text, int(text) if text.isascii() and text.isdigit() and len(text) < 5 else 0)
    if found not in (ADMIN, VIEWER_PLUS, VIEWER):
        form.wrong(name, "is not included in the list: 100 (admin), 50 (viewer_plus), 10 (viewer)")
        return 0
    return found
