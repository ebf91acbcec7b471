"""The operator's verbs for environment rules: what becomes of mail that must not reach everybody."""

from typing import Any

from sqlalchemy import Connection

from mailferry.endpoints.operations.domains import domain_of, known_account
from mailferry.endpoints.operations.tools import OPERATOR, Mistake, Tools, Verb
from mailferry.resources import accounts, domains, environments, inboxes
from mailferry.resources.environments import Mode, Rule


async def environment_show(tools: Tools, account: int) -> dict[str, Any]:
    """The account's rule, and those of its domains by their names; null is none."""
    await known_account(tools, account)

    def read(connection: Connection) -> dict[str, Any]:
        found = environments.of_account(connection, account)
        named = {domains.name_of(connection, domain_id): rule for domain_id, rule in found.domains.items()}
        return {
            "account": environments.plain(found.account) if found.account else None,
            "domains": {name: environments.plain(rule) for name, rule in sorted(named.items())},
        }

    return await tools.database.read(read)


async def environment_set(
    tools: Tools, account: int, mode: str, domain: str = "", inbox: int = 0, to: str = "", allow: str = ""
) -> dict[str, Any]:
    """``domain``: empty for the whole account; ``allow``: with commas."""
    await known_account(tools, account)
    allowed = [each.strip() for each in allow.split(",") if each.strip()]
    rule = environments.rule_of(_mode(mode), inbox, to, allowed)
    if isinstance(rule, dict):
        raise Mistake("; ".join(f"{_OPTIONS[member]} {text}" for member, text in rule.items()))
    if inbox and not await tools.database.read(lambda c: inboxes.by_id(c, tools.sealer, account, inbox)):
        raise Mistake(f"account {account} has no inbox {inbox}")
    return await _change(tools, account, domain, rule)


async def environment_clear(tools: Tools, account: int, domain: str = "") -> dict[str, Any]:
    await known_account(tools, account)
    return await _change(tools, account, domain, None)


VERBS: dict[str, Verb] = {
    "environment.show": environment_show,
    "environment.set": environment_set,
    "environment.clear": environment_clear,
}

#: As the command line has them.
_OPTIONS = {"inbox_id": "--inbox", "redirect_to": "--to", "allow": "--allow"}


def _mode(mode: str) -> Mode:
    if mode not in [*Mode]:
        raise Mistake(f"the mode is one of {', '.join(Mode)}")
    return Mode(mode)


async def _change(tools: Tools, account: int, domain: str, rule: Rule | None) -> dict[str, Any]:
    found = await domain_of(tools, domain, account) if domain else None
    now = tools.clock()

    def write(connection: Connection) -> None:
        name = found.name if found else accounts.name_of(connection, account)
        environments.change(connection, account, found.id if found else 0, name, rule, OPERATOR, now)

    await tools.database.write(write)
    tools.forget_documents()
    return await environment_show(tools, account)
