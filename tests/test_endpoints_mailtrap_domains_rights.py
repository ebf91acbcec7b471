"""Who may do what with sending domains over Mailtrap's API, and that whatever comes is answered in its shape."""

from itertools import product
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mailferry.resources import domains
from mailferry.resources.permissions import ADMIN, VIEWER, VIEWER_PLUS, Grant, Resource
from mailferry.store.database import Database
from tests.conftest import Clock
from tests.mailtrap_domains import COMPANY, FORBIDDEN, NOT_FOUND, furnished, noun, wrapped
from tests.mailtrap_house import MailtrapHouse

ALL = {"can_read": True, "can_update": True, "can_destroy": True}
READ = {"can_read": True, "can_update": False, "can_destroy": False}


@pytest.fixture
async def house(database: Database, clock: Clock) -> MailtrapHouse:
    return await furnished(database, clock)


# --- rights

#: Method, what follows the domain, body, status when it is allowed.
READING = [("GET", "", None, 200), ("HEAD", "", None, 200), ("GET", "/company_info", None, 200)]
CHANGING = [
    ("PATCH", "", {"domain": {}, "sending_domain": {}}, 200),
    ("PATCH", "/company_info", {"company_info": {"city": "Lviv"}}, 200),
    ("POST", "/company_info", {"company_info": COMPANY}, 200),
    ("POST", "/send_setup_instructions", {"email": "a@b.test"}, 422),
    ("DELETE", "", None, 204),
]
#: What a token may do with (its domain, another of the account): "-" nothing is seen, r read, w all.
ROLES: dict[str, tuple[str, list[tuple[Resource, str, int]]]] = {
    "account admin": ("ww", [(Resource.ACCOUNT, "account", ADMIN)]),
    "account viewer+": ("rr", [(Resource.ACCOUNT, "account", VIEWER_PLUS)]),
    "account viewer": ("rr", [(Resource.ACCOUNT, "account", VIEWER)]),
    "domain admin": ("w-", [(Resource.DOMAIN, "domain", ADMIN)]),
    "domain viewer": ("r-", [(Resource.DOMAIN, "domain", VIEWER)]),
    "admin here, viewer there": (
        "wr",
        [(Resource.DOMAIN, "domain", ADMIN), (Resource.DOMAIN, "other_domain", VIEWER)],
    ),
    "account viewer, domain admin": ("wr", [(Resource.ACCOUNT, "account", VIEWER), (Resource.DOMAIN, "domain", ADMIN)]),
}


async def with_role(house: MailtrapHouse, role: str) -> tuple[str, str]:
    """What the role may do, and a token of it."""
    sight, grants = ROLES[role]
    return sight, await house.token(*(Grant(kind, getattr(house, name), level) for kind, name, level in grants))


@pytest.mark.parametrize("role", ROLES)
async def test_who_may_do_what(house: MailtrapHouse, role: str) -> None:
    sight, secret = await with_role(house, role)
    for domain in (house.domain, house.other_domain):
        await house.ask("POST", f"sending_domains/{domain}/company_info", {"company_info": COMPANY})
    # Its own comes last: once that is deleted the token has no rights at all.
    places = [(10**9, "-"), (house.foreign_domain, "-"), (house.other_domain, sight[1]), (house.domain, sight[0])]
    for domain, may in places:
        for legacy, (method, rest, body, status) in product((True, False), READING + CHANGING):
            if (legacy, method) == (True, "DELETE"):
                continue  # the other family deletes it
            reading = (method, rest, body, status) in READING
            answer = await house.ask(method, f"{noun(legacy)}/{domain}{rest}", body, token=secret, legacy=legacy)
            if may == "w" or (may == "r" and reading):
                assert answer.status == status, (domain, method, rest)
            elif may == "-":
                # Who may change nothing at all hears that first, whatever is named.
                assert answer.status == (404 if "w" in sight or reading else 403)
            else:
                assert (answer.status, answer.json) == FORBIDDEN, (domain, method, rest)
    foreign = await house.database.read(lambda c: domains.by_id(c, house.foreign_domain))
    assert foreign is not None and foreign.open_tracking_enabled


