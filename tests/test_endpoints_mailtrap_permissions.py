"""Every path of Mailtrap's API x every kind of token x the own account and a foreign one, generated from the table of paths.

What is expected stands in a table of its own here, by areas and roles; the needs of ``table.py`` are not looked at.
"""

import re
from collections.abc import AsyncIterator

import pytest

from mailferry.endpoints.mailtrap.table import TABLE
from tests.asgi import Answer
from tests.contracts.cases import Request
from tests.contracts.operations import blank, shared_name
from tests.delivery_support import SQLITE
from tests.mailtrap_roles import CASE_OF, ROLES, Stage, expired, leaks
from tests.working_house import WorkingHouse, engines, working

__all__ = ["engines", "working"]

#: What is answered: y as asked, f 403 "Access forbidden", n 404 "Not Found", u "Unauthorized" of sending, i 422 for what the request names.
EVERYBODY = "y" * len(ROLES)
#: owner, account admin / viewer+ / viewer; domain admin / viewer / admin of another one; project, sandbox; templates
#: admin / viewer; campaigns; billing admin / viewer; nothing; organization admin / viewer.
MAY = (
    #                                               account  domain projects templ. camp. bill. none org.
    (r"GET accounts", EVERYBODY),
    (r"\w+ invitations.*", "yyfffffffffffffyf"),
    (r"GET permissions/resources", EVERYBODY),
    (r"\w+ account_accesses.*", "yyfffffffffffffyf"),
    (r"GET api_tokens", EVERYBODY),
    (r"GET api_tokens/.*", "yynnnnnnnnnnnnnyn"),
    (r"\w+ api_tokens.*", "yyfffffffffffffyf"),
    (r"GET billing/usage", "yyyyffffffffyyfyy"),
    (r"\w+ organizations/.*", "fffffffffffffffyf"),
    (r"GET (domains|suppressions|tracking_opt_outs|email_logs(/export)?|stats.*)", "yyyyyyyffffffffyy"),
    (r"GET environment", "yyyyfffffffffffyy"),
    (r"\w+ environment", "yyfffffffffffffyf"),
    (r"GET (domains|email_logs)/.*", "yyyyyynffffffffyy"),
    (r"POST domains", "yyfffffffffffffyf"),
    (r"\w+ (domains|suppressions|tracking_opt_outs)/.*", "yyffyfnffffffffyf"),
    (r"POST (suppressions|tracking_opt_outs)", "yyffyfiffffffffyf"),
    (r"(GET (email_)?templates.*|POST .*/preview)", "yyyyfffffyyffffyy"),
    (r"\w+ (email_)?templates.*", "yyfffffffyfffffyf"),
    (r"GET (contacts|webhooks).*", "yyyyfffffffffffyy"),
    (r"\w+ (contacts|webhooks).*", "yyfffffffffffffyf"),
    (r"POST (send|batch)", "yyuuyuuuuuuuuuuyu"),
    (r"POST (send|batch)/.*", "yyuuuuuyyuuuuuuyu"),
    # Links are as good as rights: who may only read makes none and sees none.
    (r"\w+ projects/.*/share_links.*", "yyfffffyfffffffyf"),
    (r"\w+ sandboxes/.*/share_links.*", "yyfffffyyffffffyf"),
    (r"GET (projects|sandboxes)(/.*)?", "yyyyfffyyffffffyy"),
    (r"POST projects", "yyfffffffffffffyf"),
    (r"\w+ projects/.*", "yyfffffyfffffffyf"),
    (r"POST sandboxes/\{\w+\}/messages/assert", "yyyyfffyyffffffyy"),
    # Whoever may do more than look may mark, delete and forward; the rest is an admin's.
    (r"(PATCH|DELETE|POST) sandboxes/\{\w+\}/(clean|all_read|messages.*)", "yyyffffyyffffffyf"),
    (r"\w+ sandboxes/.*", "yyfffffyyffffffyf"),
)

OPERATIONS = [(method, row.path) for row in TABLE for method in row.ops]
BODIES = {"f": {"errors": "Access forbidden"}, "n": {"error": "Not Found"}}
#: Who is shown the same as whom, but for lists of tokens and accounts, trees of rights, and links that are new each time.
ALIKE = {"account admin": "owner", "organization admin": "owner", "organization viewer": "account viewer"}
VARIES = r"GET (accounts|account_accesses|organizations/.*|api_tokens.*|permissions/resources|contacts/exports/.*|email_logs/\{.*|sandboxes/.*/messages(/(\{\w+\}|wait|latest|search|events))?|.*/(attachments.*|checks))"
#: Contacts say it in their own way where they are deleted (test_endpoints_mailtrap_contacts.py).
NO_CONTACT = {"errors": "Contact(s) not found"}
NO_OPT_OUT = {"errors": {"base": ["Tracking opt-out not found"]}}


def expected(name: str, role: str) -> str:
    outcomes = next(outcomes for pattern, outcomes in MAY if re.fullmatch(pattern, name))
    return outcomes[list(ROLES).index(role)]


