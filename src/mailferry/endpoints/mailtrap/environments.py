"""`.../environment` and `.../sending_domains/{id}/environment`: what becomes of mail that must not reach everybody. Ours."""

from typing import Any

from sqlalchemy import Connection
from starlette.responses import Response

from mailferry.endpoints.mailtrap.deps import Call
from mailferry.endpoints.mailtrap.domains import visible
from mailferry.endpoints.mailtrap.errors import answer
from mailferry.endpoints.mailtrap.forms import Form, members
from mailferry.endpoints.mailtrap.inboxes import level
from mailferry.mail import address
from mailferry.resources import accounts, environments, inboxes
from mailferry.resources.environments import Environment, Mode, Rule
from mailferry.resources.permissions import ADMIN


async def get_one(call: Call) -> Response:
    return answer(_shown(await _environment(call)))


async def replace(call: Call) -> Response:
    return await _change(call, 0, "", await _rule(call))


async def delete(call: Call) -> Response:
    return await _change(call, 0, "", None)


async def get_of_domain(call: Call) -> Response:
    domain = await visible(call)
    return answer(_shown(await _environment(call), domain.id))


async def replace_of_domain(call: Call) -> Response:
    domain = await visible(call, ADMIN)
    return await _change(call, domain.id, domain.name, await _rule(call))


async def delete_of_domain(call: Call) -> Response:
    """The account's rule holds again, where it has one."""
    domain = await visible(call, ADMIN)
    return await _change(call, domain.id, domain.name, None)


async def _environment(call: Call) -> Environment:
    return await call.read(lambda connection: environments.of_account(connection, call.account_id))


async def _change(call: Call, domain_id: int, name: str, rule: Rule | None) -> Response:
    now = call.deps.clock()

    def write(connection: Connection) -> None:
        named = name or accounts.name_of(connection, call.account_id)
        environments.change(connection, call.account_id, domain_id, named, rule, call.actor, now)

    await call.write(write)
    call.deps.forget_documents()
    return answer(_shown(await _environment(call), domain_id))


async def _rule(call: Call) -> Rule:
    form = Form(await members(call))
    mode = form.choice("mode", [*Mode], required=True)
    inbox_id, redirect_to = form.number("inbox_id") or 0, form.text("redirect_to", most=address.LONGEST)
    allow = _allowed(form)
    form.check()
    rule = environments.rule_of(Mode(mode), inbox_id, redirect_to, allow)
    if isinstance(rule, Rule) and rule.inbox_id and not await _may_send_to(call, rule.inbox_id):
        rule = {"inbox_id": "must be an inbox of this account that this token is an admin of"}
    if isinstance(rule, dict):
        for member, text in rule.items():
            form.wrong(member, text)
        form.check()
    assert isinstance(rule, Rule)
    return rule


def _allowed(form: Form) -> list[str]:
    value = form.given.get("allow") or []
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        form.wrong("allow", "must be an array of strings")
        return []
    return value


async def _may_send_to(call: Call, inbox_id: int) -> bool:
    found = await call.read(lambda c: inboxes.by_id(c, call.deps.sealer, call.account_id, inbox_id))
    return found is not None and level(call.rights, found) >= ADMIN


def _shown(environment: Environment, domain_id: int = 0) -> dict[str, Any]:
    """What holds, and whose rule that is; delivered is what has none."""
    own = environment.domains.get(domain_id)
    rule = own or environment.account
    found = environments.plain(rule) if rule else {"mode": Mode.DELIVER}
    return {"data": {"set_on": "domain" if own else "account" if rule else None, **found}}