async def test_who_sees_which_and_adds(house: MailtrapHouse) -> None:
    shown = {"r": READ, "w": ALL}
    for legacy, role in product((True, False), ROLES):
        sight, secret = await with_role(house, role)
        right = {name: shown[may] for name, may in zip(("a.test", "b.test"), sight, strict=True) if may in shown}
        listed = await house.ask("GET", noun(legacy), token=secret, legacy=legacy)
        assert {each["domain_name"]: each["permissions"] for each in listed.json["data"]} == right
    for legacy, role in product((True, False), ROLES):
        _, secret = await with_role(house, role)
        wanted = wrapped(legacy, domain_name=f"{noun(legacy).replace('_', '-')}.test")
        added = await house.ask("POST", noun(legacy), wanted, token=secret, legacy=legacy)
        if role == "account admin":
            assert added.status == 200
        else:
            assert (added.status, added.json) == FORBIDDEN


async def test_an_admin_of_the_organization_keeps_the_domains_of_its_accounts(house: MailtrapHouse) -> None:
    organization = await house.organize()
    secret = await house.token(Grant(Resource.ORGANIZATION, organization, ADMIN))
    path = f"/api/organizations/{organization}/sub_accounts"
    made = await house.post_json("POST", path, {"account": {"name": "Below"}}, {"Api-Token": secret})
    below = made.json["id"]
    added = await house.ask("POST", "sending_domains", wrapped(True, domain_name="a.test"), token=secret, account=below)
    assert added.status == 200 and added.json["permissions"] == ALL
    listed = await house.ask("GET", "sending_domains", token=secret, account=below)
    assert [each["id"] for each in listed.json["data"]] == [added.json["id"]]
    # It is that account's, and only found there.
    at = f"sending_domains/{added.json['id']}"
    assert (await house.ask("GET", at, token=secret)).status == 404
    assert (await house.ask("DELETE", at, token=secret, account=below)).status == 204
    assert (await house.ask("GET", "sending_domains", token=secret, account=house.foreign)).status == 403


async def test_a_token_without_any_domain_hears_that_it_is_forbidden(house: MailtrapHouse) -> None:
    secret = await house.token(Grant(Resource.PROJECT, house.project, ADMIN))
    for legacy, rest in product((True, False), ("", f"/{house.domain}", f"/{house.domain}/company_info")):
        answer = await house.ask("GET", noun(legacy) + rest, token=secret, legacy=legacy)
        assert (answer.status, answer.json) == FORBIDDEN


async def test_a_number_that_is_none_is_not_found(house: MailtrapHouse) -> None:
    for number in ("0", "-1", "1.0", "x", "%00", "9" * 19, "9" * 400, "1e3", "%d9%a1"):
        for legacy, (method, rest, body, _) in product((True, False), READING[::2] + CHANGING):
            answer = await house.ask(method, f"{noun(legacy)}/{number}{rest}", body, legacy=legacy)
            assert (answer.status, answer.json) == NOT_FOUND, number


# --- bad input

SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
JSON = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3), max_leaves=6
)
NAME = JSON | st.sampled_from(["a.test", "A.TEST", "xn--a.test", "ü.test", "\u202e.test", "a.test\n", "İ.test", "ß"])
URL = st.sampled_from(["http://x", "https://[::1]:99999/", "http://\u2100.test", "//x", "http://x\0", "HTTPS://X"])
MEMBERS = st.fixed_dictionaries(
    {},
    optional={
        "domain_name": NAME,
        "email": JSON | st.sampled_from(["a@b.test", "ü@ü.test", "a@b", '"a b"@c.test']),
        **{name: JSON | st.sampled_from(["true", "false"]) for name in domains.SETTINGS},
        **dict.fromkeys(COMPANY, JSON),
        "phone": JSON,
        "website_url": JSON | URL,
        "info_level": JSON | st.just("individual"),
    },
)
BODY = st.tuples(MEMBERS | JSON, st.sampled_from(["domain", "sending_domain", "company_info", ""])).map(
    lambda pair: {pair[1]: pair[0]} if pair[1] else pair[0]
)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(body=BODY, legacy=st.booleans())
async def test_whatever_comes_is_answered_in_shape(house: MailtrapHouse, body: Any, legacy: bool) -> None:
    at = f"{noun(legacy)}/{house.domain}"
    for method, path in (
        ("POST", noun(legacy)),
        ("PATCH", at),
        ("POST", f"{at}/send_setup_instructions"),
        ("POST", f"{at}/company_info"),
        ("PATCH", f"{at}/company_info"),
    ):
        answer = await house.ask(method, path, body, legacy=legacy)
        assert answer.status in (200, 400, 404, 422), answer.body
        if answer.status == 422:
            assert list(answer.json) == ["errors"] and answer.json["errors"]
            assert all(
                texts and all(isinstance(text, str) for text in texts) for texts in answer.json["errors"].values()
            )
    shown = await house.ask("GET", noun(legacy), legacy=legacy)
    assert shown.status == 200
