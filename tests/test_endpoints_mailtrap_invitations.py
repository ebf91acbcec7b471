"""Invitations over the API, on both databases: made, sent, listed, sent again, deleted; and whose access is removed."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from sqlalchemy import Connection, select

from mailferry.endpoints.invitation_mail import FAILED
from mailferry.endpoints.mailtrap.account_accesses import LAST_OWNER
from mailferry.resources import access_keys, accesses, invitations, users
from mailferry.resources.accesses import Specifier
from mailferry.resources.invitations import LIFE_MS, MOST
from mailferry.resources.permissions import ADMIN, OWNER, VIEWER, VIEWER_PLUS, Grant, Resource
from mailferry.resources.system_mail import Mail
from mailferry.store import schema
from mailferry.store.database import Database
from tests.beside import Beside
from tests.conftest import Clock
from tests.mailtrap_house import SEALER, MailtrapHouse, levels

FAMILIES = pytest.mark.parametrize("legacy", [True, False], ids=["legacy", "current"])
ANN = "ann@dest.test"


class Post:
    """What would be sent, and what is said of it."""

    def __init__(self) -> None:
        self.sent: list[Mail] = []
        self.refusal = ""
        self.fault: Exception | None = None

    async def send(self, mail: Mail) -> str:
        if self.fault:
            raise self.fault
        self.sent.append(mail)
        return self.refusal

    @property
    def secret(self) -> str:
        """Of the newest link."""
        (line,) = [line for line in self.sent[-1].text.splitlines() if "/invitations/" in line]
        return line.rpartition("/")[2]


@pytest.fixture
def post() -> Post:
    return Post()


@pytest.fixture
async def house(database: Database, clock: Clock, post: Post) -> AsyncIterator[MailtrapHouse]:
    changes = {"send_mail": post.send, "public_url": "https://mail.shop.test/"}
    yield await MailtrapHouse(database, clock, **changes).furnish()


def body(house: MailtrapHouse, email: Any = ANN, level: Any = "viewer", **resource: Any) -> dict[str, Any]:
    given = {"resource_type": "account", "resource_id": house.account, "access_level": level} | resource
    return {"email": email, "permissions": [given]}


async def accept(house: MailtrapHouse, secret: str) -> int:
    accepted = await house.database.write(lambda c: invitations.accept(c, secret, "Ann", "hash", house.clock()))
    assert accepted
    return accepted.access_id


@FAMILIES
async def test_an_address_is_invited_shown_and_deleted(house: MailtrapHouse, post: Post, legacy: bool) -> None:
    kind = "sending_domain" if legacy else "domain"
    wanted = body(house, "Ann@Dest.test", "admin", resource_type=kind, resource_id=str(house.domain))
    made = await house.ask("POST", "invitations", wanted, legacy=legacy)
    assert made.status == 200, made.json
    assert (made.json["email"], made.json["created_by"], made.json["expired"]) == (ANN, "Admin", False)
    assert (made.json["created_at"], made.json["expires_at"]) == (
        "2027-01-15T08:00:00.000Z",
        "2027-01-22T08:00:00.000Z",
    )
    assert levels(made.json["resources"]) == {(kind, house.domain): ADMIN}
    assert (made.json["email_sent"], made.json["email_error"]) == (True, None)

    (mail,) = post.sent
    assert (mail.account_id, mail.recipient, mail.subject) == (house.account, ANN, "Invitation to Shop")
    assert f"https://mail.shop.test/invitations/{post.secret}\n" in mail.text
    assert post.secret not in made.body.decode(), "whoever invites could accept in the place of the address"

    (listed,) = (await house.ask("GET", "invitations", legacy=legacy)).json
    assert listed == {name: value for name, value in made.json.items() if not name.startswith("email_")}
    (access,) = [
        each
        for each in (await house.ask("GET", "account_accesses", legacy=legacy)).json
        if each["specifier_type"] == "Invite"
    ]
    assert access["id"] == listed["account_access_id"] and access["resources"] == listed["resources"]
    assert access["specifier"] == {
        "id": listed["id"],
        "email": ANN,
        "name": "",
        "two_factor_authentication_enabled": False,
    }

    gone = await house.ask("DELETE", f"invitations/{listed['id']}", legacy=legacy)
    assert (gone.status, gone.body) == (204, b"")
    assert (await house.ask("GET", "invitations", legacy=legacy)).json == []
    for method, path in (("DELETE", ""), ("POST", "/resend")):
        answer = await house.ask(method, f"invitations/{listed['id']}{path}", legacy=legacy)
        assert (answer.status, answer.json) == (404, {"error": "Not Found"})
    events = await house.database.read(
        lambda c: list(c.execute(select(schema.audit_log.c.event, schema.audit_log.c.resource_name)))
    )
    assert [tuple(row) for row in events] == [("invitation.created", ANN), ("invitation.deleted", ANN)]


async def test_an_invitation_that_is_sent_again_has_another_link(
    house: MailtrapHouse, post: Post, clock: Clock
) -> None:
    made = (await house.ask("POST", "invitations", body(house))).json
    first = post.secret
    clock.now += LIFE_MS
    (listed,) = (await house.ask("GET", "invitations")).json
    assert listed["expired"] is True
    again = await house.ask("POST", f"invitations/{made['id']}/resend")
    assert again.status == 200 and again.json["expired"] is False and again.json["email_sent"] is True
    assert post.secret != first and post.sent[0].key != post.sent[1].key
    assert await house.database.write(lambda c: invitations.accept(c, first, "Ann", "hash", clock())) is None
    assert await accept(house, post.secret) == made["account_access_id"]


async def test_the_access_of_an_invitation_is_changed_and_removed_like_any_other(
    house: MailtrapHouse, post: Post
) -> None:
    made = (await house.ask("POST", "invitations", body(house))).json
    at = f"account_accesses/{made['account_access_id']}"
    assert (await house.ask("PUT", f"{at}/permissions/bulk", body(house, level=50))).status == 200
    (listed,) = (await house.ask("GET", "invitations")).json
    assert levels(listed["resources"]) == {("account", house.account): VIEWER_PLUS}
    assert (await house.ask("DELETE", at)).status == 200
    assert (await house.ask("GET", "invitations")).json == []
    assert await house.database.read(lambda c: invitations.offer(c, post.secret, house.clock())) is None


@pytest.mark.parametrize("fault", [None, RuntimeError("the disk is full")])
async def test_an_invitation_that_cannot_be_mailed_stands(
    house: MailtrapHouse, post: Post, fault: Exception | None
) -> None:
    post.refusal, post.fault = "no domain", fault
    made = await house.ask("POST", "invitations", body(house))
    assert made.status == 200
    assert (made.json["email_sent"], made.json["email_error"]) == (False, FAILED if fault else "no domain")
    assert len((await house.ask("GET", "invitations")).json) == 1


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"email": "ann@dest.test\r\nBcc: all@dest.test"}, "email"),
        ({"email": "Ann <ann@dest.test>"}, "email"),
        ({"email": "ann@dest.test, bob@dest.test"}, "email"),
        ({"email": ["ann@dest.test"]}, "email"),
        ({"email": ""}, "email"),
        ({"email": "a" * 300 + "@dest.test"}, "email"),
        ({"permissions": []}, "permissions"),
        ({"permissions": "all"}, "permissions"),
        ({"permissions": [{"resource_type": "account", "resource_id": 999, "access_level": 10}]}, "permissions"),
        ({"permissions": [{"resource_type": "organization", "resource_id": 1, "access_level": 10}]}, "permissions"),
        ({"permissions": [{"resource_type": "account", "resource_id": 1, "access_level": "owner"}]}, "permissions"),
    ],
)
async def test_what_is_no_invitation(house: MailtrapHouse, post: Post, changes: dict[str, Any], named: str) -> None:
    answer = await house.ask("POST", "invitations", body(house) | changes)
    assert answer.status == 422 and list(answer.json["errors"]) == [named], answer.json
    assert post.sent == [] and (await house.ask("GET", "invitations")).json == []


async def test_who_is_a_member_or_invited_is_not_invited_again(house: MailtrapHouse) -> None:
    await house.ask("POST", "invitations", body(house))
    for email, said in ((ANN, "has been invited already"), (house.owner.upper(), "has access to this account already")):
        answer = await house.ask("POST", "invitations", body(house, email))
        assert answer.status == 422 and answer.json["errors"]["email"][0].startswith(said)


async def test_the_ten_thousandth_is_told_of_the_limit(house: MailtrapHouse, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(invitations, "MOST", 2)
    for name in ("ann", "bob"):
        assert (await house.ask("POST", "invitations", body(house, f"{name}@dest.test"))).status == 200
    answer = await house.ask("POST", "invitations", body(house, "max@dest.test"))
    said = f"You've reached the maximum number of invitations ({MOST}): delete those that nobody accepts"
    assert (answer.status, answer.json) == (422, {"errors": {"base": [said]}})


async def test_names_break_no_line_of_the_mail(database: Database, clock: Clock, post: Post) -> None:
    """The names of an account and a token are whatever was stored, by an operator's hand or by an older version."""
    house = await MailtrapHouse(database, clock, send_mail=post.send).furnish()
    name = "Evil\r\nBcc: all@dest.test\r\n\r\nhttps://evil.test"
    token = await house.token(Grant(Resource.ACCOUNT, house.account, ADMIN), name=name)
    await database.write(lambda c: c.exec_driver_sql("UPDATE accounts SET name = 'Shop\r\nBcc: all@dest.test'"))
    assert (await house.ask("POST", "invitations", body(house), token=token)).status == 200
    (mail,) = post.sent
    assert mail.subject == "Invitation to Shop Bcc: all@dest.test"
    assert mail.text.startswith("You are invited by Evil Bcc: all@dest.test https://evil.test to the account Shop Bcc:")


