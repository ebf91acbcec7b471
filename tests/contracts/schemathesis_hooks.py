"""Loaded by schemathesis (test_schemathesis.py): ids that are there in the paths it makes up, and a count of what was answered.

What schemathesis makes up names nothing that exists, so every second request of an operation is about something that does.
Nothing that it does may take away what the run itself needs, its token most of all.
"""

import atexit
import json
import os
import urllib.error
import urllib.request
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import schemathesis

URL, TOKEN, SEEN = (os.environ[f"MAILFERRY_RUN_{name}"] for name in ("URL", "TOKEN", "SEEN"))
#: The account's own id, its simulator's address, and ids that only hold what the run needs.
ACCOUNT, INBOX, DEMO, SMALL = "1", "1", "demo.mailferry.test", 10_000
#: Of things that an operation takes away, which are made for it.
MOST_FRESH = 3

_answered: Counter[tuple[str, int]] = Counter()
_asked: Counter[str] = Counter()
_kept: dict[str, str] = {}
_number = 0


# --- what is there -------------------------------------------------------------------------------------------------


def ask(method: str, path: str, body: Any = None) -> Any:
    headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
    request = urllib.request.Request(f"{URL}/api/{path}", json.dumps(body).encode(), headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=30) as response:
            return json.loads(response.read() or b"null")
    except urllib.error.HTTPError:
        return None


def _token(n: int) -> Any:
    grants = [{"resource_type": "account", "resource_id": 1, "access_level": 10}]
    return ask("POST", "api_tokens", {"name": f"Made {n}", "resources": grants})


def _access(n: int) -> Any:
    made = _token(n)
    accesses = ask("GET", "account_accesses")
    return next(each for each in accesses if each["specifier"]["name"] == made["name"])


def _domain(n: int) -> Any:
    made = ask("POST", "domains", {"domain": {"domain_name": f"m{n}.example.com"}})
    company = dict.fromkeys(("name", "address", "city", "country", "zip_code"), "Shop")
    ask(
        "POST", f"domains/{made['id']}/company_info", {"company_info": company | {"website_url": "https://example.com"}}
    )
    return made


def _template(n: int) -> Any:
    given = {"name": f"Made {n}", "category": "Test", "subject": "Hello {{name}}", "body_text": "Hi"}
    return ask("POST", "email_templates", {"email_template": given})


def _message(n: int) -> Any:
    mail = {
        "from": {"email": f"app@{DEMO}"},
        "to": [{"email": f"success@simulator.{DEMO}"}],
        "subject": str(n),
        "text": "Hi",
    }
    return {"id": ask("POST", "send", mail)["message_ids"][0]}


def _webhook(n: int) -> Any:
    given = {"url": f"https://hooks.example.com/{n}", "webhook_type": "email_sending", "sending_stream": "bulk"}
    return ask("POST", "webhooks", {"webhook": given | {"event_types": ["delivery"]}})["data"]


def _invitation(n: int) -> Any:
    permission = {"resource_type": "account", "resource_id": 1, "access_level": 10}
    return ask("POST", "invitations", {"email": f"invited-{n}@example.com", "permissions": [permission]})


def _caught(n: int) -> Any:
    """By the first run's inbox."""
    attached = {"filename": "a.txt", "content": "SGk=", "type": "text/plain"}
    mail = {"from": {"email": "app@example.com"}, "to": [{"email": "a@example.com"}], "subject": str(n)}
    sent = ask("POST", f"send/{INBOX}", mail | {"text": "Hi", "html": "<p>Hi</p>", "attachments": [attached]})
    return {"id": sent["message_ids"][0]}


def _attachment(n: int) -> Any:
    return ask("GET", f"sandboxes/{INBOX}/messages/{kept('inbox_message_id')}/attachments")[0]


def _inbox(n: int) -> Any:
    return ask("POST", "projects/1/sandboxes", {"sandbox": {"name": f"Made {n}"}})


MAKERS = {
    "project_id": lambda n: ask("POST", "projects", {"project": {"name": f"Made {n}"}}),
    "inbox_id": _inbox,
    "sandbox_id": _inbox,
    "inbox_message_id": _caught,
    "attachment_id": _attachment,
    "api_token_id": _token,
    "account_access_id": _access,
    "invitation_id": _invitation,
    "domain_id": _domain,
    "sending_domain_id": _domain,
    "email_template_id": _template,
    "template_id": _template,
    "version": lambda n: {"id": 1},
    "message_id": _message,
    "webhook_id": _webhook,
    "list_id": lambda n: ask("POST", "contacts/lists", {"name": f"Made {n}"}),
    "field_id": lambda n: ask(
        "POST", "contacts/fields", {"name": f"Made {n}", "data_type": "text", "merge_tag": f"made_{n}"}
    ),
    "segment_id": lambda n: ask(
        "POST",
        "contacts/segments",
        {"name": f"Made {n}", "conditions": [{"name": "list_id", "operator": "equal", "value": [1]}]},
    ),
    "import_id": lambda n: ask("POST", "contacts/imports", {"contacts": [{"email": f"made-{n}@example.com"}]}),
    "export_id": lambda n: ask("POST", "contacts/exports", {}),
    "contact_identifier": lambda n: ask("POST", "contacts", {"contact": {"email": f"made-{n}@example.com"}})["data"],
    "suppression_id": lambda n: ask(
        "POST",
        "suppressions",
        {"email": f"made-{n}@example.com", "domain_id": 1, "sending_stream": "transactional"},
    )["data"],
}


