"""The page of an invitation: looking changes nothing, accepting happens once, and a wrong link learns nothing."""

from collections.abc import AsyncIterator
from urllib.parse import urlencode

import pytest
from argon2 import PasswordHasher
from sqlalchemy import select
from starlette.applications import Starlette

from mailferry.endpoints import hosts as middleware
from mailferry.endpoints.hosts import Hosts
from mailferry.endpoints.invitations import app as pages
from mailferry.endpoints.invitations.app import Deps, routes
from mailferry.net.hosts import HostRules
from mailferry.resources import accounts, invitations, users
from mailferry.resources.invitations import LIFE_MS, Made
from mailferry.resources.permissions import ADMIN, OWNER, VIEWER, Grant, Resource
from mailferry.store.database import Database
from mailferry.store.schema import audit_log
from mailferry.store.schema import users as users_table
from tests.asgi import Answer, call
from tests.conftest import Clock
from tests.fakes.mailtrap_api import Lines

ANN, PASSWORD = "ann@dest.test", "correct horse, 🐎"


class Site:
    def __init__(self, database: Database, clock: Clock) -> None:
        self.database, self.clock, self.account, self.invited = database, clock, 0, 0
        self.app = Starlette(routes=routes(Deps(database, clock)))

    async def furnish(self) -> "Site":
        self.account = await self.database.write(lambda c: accounts.create_account(c, "<Shop> & Co", self.clock()))
        return self

    async def invite(self, email: str = ANN, by: str = "<b>Olga</b>", account: int = 0) -> str:
        at = account or self.account
        granted = [Grant(Resource.ACCOUNT, at, VIEWER), Grant(Resource.BILLING, at, ADMIN)]
        made = await self.database.write(lambda c: invitations.create(c, at, email, granted, by, self.clock()))
        assert isinstance(made, Made)
        self.invited = made.id
        return f"/invitations/{made.secret}"

    async def get(self, path: str) -> Answer:
        return await call(self.app, "GET", path)

    async def post(self, path: str, **fields: str) -> Answer:
        given = {"action": "accept", "name": "Ann", "password": PASSWORD, "password_again": PASSWORD} | fields
        body = urlencode({name: value for name, value in given.items() if value}).encode()
        return await call(self.app, "POST", path, body=body)

    async def people(self) -> list[tuple[str, str, str]]:
        columns = (users_table.c.email, users_table.c.name, users_table.c.password_hash)
        return [tuple(row) for row in await self.database.read(lambda c: c.execute(select(*columns)).all())]


@pytest.fixture
async def site(database: Database, clock: Clock) -> AsyncIterator[Site]:
    yield await Site(database, clock).furnish()


async def test_looking_changes_nothing_and_says_who_invites_to_what(site: Site) -> None:
    path = await site.invite()
    for method in ("GET", "HEAD", "GET"):
        answer = await call(site.app, method, path)
        assert answer.status == 200
    text = answer.body.decode()
    assert "&lt;b&gt;Olga&lt;/b&gt;" in text and "&lt;Shop&gt; &amp; Co" in text and ANN in text
    assert "viewer of the account" in text and "admin of Billing" in text
    assert "<script" not in text and "<b>" not in text and path not in text
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy and "form-action 'self'" in policy and "frame-ancestors 'none'" in policy
    assert (answer.headers["referrer-policy"], answer.headers["cache-control"]) == ("no-referrer", "no-store")
    assert await site.people() == []


async def test_who_accepts_is_a_person_with_the_password_that_they_chose(site: Site) -> None:
    path = await site.invite()
    answer = await site.post(path, name="  Ann\t Lee ")
    assert answer.status == 200 and "has access" in answer.body.decode()
    ((email, name, hashed),) = await site.people()
    assert (email, name) == (ANN, "Ann Lee") and PasswordHasher().verify(hashed, PASSWORD)
    ((user, access),) = await site.database.read(lambda c: users.of_account(c, site.account))
    assert {grant.level for grant in access.grants} == {VIEWER, ADMIN}
    (noted,) = await site.database.read(lambda c: c.execute(select(audit_log)).all())
    assert (noted.event, noted.actor_type, noted.actor_id, noted.actor_name) == (
        "invitation.accepted",
        "user",
        user.id,
        ANN,
    )
    for answer in (await site.get(path), await site.post(path, password="another one", password_again="another one")):
        assert answer.status == 404
    assert await site.people() == [(ANN, "Ann Lee", hashed)]