@pytest.mark.parametrize("level", [VIEWER, VIEWER_PLUS, ADMIN])
async def test_who_was_invited_may_what_a_token_of_the_same_access_may(
    house: MailtrapHouse, post: Post, level: int
) -> None:
    """There is no page yet to do it on, so a token stands for the person: with exactly the grants of their access."""
    await house.ask("POST", "invitations", body(house, level=level))
    access_id = await accept(house, post.secret)
    found = (await house.ask("GET", "account_accesses")).json
    (mine,) = [each for each in found if each["id"] == access_id]
    assert (mine["specifier_type"], mine["specifier"]["email"], mine["specifier"]["name"]) == ("User", ANN, "Ann")
    made = await house.ask("POST", "api_tokens", {"name": "Ann's", "resources": mine["resources"]})
    token = made.json["token"]
    assert (await house.ask("GET", "webhooks", token=token)).status == 200
    changed = await house.ask("GET", "invitations", token=token)
    assert changed.status == (200 if level == ADMIN else 403)
    assert (await house.ask("GET", "accounts", token=token, legacy=False)).json[0]["access_levels"] == [level]


# --- owners ------------------------------------------------------------------------------------------------------------


async def owner_token(house: MailtrapHouse) -> str:
    return await house.token(Grant(Resource.ACCOUNT, house.account, OWNER), name="Owner's")


