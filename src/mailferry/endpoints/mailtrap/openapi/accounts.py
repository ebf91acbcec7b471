"""Accounts, who has access to them, and what is used."""

from mailferry.endpoints.mailtrap import account_accesses, accounts, names
from mailferry.endpoints.mailtrap.openapi.answers import ERROR
from mailferry.endpoints.mailtrap.openapi.declaration import Answer, Asked, Declared, Families, Parameter, json
from mailferry.endpoints.mailtrap.openapi.schemas import (
    COUNT,
    ID,
    Component,
    answered,
    any_of,
    array,
    asked,
    choice,
    flag,
    integer,
    nullable,
    text,
    time,
)
from mailferry.endpoints.mailtrap.table import Function

_ACCOUNT = Component(
    "Account",
    answered(
        {"id": ID, "name": text(), "access_levels": array(integer("1000 owner, 100 admin, 50 viewer+, 10 viewer."))}
    ),
)
_SUB_ACCOUNT = Component("SubAccount", answered({"id": ID, "name": text()}))

LEVEL = any_of(
    integer(enum=[100, 50, 10]),
    text(enum=["100", "50", "10", "admin", "viewer_plus", "viewer"]),
    about="100 admin, 50 viewer+, 10 viewer.",
)
RESOURCE_ID = any_of(ID, text("The same in digits.", pattern="^[0-9]{1,19}$"))
RESOURCE_TYPE = choice(sorted(names.KINDS), "The words of both families are understood.")
GRANT = Component("Grant", answered({"resource_type": text(), "resource_id": integer(), "access_level": integer()}))

_PERSON = {"id": ID, "email": text(), "name": text(), "two_factor_authentication_enabled": flag()}
_PROGRAM = {"author_name": text(), "token": text("Its last four characters."), "expires_at": nullable(time())}
_MAY = ("can_read", "can_update", "can_destroy", "can_leave")
_ACCESS = Component(
    "AccountAccess",
    answered(
        {
            "id": ID,
            "specifier_type": choice(("User", "Invite", "ApiToken")),
            "specifier": any_of(answered(_PERSON | _PROGRAM), answered(_PERSON)),
            "resources": array(GRANT),
            "permissions": answered({name: flag() for name in _MAY}),
        }
    ),
)
_CHANGE = asked(
    {
        "resource_id": RESOURCE_ID,
        "resource_type": RESOURCE_TYPE,
        "access_level": LEVEL,
        "_destroy": flag("Take it away."),
    },
    "resource_id",
    "resource_type",
)
_NODE_FACTS = {"id": ID, "name": text(), "type": text(), "access_level": integer()}
#: It holds itself, so its members come after it.
_below: dict[str, object] = {}
_NODE = Component("Resource", _below)
_below.update(answered(_NODE_FACTS | {"resources": array(_NODE)}))

_PLAN = answered({"name": text()})
_USED = answered({"current": COUNT, "limit": COUNT})
_PART = answered({"plan": _PLAN, "usage": answered({"sent_messages_count": _USED})})
_USAGE = Component(
    "Usage",
    answered(
        {
            "billing": answered({"cycle_start": time(), "cycle_end": time()}),
            "testing": answered(
                {
                    "plan": _PLAN,
                    "usage": answered({"sent_messages_count": _USED, "forwarded_messages_count": _USED}),
                }
            ),
            "sending": _PART,
            "marketing": _PART,
        }
    ),
)


def _chosen(inboxes: str) -> tuple[Parameter, ...]:
    names = ("project_ids", inboxes, "domain_ids")
    return tuple(Parameter(name, array(ID), "Those with a right on one of these alone.") for name in names)


DECLARED: dict[Function, Declared] = {
    accounts.get_list: Declared("List the accounts that the token reaches", {200: json(array(_ACCOUNT))}),
    account_accesses.get_list: Declared(
        "List who has access",
        {200: json(array(_ACCESS))},
        query=Families(_chosen("inbox_ids"), _chosen("sandbox_ids")),
    ),
    account_accesses.remove: Declared(
        "Take access away",
        {200: json(answered({"id": ID}))},
        about="An owner's access only by another owner, and never the last one's.",
    ),
    account_accesses.update_permissions: Declared(
        "Change what somebody may do",
        {200: json(answered({"message": text()}), "All of it was changed.")},
        Asked(
            asked({"permissions": array(_CHANGE, maxItems=1000)}, "permissions"),
            example={"permissions": [{"resource_id": 1, "resource_type": "domain", "access_level": "viewer"}]},
        ),
        about="All of it or nothing.",
    ),
    account_accesses.get_resources: Declared(
        "List what the token is an admin of", {200: json(array(_NODE))}, about="Each below what it belongs to."
    ),
    accounts.get_usage: Declared(
        "Show what is used this month",
        {200: json(_USAGE)},
        about="Each recipient is one message. Nothing is limited, so the limits are very large numbers.",
    ),
    accounts.get_sub_accounts: Declared("List the accounts of an organization", {200: json(array(_SUB_ACCOUNT))}),
    accounts.create_sub_account: Declared(
        "Add an account to an organization",
        {
            200: json(_SUB_ACCOUNT),
            400: Answer(
                "The body is no JSON object; or there is no account in it, which is answered without a body.",
                {"application/json": ERROR, "text/html": text(maxLength=0)},
            ),
        },
        Asked(asked({"name": text(minLength=1, maxLength=255)}, "name"), wrapper="account", example={"name": "Sister"}),
    ),
}