@pytest.mark.parametrize(
    "fields",
    [
        {"name": ""},
        {"name": "\N{RIGHT-TO-LEFT OVERRIDE}"},
        {"name": "x" * 256},
        {"password": "short", "password_again": "short"},
        {"password_again": "another one"},
        {"password": "x" * 257, "password_again": "x" * 257},
        {"password": "", "password_again": ""},
        {"action": "look"},
        {"name": "x" * 20_000},
    ],
)
async def test_a_form_that_is_wrong_accepts_nothing(
    site: Site, fields: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(users, "hash_password", lambda password: pytest.fail("hashed"))
    path = await site.invite()
    answer = await site.post(path, **fields)
    assert answer.status == 422 and b"<form" in answer.body and PASSWORD.encode() not in answer.body
    assert await site.people() == [] and (await site.get(path)).status == 200


async def test_a_name_s_line_breaks_are_none_and_its_markup_is_text(site: Site) -> None:
    path = await site.invite()
    answer = await site.post(path, name='"><b>Ann', password_again="another one")
    assert b'value="&quot;&gt;&lt;b&gt;Ann"' in answer.body
    await site.post(path, name="Ann\r\nBcc: all@dest.test")
    assert [name for _, name, _ in await site.people()] == ["Ann Bcc: all@dest.test"]


async def test_a_person_who_is_known_accepts_without_a_password_and_keeps_theirs(site: Site) -> None:
    other = await site.database.write(lambda c: accounts.create_account(c, "Other", site.clock()))
    await site.database.write(lambda c: users.create(c, other, ANN, "hash", OWNER, site.clock(), name="Ann"))
    path = await site.invite()
    assert b"password" not in (await site.get(path)).body.replace(b"the password that you have", b"")
    assert (await site.post(path, name="Eve", password="eve's password", password_again="eve's password")).status == 200
    assert await site.people() == [(ANN, "Ann", "hash")]
    assert len(await site.database.read(lambda c: users.of_account(c, site.account))) == 1


async def test_who_was_forgotten_while_the_page_was_open_chooses_a_password(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = await site.database.write(lambda c: accounts.create_account(c, "Other", site.clock()))
    await site.database.write(lambda c: users.create(c, other, ANN, "hash", OWNER, site.clock()))
    path = await site.invite()
    ((_, access),) = await site.database.read(lambda c: users.of_account(c, other))
    accept = invitations.accept

    def forgotten_first(connection, *given):  # type: ignore[no-untyped-def]  # as accept's
        users.remove_access(connection, access)
        return accept(connection, *given)

    with monkeypatch.context() as patched:
        patched.setattr(pages.invitations, "accept", forgotten_first)
        await site.post(path)
    # What was tried is undone as a whole: the person is there again, and so is the invitation.
    assert await site.people() == [(ANN, "", "hash")] and (await site.get(path)).status == 200


async def test_links_that_open_nothing_are_all_alike_and_cost_no_hashing(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(users, "hash_password", lambda password: pytest.fail("hashed"))
    right = await site.invite()
    ended = await site.invite("bob@dest.test")
    await site.database.write(lambda c: invitations.remove(c, site.invited))
    wrong = [
        ended,
        right[:-1],
        right + "x",
        "/invitations/" + right[13:].swapcase(),
        "/invitations/",
        "/invitations/a/b",
        "/invitations/%00",
    ]
    wrong += [f"/invitations/{'x' * 5000}", "/invitations/%ED%A0%80"]
    answers = [await site.get(path) for path in wrong] + [await site.post(path) for path in wrong]
    site.clock.now += LIFE_MS
    answers += [await site.get(right), await site.post(right)]
    assert {(answer.status, answer.body) for answer in answers} == {(404, answers[0].body)}
    assert await site.people() == []


async def test_the_secret_stands_in_no_log(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even in that of a request that failed, and a host for links in mail does not serve the page."""
    path = await site.invite()

    async def tracks(name: str) -> bool:
        return True

    log = Lines()
    monkeypatch.setattr(middleware, "log", log)
    hosts = Hosts(site.app, HostRules(), [], tracks)
    assert (await call(hosts, "GET", path, headers={"Host": "localhost"})).status == 200
    assert (await call(hosts, "GET", path, headers={"Host": "mt-link.shop.test"})).status == 404
    monkeypatch.setattr(pages.invitations, "offer", lambda *_: (_ for _ in ()).throw(RuntimeError("out of order")))
    assert (await call(hosts, "GET", path, headers={"Host": "localhost"})).status == 500
    assert [facts["path"] for _, facts in log.told] == ["/invitations/"] * 4
