"""Environment rules: what becomes of mail of an account, or of one of its sending domains, that must not reach everybody.

One document an account holds them all, since it is looked at with every message. A domain's own rule wins over the account's.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from functools import partial
from typing import Any

from sqlalchemy import Connection

from mailferry.mail import address
from mailferry.mail.address import BadAddress
from mailferry.resources import audit, documents
from mailferry.resources.audit import Actor
from mailferry.resources.documents import DocumentBook, Kind

#: The name under which an account's are kept.
DOCUMENT = "environment"
#: Addresses and domains that are written to all the same.
MOST_ALLOWED = 200
#: Stands for the account in the document; domains have their numbers.
_ACCOUNT = "account"


class Mode(StrEnum):
    #: As if there were no rule: for a domain of an account that has another one.
    DELIVER = "deliver"
    #: Into an inbox of the sandbox; nothing leaves.
    CAPTURE = "capture"
    #: One mail to one address, whoever it was for.
    REDIRECT = "redirect"


@dataclass(frozen=True, slots=True)
class Rule:
    mode: Mode
    inbox_id: int = 0
    redirect_to: str = ""
    #: Addresses as mail/address.key has them, and domains with their @ before them: these are written to in every mode.
    allow: tuple[str, ...] = ()

    def allows(self, key: str) -> bool:
        return key in self.allow or key[key.rfind("@") :] in self.allow


def rule_of(mode: Mode, inbox_id: int, redirect_to: str, allow: Sequence[str]) -> Rule | dict[str, str]:
    """The rule, or by member what is wrong. Whether there is such an inbox is looked at elsewhere."""
    wrong: dict[str, str] = {}
    if (mode is Mode.CAPTURE) is not bool(inbox_id):
        wrong["inbox_id"] = f"belongs to {Mode.CAPTURE}, which needs it"
    if (mode is Mode.REDIRECT) is not bool(redirect_to):
        wrong["redirect_to"] = f"belongs to {Mode.REDIRECT}, which needs it"
    if mode is Mode.DELIVER and allow:
        wrong["allow"] = f"is for {Mode.CAPTURE} and {Mode.REDIRECT}"
    if len(allow) > MOST_ALLOWED:
        wrong["allow"] = f"is too long (maximum is {MOST_ALLOWED} items)"
    target, allowed = "", []
    try:
        target = address.parse(redirect_to) if redirect_to else ""
    except BadAddress as error:
        wrong["redirect_to"] = f"is invalid: {error}"
    for place, each in enumerate(allow):
        try:
            key = address.key(address.parse(f"x{each}" if each.startswith("@") else each))
        except BadAddress as error:
            wrong["allow"] = f"is invalid at {place}: {error}"
            continue
        allowed.append(key[1:] if each.startswith("@") else key)
    return wrong or Rule(mode, inbox_id, target, tuple(dict.fromkeys(allowed)))


@dataclass(frozen=True, slots=True)
class Environment:
    """``domains``: by their numbers."""

    account: Rule | None
    domains: Mapping[int, Rule]


async def known(book: DocumentBook, account_id: int, domain_id: int) -> Rule | None:
    """What holds for mail of this domain; None: it is delivered."""
    found = await book.get(account_id, Kind.ACCOUNT, DOCUMENT)
    if found is None:
        return None
    rule = _rule(found.body.get(str(domain_id)) or found.body.get(_ACCOUNT))
    return None if rule is None or rule.mode is Mode.DELIVER else rule


def of_account(connection: Connection, account_id: int) -> Environment:
    found = documents.get(connection, account_id, Kind.ACCOUNT, DOCUMENT)
    rules = {name: rule for name, body in (found.body if found else {}).items() if (rule := _rule(body))}
    account = rules.pop(_ACCOUNT, None)
    return Environment(account, {int(name): rule for name, rule in rules.items()})


def change(
    connection: Connection, account_id: int, domain_id: int, name: str, rule: Rule | None, actor: Actor, now: int
) -> None:
    """``domain_id`` 0: the account's; ``name``: of the domain or the account, for the audit log. None takes the rule away."""
    key = str(domain_id) if domain_id else _ACCOUNT
    body = asdict(rule) if rule else None
    before: list[Any] = []

    def edit(rules: Mapping[str, Any]) -> Mapping[str, Any]:
        before.append(rules.get(key))
        rest = _without(key, rules)
        return {**rest, key: body} if body else rest

    documents.change(connection, account_id, Kind.ACCOUNT, DOCUMENT, edit, now, made=True)
    if _rule(before[0]) != rule:
        resource = ("sending_domain", domain_id, name) if domain_id else ("account", account_id, name)
        changes = {"environment": (before[0], body)}
        audit.note(connection, account_id, actor, "environment.updated", resource, now, changes)


def plain(rule: Rule) -> dict[str, Any]:
    """As it was asked for: members that do not belong to its mode are left out."""
    found = {"inbox_id": rule.inbox_id, "redirect_to": rule.redirect_to, "allow": list(rule.allow)}
    return {"mode": str(rule.mode)} | {name: value for name, value in found.items() if value}


def forget(connection: Connection, account_id: int, domain_id: int, now: int) -> None:
    """The domain was deleted."""
    if domain_id in of_account(connection, account_id).domains:
        edit = partial(_without, str(domain_id))
        documents.change(connection, account_id, Kind.ACCOUNT, DOCUMENT, edit, now)


def _without(key: str, rules: Mapping[str, Any]) -> Mapping[str, Any]:
    return {each: value for each, value in rules.items() if each != key}


def _rule(body: Mapping[str, Any] | None) -> Rule | None:
    if not body:
        return None
    return Rule(Mode(body["mode"]), body["inbox_id"], body["redirect_to"], tuple(body["allow"]))