async def test_the_last_owner_is_neither_removed_nor_made_less(house: MailtrapHouse) -> None:
    token = await owner_token(house)
    owner = (await house.ask("GET", "account_accesses", token=token)).json[0]
    assert owner["specifier"]["email"] == house.owner and owner["permissions"]["can_destroy"] is True
    at = f"account_accesses/{owner['id']}"
    for method, path, sent in (("DELETE", at, None), ("PUT", f"{at}/permissions/bulk", body(house))):
        answer = await house.ask(method, path, sent, token=token)
        field = {"base" if method == "DELETE" else "permissions": [LAST_OWNER]}
        assert (answer.status, answer.json) == (422, {"errors": field})
        assert (await house.ask(method, path, sent)).status == 403, "an admin may not at all"
    assert levels((await house.ask("GET", "account_accesses")).json[0]["resources"]) == {
        ("account", house.account): OWNER
    }


async def test_an_owner_beside_another_one_may_go(house: MailtrapHouse) -> None:
    token = await owner_token(house)
    await house.database.write(lambda c: users.create(c, house.account, ANN, "", OWNER, house.clock()))
    owner, *_, ann = [
        each for each in (await house.ask("GET", "account_accesses")).json if each["specifier_type"] == "User"
    ]
    changed = await house.ask("PUT", f"account_accesses/{ann['id']}/permissions/bulk", body(house), token=token)
    assert changed.status == 200
    refused = await house.ask("DELETE", f"account_accesses/{owner['id']}", token=token)
    assert refused.status == 422
    await house.ask("DELETE", f"account_accesses/{ann['id']}")
    assert await house.database.read(lambda c: users.by_email(c, ANN)) is None


async def test_an_account_s_admin_takes_nothing_from_who_has_more_in_the_organization(house: MailtrapHouse) -> None:
    group = await house.organize()
    token = await house.token(Grant(Resource.ORGANIZATION, group, ADMIN), name="Group's")
    found = (await house.ask("GET", "account_accesses")).json
    (access,) = [each for each in found if each["resources"][0]["resource_type"] == "organization"]
    assert access["permissions"]["can_destroy"] is False
    assert (await house.ask("DELETE", f"account_accesses/{access['id']}")).status == 403
    assert (await house.ask("DELETE", f"account_accesses/{access['id']}", token=token)).status == 200


