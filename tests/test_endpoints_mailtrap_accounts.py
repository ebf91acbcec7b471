"""Accounts, accesses, permissions, tokens, sub-accounts and usage over Mailtrap's API, on both databases."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from mailferry.resources.permissions import ADMIN, OWNER, VIEWER, Grant, Resource
from mailferry.resources.tokens import OVERLAP_MS
from mailferry.store.database import Database
from tests.conftest import Clock
from tests.mailtrap_house import MailtrapHouse, levels

FAMILIES = pytest.mark.parametrize("legacy", [True, False], ids=["legacy", "current"])


@pytest.fixture
async def house(database: Database, clock: Clock) -> AsyncIterator[MailtrapHouse]:
    yield await MailtrapHouse(database, clock).furnish()


# --- tokens


@FAMILIES
async def test_a_token_is_made_used_listed_and_deleted(house: MailtrapHouse, legacy: bool) -> None:
    kind = "sending_domain" if legacy else "domain"
    wanted = [{"resource_type": kind, "resource_id": house.domain, "access_level": "admin"}]
    made = await house.ask("POST", "api_tokens", {"name": "CI", "resources": wanted}, legacy=legacy)
    assert made.status == 200
    assert made.json["resources"] == [{**wanted[0], "access_level": 100}]
    assert made.json["last_4_digits"] == made.json["token"][-4:] and len(made.json["token"]) == 32
    assert (made.json["name"], made.json["created_by"], made.json["expires_at"]) == ("CI", "Admin", None)

    secret, identity = made.json["token"], made.json["id"]
    listed = await house.ask("GET", "api_tokens", legacy=legacy)
    assert [token["name"] for token in listed.json] == ["Admin", "CI"]
    assert all("token" not in token for token in listed.json)
    assert [token["id"] for token in (await house.ask("GET", "api_tokens", token=secret, legacy=legacy)).json] == [
        identity
    ]

    gone = await house.ask("DELETE", f"api_tokens/{identity}", legacy=legacy)
    assert (gone.status, gone.body) == (204, b"")
    refused = await house.ask("GET", "api_tokens", token=secret, legacy=legacy)
    assert (refused.status, refused.json) == (401, {"error": "Incorrect API token"})


async def test_a_token_ends_when_it_was_told_to(house: MailtrapHouse, clock: Clock) -> None:
    wanted = {"name": "CI", "resources": [account_admin(house)]}
    end = "2027-06-01T00:00:00+02:00"
    made = (await house.ask("POST", "api_tokens", wanted | {"expires_at": end})).json
    assert made["expires_at"] == "2027-05-31T22:00:00.000Z"
    # A new one keeps the old one's end, or is given another, or none.
    kept = (await house.ask("POST", f"api_tokens/{made['id']}/reset")).json
    assert kept["expires_at"] == made["expires_at"]
    free = (await house.ask("POST", f"api_tokens/{kept['id']}/reset", {"expires_at": None})).json
    assert free["expires_at"] is None
    last = (await house.ask("POST", f"api_tokens/{free['id']}/reset", {"expires_at": end})).json
    assert last["expires_at"] == made["expires_at"]

    clock.now = 1_811_800_800_000 - 1  # that very moment, nearly
    assert (await house.ask("GET", "accounts", legacy=False, token=last["token"])).status == 200
    clock.now += 1
    assert (await house.ask("GET", "accounts", legacy=False, token=last["token"])).status == 401


@pytest.mark.parametrize("end", ["2027-01-15T07:59:59Z", "2033-01-01T00:00:00Z", "soon", "", 7, []])
async def test_ends_that_no_token_can_have(house: MailtrapHouse, end: Any) -> None:
    """It is 2027-01-15 08:00 here."""
    wanted = {"name": "CI", "resources": [account_admin(house)], "expires_at": end}
    answer = await house.ask("POST", "api_tokens", wanted)
    assert answer.status == 422 and list(answer.json["errors"]) == ["expires_at"]
    (admin,) = (await house.ask("GET", "api_tokens")).json
    answer = await house.ask("POST", f"api_tokens/{admin['id']}/reset", {"expires_at": end})
    assert answer.status == 422 and list(answer.json["errors"]) == ["expires_at"]


async def test_a_reset_token_has_a_new_id_and_name_and_the_old_one_twelve_hours(
    house: MailtrapHouse, clock: Clock
) -> None:
    made = (await house.ask("POST", "api_tokens", {"name": "CI", "resources": [account_admin(house)]})).json
    again = await house.ask("POST", f"api_tokens/{made['id']}/reset")
    assert again.status == 200
    assert again.json["id"] != made["id"] and again.json["name"] == f"CI {again.json['id']}"
    assert again.json["resources"] == made["resources"] and again.json["expires_at"] is None

    twice = await house.ask("POST", f"api_tokens/{made['id']}/reset")
    assert twice.status == 422 and list(twice.json["errors"]) == ["base"]
    clock.now += OVERLAP_MS - 1
    assert (await house.ask("GET", "api_tokens", token=made["token"])).status == 200
    clock.now += 1
    assert (await house.ask("GET", "api_tokens", token=made["token"])).status == 401
    assert (await house.ask("GET", f"api_tokens/{made['id']}")).status == 404
    assert (await house.ask("GET", "api_tokens", token=again.json["token"])).status == 200


@pytest.mark.parametrize(
    ("body", "errors"),
    [
        ({}, {"name": ["can't be blank"]}),
        ({"name": "CI"}, {"base": ["No permissions selected. Please choose at least one."]}),
        ({"name": "CI", "resources": []}, {"base": ["No permissions selected. Please choose at least one."]}),
        ({"name": 5, "resources": "x"}, {"name": ["must be a string"], "resources": ["must be an array of objects"]}),
        ({"name": "x" * 256, "resources": []}, {"name": ["is too long (maximum is 255 characters)"]}),
    ],
)
async def test_what_is_wrong_with_a_new_token(house: MailtrapHouse, body: Any, errors: Any) -> None:
    answer = await house.ask("POST", "api_tokens", body)
    assert (answer.status, answer.json) == (422, {"errors": errors})


@pytest.mark.parametrize("level", [1000, 7, "king", None, True, -10, 10**30])
async def test_levels_that_cannot_be_given_away(house: MailtrapHouse, level: Any) -> None:
    resources = [{"resource_type": "account", "resource_id": house.account, "access_level": level}]
    answer = await house.ask("POST", "api_tokens", {"name": "CI", "resources": resources})
    assert answer.status == 422 and "access_level" in str(answer.json["errors"]["resources"])


async def test_a_token_is_not_made_for_what_is_not_ours(house: MailtrapHouse) -> None:
    for kind, identity in (("account", house.foreign), ("domain", house.foreign_domain), ("organization", 1)):
        resources = [{"resource_type": kind, "resource_id": identity, "access_level": 100}]
        answer = await house.ask("POST", "api_tokens", {"name": "CI", "resources": resources})
        assert answer.status == 422, kind


# --- accesses


@FAMILIES
async def test_everybody_with_access_is_listed(house: MailtrapHouse, legacy: bool) -> None:
    listed = (await house.ask("GET", "account_accesses", legacy=legacy)).json
    owner, admin = listed
    assert (owner["specifier_type"], admin["specifier_type"]) == ("User", "ApiToken")
    assert owner["specifier"]["email"] == "owner@shop.test" and owner["specifier"]["name"] == "Olga"
    assert levels(owner["resources"]) == {("account", house.account): OWNER}
    assert owner["permissions"]["can_destroy"] is False and admin["permissions"]["can_leave"] is True
    assert house.admin not in str(listed)


@pytest.mark.parametrize("form", ["domain_ids={}", "domain_ids[]={}", "domain_ids%5B%5D={}", "domain_ids[0]={}"])
async def test_accesses_are_filtered_by_resource(house: MailtrapHouse, form: str) -> None:
    await house.token(Grant(Resource.DOMAIN, house.domain, ADMIN), name="Of A")
    found = (await house.ask("GET", f"account_accesses?{form.format(house.domain)}")).json
    assert [access["specifier"]["name"] for access in found] == ["Of A"]
    assert (await house.ask("GET", f"account_accesses?{form.format('x')}")).json == []


@FAMILIES
async def test_permissions_are_changed_in_bulk(house: MailtrapHouse, legacy: bool) -> None:
    secret = await house.token(Grant(Resource.DOMAIN, house.domain, ADMIN), name="Of A")
    (access,) = (await house.ask("GET", f"account_accesses?domain_ids={house.domain}", legacy=legacy)).json
    kind, inbox = ("sending_domain", "inbox") if legacy else ("domain", "sandbox")
    changes = [
        {"resource_id": str(house.domain), "resource_type": kind, "_destroy": True},
        {"resource_id": str(house.other_domain), "resource_type": kind, "access_level": "viewer"},
        {"resource_id": house.inbox, "resource_type": inbox, "access_level": 100},
    ]
    path = f"account_accesses/{access['id']}/permissions/bulk"
    answer = await house.ask("PUT", path, {"permissions": changes}, legacy=legacy)
    assert (answer.status, answer.json) == (200, {"message": "Permissions have been updated!"})
    (changed,) = (await house.ask("GET", f"account_accesses?domain_ids={house.other_domain}", legacy=legacy)).json
    assert levels(changed["resources"]) == {(kind, house.other_domain): VIEWER, (inbox, house.inbox): ADMIN}
    tree = (await house.ask("GET", "permissions/resources", token=secret, legacy=legacy)).json
    assert [(node["type"], node["access_level"], len(node["resources"])) for node in tree] == [("project", 1, 1)]
    assert tree[0]["resources"][0]["type"] == inbox


async def test_a_change_that_is_wrong_changes_nothing(house: MailtrapHouse) -> None:
    await house.token(Grant(Resource.DOMAIN, house.domain, ADMIN), name="Of A")
    (access,) = (await house.ask("GET", f"account_accesses?domain_ids={house.domain}")).json
    path = f"account_accesses/{access['id']}/permissions/bulk"
    good = {"resource_id": house.other_domain, "resource_type": "domain", "access_level": 100}
    for bad in (
        {"resource_id": house.foreign_domain, "resource_type": "domain", "access_level": 100},
        {"resource_id": 5, "resource_type": "planet", "access_level": 100},
        {"resource_type": "domain", "access_level": 100},
        {"resource_id": house.domain, "resource_type": "domain", "access_level": "boss"},
    ):
        assert (await house.ask("PUT", path, {"permissions": [good, bad]})).status == 422
    assert (await house.ask("PUT", path, {})).status == 422
    (same,) = (await house.ask("GET", f"account_accesses?domain_ids={house.domain}")).json
    assert levels(same["resources"]) == {("sending_domain", house.domain): ADMIN}


async def test_an_access_is_removed_and_the_owner_s_is_not(house: MailtrapHouse) -> None:
    secret = await house.token(Grant(Resource.ACCOUNT, house.account, ADMIN), name="Second")
    owner, _, second = (await house.ask("GET", "account_accesses")).json
    removed = await house.ask("DELETE", f"account_accesses/{second['id']}")
    assert (removed.status, removed.json) == (200, {"id": second["id"]})
    assert (await house.ask("GET", "api_tokens", token=secret)).status == 401
    assert (await house.ask("DELETE", f"account_accesses/{second['id']}")).status == 404
    refused = await house.ask("DELETE", f"account_accesses/{owner['id']}")
    assert (refused.status, refused.json) == (403, {"errors": "Access forbidden"})


async def test_an_admin_sees_the_whole_tree(house: MailtrapHouse) -> None:
    ((root),) = (await house.ask("GET", "permissions/resources")).json
    assert (root["type"], root["id"], root["access_level"]) == ("account", house.account, ADMIN)
    assert [node["type"] for node in root["resources"]] == [
        "billing",
        "email_template_permission_scope",
        "email_campaign_permission_scope",
        "project",
        "sending_domain",
        "sending_domain",
    ]


# --- who may


@FAMILIES
async def test_another_account_is_forbidden(house: MailtrapHouse, legacy: bool) -> None:
    stranger = await house.token(Grant(Resource.ACCOUNT, house.foreign, ADMIN), account=house.foreign)
    if legacy:
        answer = await house.ask("GET", "api_tokens", token=stranger)
        assert (answer.status, answer.json) == (403, {"errors": "Account access forbidden"})
        assert (await house.ask("GET", "api_tokens", account=999_999)).status == 403
    else:
        assert len((await house.ask("GET", "api_tokens", token=stranger, legacy=False)).json) == 1


async def test_a_viewer_looks_and_changes_nothing(house: MailtrapHouse) -> None:
    viewer = await house.viewer()
    for method, path in (
        ("GET", "account_accesses"),
        ("POST", "api_tokens"),
        ("DELETE", "api_tokens/1"),
        ("POST", "api_tokens/1/reset"),
        ("DELETE", "account_accesses/1"),
        ("PUT", "account_accesses/1/permissions/bulk"),
    ):
        answer = await house.ask(method, path, {} if method in ("POST", "PUT") else None, token=viewer)
        assert (answer.status, answer.json) == (403, {"errors": "Access forbidden"}), path
    assert (await house.ask("GET", "billing/usage", token=viewer)).status == 200
    assert (await house.ask("GET", "permissions/resources", token=viewer)).json == []


async def test_ids_that_are_none_are_not_found(house: MailtrapHouse) -> None:
    for identity in ("0", "x", "-1", "1e3", "9" * 30, "1%00"):
        for path in (f"api_tokens/{identity}", f"account_accesses/{identity}"):
            answer = await house.ask("DELETE", path)
            assert (answer.status, answer.json) == (404, {"error": "Not Found"}), path


# --- organizations, accounts, usage


async def test_an_organization_s_token_reaches_its_accounts(house: MailtrapHouse) -> None:
    organization = await house.organize()
    secret = await house.token(Grant(Resource.ORGANIZATION, organization, ADMIN))
    path = f"organizations/{organization}/sub_accounts"
    made = await house.ask("POST", path, {"account": {"name": "Team"}}, token=secret, legacy=False)
    assert made.status == 200 and made.json == {"id": made.json["id"], "name": "Team"}
    listed = await house.ask("GET", path, token=secret, legacy=False)
    assert listed.json == [{"id": house.account, "name": "Shop"}, made.json]
    seen = (await house.ask("GET", "accounts", token=secret, legacy=False)).json
    assert seen == [{**account, "access_levels": [ADMIN]} for account in listed.json]
    inside = await house.ask("GET", "api_tokens", token=secret, account=made.json["id"])
    assert (inside.status, inside.json) == (200, [])
    assert (await house.ask("GET", "api_tokens", token=secret, account=house.foreign)).status == 403

    for token, identity in ((house.admin, organization), (secret, organization + 1)):
        answer = await house.ask("GET", f"organizations/{identity}/sub_accounts", token=token, legacy=False)
        assert (answer.status, answer.json) == (403, {"errors": "Access forbidden"})


@pytest.mark.parametrize("kind", [Resource.ACCOUNT, Resource.ORGANIZATION])
async def test_an_admin_makes_no_secret_of_a_token_that_may_more(house: MailtrapHouse, kind: Resource) -> None:
    organization = await house.organize()
    grant = Grant(kind, house.account, OWNER) if kind is Resource.ACCOUNT else Grant(kind, organization, ADMIN)
    secret = await house.token(grant, name="Group")
    (token_id,) = [each["id"] for each in (await house.ask("GET", "api_tokens")).json if each["name"] == "Group"]
    for method, path in (("POST", f"api_tokens/{token_id}/reset"), ("DELETE", f"api_tokens/{token_id}")):
        refused = await house.ask(method, path)
        assert (refused.status, refused.json) == (403, {"errors": "Access forbidden"}), path
    renewed = await house.ask("POST", f"api_tokens/{token_id}/reset", token=secret)
    assert renewed.status == 200
    gone = await house.ask("DELETE", f"api_tokens/{renewed.json['id']}", token=renewed.json["token"])
    assert gone.status == 204


async def test_a_sub_account_needs_a_name(house: MailtrapHouse) -> None:
    organization = await house.organize()
    secret = await house.token(Grant(Resource.ORGANIZATION, organization, ADMIN))
    path = f"organizations/{organization}/sub_accounts"
    bare = await house.ask("POST", path, {}, token=secret, legacy=False)
    assert (bare.status, bare.body) == (400, b"")
    blank = await house.ask("POST", path, {"account": {"name": ""}}, token=secret, legacy=False)
    assert (blank.status, blank.json) == (422, {"errors": {"name": ["can't be blank"]}})


async def test_the_accounts_of_a_token(house: MailtrapHouse) -> None:
    assert (await house.ask("GET", "accounts", legacy=False)).json == [
        {"id": house.account, "name": "Shop", "access_levels": [ADMIN]}
    ]
    confined = await house.token(Grant(Resource.DOMAIN, house.domain, ADMIN))
    assert (await house.ask("GET", "accounts", token=confined, legacy=False)).json[0]["access_levels"] == [1]


@FAMILIES
async def test_usage_is_of_this_month(house: MailtrapHouse, legacy: bool) -> None:
    usage = (await house.ask("GET", "billing/usage", legacy=legacy)).json
    assert usage["billing"] == {"cycle_start": "2027-01-01T00:00:00.000Z", "cycle_end": "2027-02-01T00:00:00.000Z"}
    assert usage["sending"]["usage"]["sent_messages_count"]["current"] == 0


# --- rates, browsers


async def test_too_many_requests_are_told_when_to_come_back(database: Database, clock: Clock) -> None:
    from mailferry.endpoints.mailtrap.rates import Rates

    house = await MailtrapHouse(database, clock, rates=Rates(clock)).furnish()
    first = await house.ask("GET", "api_tokens")
    assert (first.headers["x-ratelimit-limit"], first.headers["x-ratelimit-remaining"]) == ("150", "149")
    for _ in range(149):
        last = await house.ask("GET", "billing/usage")
    assert last.headers["x-ratelimit-remaining"] == "0"
    refused = await house.ask("GET", "api_tokens")
    assert (refused.status, refused.json) == (429, {"error": "Throttled"})
    assert refused.headers["x-ratelimit-reset"] == refused.headers["retry-after"] == "10"
    clock.forward(seconds=10)
    assert (await house.ask("GET", "api_tokens")).status == 200


async def test_whatever_is_asked_counts_also_what_is_refused(database: Database, clock: Clock) -> None:
    from mailferry.endpoints.mailtrap.rates import Rates

    house = await MailtrapHouse(database, clock, rates=Rates(clock)).furnish()
    asked = [
        await house.ask("GET", "email_campaigns"),
        await house.ask("GET", "email_logs", account=house.foreign),
        await house.ask("PUT", "api_tokens"),
        await house.ask("GET", "permissions/resources", token=await house.token(name="Poor")),
    ]
    assert [each.status for each in asked] == [404, 403, 405, 200]
    assert [each.headers["x-ratelimit-remaining"] for each in asked] == ["149", "148", "147", "149"]
    for _ in range(147):
        await house.ask("GET", "email_campaigns")
    refused = await house.ask("GET", "email_logs", account=house.foreign)
    assert (refused.status, refused.json) == (429, {"error": "Throttled"})


async def test_what_has_not_changed_is_not_sent_again(house: MailtrapHouse) -> None:
    """Each answer has a tag, as Mailtrap's have."""
    target, token = f"/api/accounts/{house.account}/sending_domains", {"Api-Token": house.admin}
    first = await house.call("GET", target, headers=token)
    tag = first.headers["etag"]
    assert tag.startswith('W/"') and "private" in first.headers["cache-control"]
    head = await house.call("HEAD", target, headers=token)
    assert head.headers["etag"] == tag
    for condition in (tag, tag.removeprefix("W/"), f'"a,b", {tag}', "*"):
        again = await house.call("GET", target, headers=token | {"If-None-Match": condition})
        assert (again.status, again.body, again.headers["etag"]) == (304, b"", tag), condition
    other = {"If-None-Match": '"a", W/"b"'}
    assert (await house.call("GET", target, headers=token | other)).body == first.body
    await house.ask("PATCH", f"sending_domains/{house.domain}", {"sending_domain": {"open_tracking_enabled": False}})
    changed = await house.call("GET", target, headers=token | {"If-None-Match": tag})
    assert changed.status == 200 and changed.headers["etag"] != tag
    refused = await house.call("GET", target, headers={"If-None-Match": "*"})
    assert refused.status == 401 and "etag" not in refused.headers