def furnish() -> None:
    """What the examples name: a list, and a field of contacts."""
    ask("POST", "contacts/lists", {"name": "First"})
    ask("POST", "contacts/fields", {"name": "First name", "data_type": "text", "merge_tag": "first_name"})


#: Of which an account has so many and no more: where nothing can be made, one of them is taken.
LISTS = {"webhook_id": "webhooks", "list_id": "contacts/lists", "field_id": "contacts/fields"}


def made(name: str) -> str | None:
    global _number
    _number += 1
    try:
        return str(MAKERS[name](_number)["id"])
    except (KeyError, TypeError):
        return _standing(LISTS[name]) if name in LISTS else None


def _standing(path: str) -> str | None:
    found = ask("GET", path)
    rows = found["data"] if isinstance(found, dict) else found
    ids = [row["id"] for row in rows if row["id"] != 1]  # the examples name the first
    return str(ids[-1]) if ids else None


def kept(name: str) -> str | None:
    if name not in _kept and (found := made(name)):
        _kept[name] = found
    return _kept.get(name)


furnish()

# --- the hooks -----------------------------------------------------------------------------------------------------


def _share(parameters: dict[str, Any]) -> None:
    """A fresh link of the first project or inbox, whichever the path names."""
    (owner,) = {"project_id", "inbox_id", "sandbox_id"} & parameters.keys()
    of = "projects" if owner == "project_id" else "sandboxes"
    parameters |= {owner: INBOX, "share_link_id": str(ask("POST", f"{of}/{INBOX}/share_links", {})["id"])}


@schemathesis.hook
def before_call(context: schemathesis.HookContext, case: Any, kwargs: dict[str, Any]) -> None:
    label, names = f"{case.method} {case.operation.path}", [name for name in case.path_parameters if name in MAKERS]
    _asked[label] += 1
    takes_away = case.method == "DELETE" or case.operation.path.endswith("/reset")
    real = _asked[label] % 2 == 1 and (not takes_away or _asked[label] <= 2 * MOST_FRESH)
    for name in names:
        found = (made if takes_away else kept)(name) if real else None
        case.path_parameters[name] = found or _harmless(case.path_parameters[name])
    waits = case.operation.path.endswith(("/messages/wait", "/messages/latest"))
    if real and ("inbox_message_id" in names or (waits and kept("inbox_message_id"))):
        case.path_parameters["sandbox_id" if "sandbox_id" in names else "inbox_id"] = INBOX
    if real and "share_link_id" in case.path_parameters:
        _share(case.path_parameters)
    if waits and real:
        case.query = {}  # whatever it caught is meant
    if "account_id" in case.path_parameters and real:
        case.path_parameters["account_id"] = ACCOUNT
    if case.meta and case.meta.phase.name == "examples":
        case.body = _unlike(case.body)
    case.body = _nowhere(case.body)
    if case.operation.path.endswith(("/wait", "/events")):
        case.query = dict(case.query or {}) | {"timeout": "0"}
    if case.operation.path.endswith("/assert") and isinstance(case.body, dict):
        case.body = case.body | {"timeout": 0}  # nothing that it waits for would come


@schemathesis.hook
def after_call(context: schemathesis.HookContext, case: Any, response: Any) -> None:
    _answered[f"{case.method} {case.operation.path}", response.status_code] += 1
    if response.status_code == 404:
        for name, value in case.path_parameters.items():
            if _kept.get(name) == value:
                del _kept[name]


@atexit.register
def _tell() -> None:
    told: dict[str, dict[int, int]] = defaultdict(dict)
    for (label, status), count in _answered.items():
        told[label][status] = count
    Path(SEEN).write_text(json.dumps(told))


def _harmless(value: Any) -> Any:
    text = str(value)
    return str(int(text) + 10**9) if text.isdigit() and text.isascii() and int(text) < SMALL else value


def _unlike(value: Any) -> Any:
    """An example may be asked for twice, and over both families of paths."""
    global _number
    if isinstance(value, list):
        return [_unlike(each) for each in value]
    if not isinstance(value, dict):
        return value
    _number += 1
    forms = {"domain_name": "m{n}.{text}", "name": "{text} {n}", "merge_tag": "{text}_{n}", "email": "{n}{text}"}

    def changed(name: str, each: Any) -> Any:
        if name not in forms or not isinstance(each, str) or each.endswith(f".{DEMO}") or each.endswith(f"@{DEMO}"):
            return _unlike(each)
        return forms[name].format(n=_number, text=each)

    # The name of a condition is a word that must stay.
    return {name: changed(name, each) if "operator" not in value else each for name, each in value.items()}


def _nowhere(value: Any) -> Any:
    """No request of the run leads the server anywhere: the URL of a webhook is of a host that no name server knows."""
    webhook = value.get("webhook") if isinstance(value, dict) else None
    if isinstance(webhook, dict) and str(webhook.get("url", "")).lower().startswith(("http://", "https://")):
        return value | {"webhook": webhook | {"url": "https://hooks.example.com/made"}}
    return value
