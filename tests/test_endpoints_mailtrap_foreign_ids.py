"""Ids of a foreign account in bodies and queries: refused or finding nothing, and nothing of that account is told or changed."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.delivery_support import SQLITE
from tests.mailtrap_roles import MARK, Stage, leaks
from tests.working_house import WorkingHouse, engines, mail, working

__all__ = ["engines", "working"]
pytestmark = SQLITE

Foreign = Callable[[WorkingHouse, dict[str, Any]], Any]


def granted(house: WorkingHouse, kind: str, identity: int) -> dict[str, Any]:
    return {"resource_type": kind, "resource_id": identity, "access_level": 100}


KINDS = {
    "account": "account",
    "sending_domain": "domain",
    "project": "project",
    "inbox": "inbox",
    "billing": "account",
    "organization": "organization",
}

#: Method, path of the own account, body made of the foreign account's things, status.
BODIES: dict[str, tuple[str, str, Foreign, int]] = {
    "a contact's lists": (
        "POST",
        "contacts",
        lambda f, _: {"contact": {"email": "a@dest.test", "list_ids": f.lists}},
        422,
    ),
    "lists a contact comes into": (
        "PATCH",
        "contacts/ann@dest.test",
        lambda f, _: {"contact": {"list_ids_included": f.lists}},
        422,
    ),
    "lists a contact leaves": (
        "PATCH",
        "contacts/ann@dest.test",
        lambda f, _: {"contact": {"list_ids_excluded": f.lists}},
        422,
    ),
    "lists of an import": (
        "POST",
        "contacts/imports",
        lambda f, _: {"contacts": [{"email": "a@dest.test", "list_ids_included": f.lists}]},
        422,
    ),
    "lists of an export": (
        "POST",
        "contacts/exports",
        lambda f, _: {"filters": [{"name": "list_id", "operator": "equal", "value": f.lists}]},
        422,
    ),
    "lists of a segment": (
        "POST",
        "contacts/segments",
        lambda f, _: {"name": "X", "conditions": [{"name": "list_id", "operator": "equal", "value": f.lists}]},
        422,
    ),
    "a suppression's domain": (
        "POST",
        "suppressions",
        lambda f, _: {"email": "a@dest.test", "domain_id": f.domain, "sending_stream": "bulk"},
        422,
    ),
    **{
        f"a token's {kind}": (
            "POST",
            "api_tokens",
            lambda f, _, kind=kind, name=name: {"name": "X", "resources": [granted(f, kind, getattr(f, name))]},
            422,
        )
        for kind, name in KINDS.items()
    },
    **{
        f"permissions on a foreign {kind}": (
            "PUT",
            "account_accesses/{access}/permissions/bulk",
            lambda f, _, kind=kind, name=name: {"permissions": [granted(f, kind, getattr(f, name))]},
            422,
        )
        for kind, name in KINDS.items()
    },
    "a template by its uuid": (
        "POST",
        "/api/send",
        lambda f, made: mail(template_uuid=made["uuid"], subject=None, text=None),
        400,
    ),
    "a foreign sender": ("POST", "/api/send", lambda f, _: mail(**{"from": {"email": f"a@{MARK}-a.test"}}), 401),
}
QUERIES: dict[str, tuple[str, Foreign, int]] = {
    "accesses by a foreign domain": ("account_accesses", lambda f, _: f"domain_ids={f.domain}", 200),
    "accesses by a foreign project": ("account_accesses", lambda f, _: f"project_ids={f.project}", 200),
    "logs of a foreign domain": (
        "email_logs",
        lambda f, _: f"filters[domain_id][operator]=equal&filters[domain_id][value]={f.domain}",
        200,
    ),
    "logs behind a foreign message": ("email_logs", lambda _, made: f"search_after={made['message']}", 200),
    "suppressions behind a foreign one": ("suppressions", lambda _, made: f"last_id={made['suppression']}", 200),
}


@pytest.fixture
async def stage(working: WorkingHouse) -> Stage:
    return await Stage(working.office, "GET", "/api/accounts/{account_id}/email_logs").open()


async def made_there(stage: Stage) -> dict[str, Any]:
    """What the foreign account has, by the words of the tables above."""
    rows = await stage.foreign_rows()
    (message, *_), (suppression, *_), (template, *_) = rows["recipients"], rows["suppressions"], rows["templates"]
    return {"message": message["id"], "suppression": suppression["id"], "uuid": template["uuid"]}


@pytest.mark.parametrize("what", BODIES)
async def test_a_body_names_what_is_not_ours(stage: Stage, what: str) -> None:
    method, path, body, status = BODIES[what]
    house, _ = await stage.house()
    await house.contact("ann@dest.test")
    before = await stage.foreign_rows()
    (access, *_) = [
        each["id"] for each in await house.made("GET", "account_accesses") if each["specifier"]["name"] == "Admin"
    ]
    sent = body(stage.foreign_house, await made_there(stage))
    if path.startswith("/"):
        answer = await house.post(path, sent, {"Api-Token": house.admin})
    else:
        answer = await house.ask(method, path.format(access=access), sent)
    assert answer.status == status, answer.body
    # What the client named itself may be repeated, and nothing else.
    repeated = {stage.foreign_house.account, stage.foreign_house.domain, *stage.foreign_house.lists}
    repeated |= {getattr(stage.foreign_house, name) for name in KINDS.values()}
    assert [
        leak for leak in leaks(answer, stage.foreign_ids - repeated) if leak != MARK or what != "a foreign sender"
    ] == []
    assert await stage.foreign_rows() == before


@pytest.mark.parametrize("what", QUERIES)
async def test_a_query_names_what_is_not_ours(stage: Stage, what: str) -> None:
    path, query, status = QUERIES[what]
    house, _ = await stage.house()
    answer = await house.ask("GET", f"{path}?{query(stage.foreign_house, await made_there(stage))}")
    assert answer.status == status, answer.body
    assert leaks(answer, stage.foreign_ids) == []
    if "domain" in what or "project" in what:
        assert answer.json in ([], {"messages": [], "total_count": 0, "next_page_cursor": None})