async def test_an_access_key_goes_with_its_access(house: MailtrapHouse) -> None:
    granted = [Grant(Resource.ACCOUNT, house.account, ADMIN)]
    identity, *_ = await house.database.write(
        lambda c: access_keys.create(c, SEALER, house.account, "key", granted, house.clock(), created_by="Olga")
    )
    (access,) = await house.database.read(lambda c: accesses.of_specifier(c, Specifier.ACCESS_KEY, identity))
    assert (await house.ask("DELETE", f"account_accesses/{access.id}")).status == 200
    assert await house.database.read(lambda c: c.execute(select(schema.access_keys)).all()) == []


@pytest.mark.parametrize("kind", [Resource.ACCOUNT, Resource.ORGANIZATION])
async def test_an_admin_neither_ends_nor_renews_what_is_offered_to_an_owner(
    house: MailtrapHouse, post: Post, kind: Resource
) -> None:
    organization = await house.organize()
    grant = Grant(kind, house.account if kind is Resource.ACCOUNT else organization, OWNER)
    made = await house.database.write(
        lambda c: invitations.create(c, house.account, ANN, [grant], "Olga", house.clock())
    )
    assert isinstance(made, invitations.Made)
    for method, path in (("DELETE", f"invitations/{made.id}"), ("POST", f"invitations/{made.id}/resend")):
        refused = await house.ask(method, path)
        assert (refused.status, refused.json) == (403, {"errors": "Access forbidden"}), path
    assert post.sent == [] and await accept(house, made.secret)
    mightier = await house.token(grant)
    again = await house.database.write(
        lambda c: invitations.create(c, house.account, "bob@dest.test", [grant], "Olga", house.clock())
    )
    assert isinstance(again, invitations.Made)
    assert (await house.ask("POST", f"invitations/{again.id}/resend", token=mightier)).status == 200
    assert (await house.ask("DELETE", f"invitations/{again.id}", token=mightier)).status == 204


async def test_an_access_that_is_deleted_while_its_invitation_is_accepted_is_gone(
    house: MailtrapHouse, post: Post, beside: Beside
) -> None:
    made = (await house.ask("POST", "invitations", body(house))).json
    accepted, answer = await beside.during(
        lambda c: invitations.accept(c, post.secret, "Ann", "hash", house.clock()),
        lambda: house.ask("DELETE", f"account_accesses/{made['account_access_id']}"),
    )
    assert accepted and answer.status == 200
    assert ANN not in [each["specifier"]["email"] for each in (await house.ask("GET", "account_accesses")).json]


async def test_permissions_that_are_changed_twice_at_once_are_changed_twice(
    house: MailtrapHouse, post: Post, beside: Beside
) -> None:
    await house.ask("POST", "invitations", body(house))
    access_id = await accept(house, post.secret)
    billing = {"resource_type": "billing", "resource_id": house.account, "access_level": "viewer"}
    _, answer = await beside.during(
        lambda c: accesses.put(c, access_id, [Grant(Resource.BILLING, house.account, ADMIN)]),
        lambda: house.ask("PUT", f"account_accesses/{access_id}/permissions/bulk", {"permissions": [billing]}),
    )
    assert answer.status == 200, answer.json
    assert Grant(Resource.BILLING, house.account, VIEWER) in await grants_of(house, access_id)


async def test_who_was_made_the_only_owner_meanwhile_is_not_removed(house: MailtrapHouse, beside: Beside) -> None:
    """The one who removes them has read what they had before."""
    now = house.clock()
    await house.database.write(lambda c: users.create(c, house.account, ANN, "", ADMIN, now))
    olga, ann = [
        each["id"] for each in (await house.ask("GET", "account_accesses")).json if each["specifier_type"] == "User"
    ]

    def handed_over(connection: Connection) -> None:
        accesses.lock(connection, house.account)
        accesses.put(connection, ann, [Grant(Resource.ACCOUNT, house.account, OWNER)])
        (olgas,) = accesses.of_account(connection, house.account, olga)
        assert not users.is_last_owner(connection, olgas)
        users.remove_access(connection, olgas)

    token = await owner_token(house)
    _, answer = await beside.during(handed_over, lambda: house.ask("DELETE", f"account_accesses/{ann}", token=token))
    assert (answer.status, answer.json) == (422, {"errors": {"base": [LAST_OWNER]}})


async def grants_of(house: MailtrapHouse, access_id: int) -> tuple[Grant, ...]:
    (access,) = await house.database.read(lambda c: accesses.of_account(c, house.account, access_id))
    return access.grants