def outcome(answer: Answer) -> str:
    """In the letters of the table; "?" is none of them."""
    is_json = answer.headers.get("content-type", "").startswith("application/json")
    if answer.status == 200 and answer.body and is_json and "responses" in (body := answer.json):
        first = body["responses"][0]
        return "y" if first["success"] else "u" if first["errors"][0] == "Unauthorized" else "?"
    if 200 <= answer.status < 300:
        return "y"
    body = answer.json
    if answer.status == 401 and body.get("errors", [""])[0] == "Unauthorized":
        return "u"
    if answer.status == 404 and any(each.items() <= body.items() for each in (NO_CONTACT, NO_OPT_OUT)):
        return "n"
    if answer.status == 422 and body == {"errors": {"domain": ["must be a domain of this account"]}}:
        return "i"
    found = [letter for letter, each in BODIES.items() if each == body]
    return found[0] if found and answer.status == {"f": 403, "n": 404}[found[0]] else "?"


@pytest.fixture(params=OPERATIONS, ids=lambda each: f"{each[0]} {each[1]}")
async def stage(request: pytest.FixtureRequest, working: WorkingHouse) -> AsyncIterator[Stage]:
    yield await Stage(working.office, *request.param).open()


@SQLITE
async def test_who_may_what(stage: Stage) -> None:
    """In the own account, and what is answered about it says nothing of the other one."""
    name = f"{stage.method} {shared_name(stage.path)}"
    house, case = await stage.house()
    before = await stage.foreign_rows()
    wrong, told = [], {}
    for role in ROLES:
        right = expected(name, role)
        answer = await stage.ask(house, case.right[0], await stage.token(house, case, role))
        if outcome(answer) != right:
            wrong.append(f"{role}: {right} expected, answered {answer.status} {answer.body[:200]!r}")
        if found := leaks(answer, stage.foreign_ids):
            wrong.append(f"{role}: told {found}")
        told[role] = answer.body
        if stage.method == "GET" and not re.fullmatch(VARIES, name) and told[ALIKE.get(role, role)] != answer.body:
            wrong.append(f"{role}: told something else than {ALIKE[role]}")
        if outcome(answer) == "y" and stage.method != "GET":
            house, case = await stage.house()  # what was asked for has been done, and cannot be asked for again
    assert not wrong, "\n".join(wrong)
    assert await stage.foreign_rows() == before


@SQLITE
async def test_the_other_account_is_out_of_reach(stage: Stage) -> None:
    """Over its own path, and over the own account's path with the other one's ids; and all is without a living token."""
    name = f"{stage.method} {shared_name(stage.path)}"
    house, case = await stage.house()
    before = await stage.foreign_rows()
    mixed = Request((*stage.foreign.ids[:1], *case.right[0].ids[1:]), case.right[0].body, case.right[0].query)
    wrong = []
    for role in ROLES:
        token = await stage.token(house, case, role)
        if stage.legacy:
            answer = await stage.ask(house, stage.foreign, token, stage.foreign_house.account)
            if (answer.status, answer.json) != (403, {"errors": "Account access forbidden"}):
                wrong.append(f"{role} over its path: answered {answer.status} {answer.body[:200]!r}")
        if mixed.ids:
            answer = await stage.ask(house, mixed, token)
            right = _out_of_reach(name, expected(name, role))
            if outcome(answer) not in right:
                wrong.append(f"{role} by its id: {right} expected, answered {answer.status} {answer.body[:200]!r}")
            if found := leaks(answer, stage.foreign_ids):
                wrong.append(f"{role} by its id: told {found}")
    for token in ("", await expired(house), "0" * 32):
        for request, account in ((case.right[0], 0), (stage.foreign, stage.foreign_house.account)):
            answer = await stage.ask(house, request, token, account)
            if (answer.status, answer.json) != (401, _unauthorized(stage.path)):
                wrong.append(f"without a token: answered {answer.status} {answer.body[:200]!r}")
    assert not wrong, "\n".join(wrong)
    assert await stage.foreign_rows() == before


def _unauthorized(path: str) -> dict[str, object]:
    sends = re.match(r"/(bulk/)?api/(send|batch)\b", path)
    return {"success": False, "errors": ["Unauthorized"]} if sends else {"error": "Incorrect API token"}


def _out_of_reach(name: str, own: str) -> str:
    if re.fullmatch(r"(PATCH|PUT) contacts/\{contact_identifier(:path)?\}", name):
        return own  # whom nobody knows is made, under the address of the request
    if name.startswith(("GET organizations", "POST organizations")):
        return "f"
    if re.fullmatch(r"POST (send|batch)/.*", name):
        return "u"
    # Whoever may nothing at all hears that, or that there is nothing.
    return {"y": "n", "f": "fn"}.get(own, own)


def test_every_operation_is_expected_and_has_a_case() -> None:
    for method, path in OPERATIONS:
        name = f"{method} {shared_name(path)}"
        assert [each for each, _ in MAY if re.fullmatch(each, name)], name
        assert blank(name) in CASE_OF, name
    for pattern, outcomes in MAY:
        assert any(re.fullmatch(pattern, f"{method} {shared_name(path)}") for method, path in OPERATIONS), pattern
        assert len(outcomes) == len(ROLES)
