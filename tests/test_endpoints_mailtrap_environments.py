"""Environment rules over the API: whose holds, who may set them, and what is refused."""

from typing import Any

from mailferry.resources import audit
from mailferry.resources.permissions import ADMIN, Grant, Resource
from tests.working_house import WorkingHouse, engines, working

__all__ = ["engines", "working"]


async def test_a_domain_s_rule_is_told_before_the_account_s_and_both_are_noted(working: WorkingHouse) -> None:
    capture = {"mode": "capture", "inbox_id": working.inbox, "allow": ["@a.test"]}
    of_domain = f"sending_domains/{working.domain}/environment"

    async def told(method: str, path: str, body: Any = None) -> Any:
        return (await working.made(method, path, body))["data"]

    assert await told("GET", "environment") == {"set_on": None, "mode": "deliver"}
    assert await told("PUT", "environment", capture) == {"set_on": "account", **capture}
    assert await told("GET", of_domain) == {"set_on": "account", **capture}
    assert await told("PUT", of_domain, {"mode": "deliver"}) == {"set_on": "domain", "mode": "deliver"}
    assert await told("DELETE", of_domain) == {"set_on": "account", **capture}
    assert await told("DELETE", "environment") == {"set_on": None, "mode": "deliver"}
    noted = await working.database.read(lambda c: audit.page(c, working.account))
    assert [(each.event, each.resource_type) for each in noted if each.event == "environment.updated"] == [
        *(("environment.updated", kind) for kind in ("account", "sending_domain", "sending_domain", "account"))
    ]


async def test_mail_is_caught_from_the_next_request_on(working: WorkingHouse) -> None:
    await working.made("PUT", "environment", {"mode": "capture", "inbox_id": working.inbox})
    (told,) = await working.send()
    assert "-" in told, "an id as of any mail"
    (caught,) = await working.made("GET", f"inboxes/{working.inbox}/messages")
    assert (caught["to_email"], caught["smtp_information"]) == ("bob@dest.test", {"ok": False})
    assert (await working.made("GET", "email_logs"))["messages"] == []
    await working.made("DELETE", "environment")
    await working.send()
    assert len((await working.made("GET", "email_logs"))["messages"]) == 1


async def test_an_inbox_must_be_one_that_may_be_sent_to(working: WorkingHouse) -> None:
    confined = await working.token(Grant(Resource.DOMAIN, working.domain, ADMIN))
    path = f"sending_domains/{working.domain}/environment"
    for token, inbox in ((confined, working.inbox), (working.admin, working.inbox + 9)):
        answer = await working.ask("PUT", path, {"mode": "capture", "inbox_id": inbox}, token=token)
        assert answer.status == 422 and list(answer.json["errors"]) == ["inbox_id"]
    for body, member in (
        ({"mode": "x"}, "mode"),
        ({"mode": "redirect", "redirect_to": "nobody"}, "redirect_to"),
        ({"mode": "capture", "inbox_id": working.inbox, "allow": "@a.test"}, "allow"),
    ):
        answer = await working.ask("PUT", path, body)
        assert answer.status == 422 and list(answer.json["errors"]) == [member]