async def test_a_preflight_needs_no_token_and_names_what_the_sdks_send(house: MailtrapHouse) -> None:
    asked = {"Origin": "https://app.test", "Access-Control-Request-Method": "GET"}
    for target in ("/api/accounts", "/api/email_campaigns", "/api/send", "/api/batch/7"):
        preflight = await house.call("OPTIONS", target, headers=asked)
        assert preflight.status == 204, target
        allowed = preflight.headers["access-control-allow-headers"].lower().split(", ")
        assert {"authorization", "api-token", "content-type", "user-agent", "x-requested-with"} <= set(allowed)
    assert (await house.call("OPTIONS", "/api/email_campaigns", headers={"Origin": "https://app.test"})).status == 401


async def test_a_page_in_a_browser_may_call(house: MailtrapHouse) -> None:
    target = f"/api/accounts/{house.account}/api_tokens"
    asked = {"Origin": "https://app.test", "Access-Control-Request-Method": "POST"}
    preflight = await house.call("OPTIONS", target, headers=asked)
    assert preflight.status == 204 and preflight.headers["access-control-allow-origin"] == "*"
    assert preflight.headers["access-control-allow-methods"] == "GET, HEAD, OPTIONS, POST"
    assert "Authorization" in preflight.headers["access-control-allow-headers"]
    answer = await house.call("GET", target, headers={"Origin": "https://app.test", "Api-Token": house.admin})
    assert answer.headers["access-control-allow-origin"] == "*"
    assert "access-control-allow-credentials" not in answer.headers


def account_admin(house: MailtrapHouse) -> dict[str, Any]:
    return {"resource_type": "account", "resource_id": house.account, "access_level": 100}
