"""The pages of share links: what each opens, and what it does not; and that they hold whatever a mail says."""

import re
from urllib.parse import unquote

import pytest
from sqlalchemy import Connection
from starlette.applications import Starlette

from mailferry.endpoints.bodies import BodyBudget
from mailferry.endpoints.hosts import SECRET
from mailferry.endpoints.shared import app as shared
from mailferry.endpoints.shared.message import TABS
from mailferry.resources import inboxes, projects, share_links
from mailferry.resources.permissions import Resource
from mailferry.resources.share_links import Shared, ShareLink, Unmade
from mailferry.sandbox.report import Report
from tests import working_house
from tests.asgi import Answer, call
from tests.working_house import WorkingHouse

engines = working_house.engines
working = working_house.working

MAIL = (
    b"From: =?utf-8?q?=22=3E=3Cscript=3Ealert=281=29=3C=2Fscript=3E?= <app@a.test>\r\nTo: Bob <bob@dest.test>\r\n"
    b'Subject: "><script>alert(1)</script>\r\nX-Evil: "><script>alert(1)</script>\r\nMIME-Version: 1.0\r\n'
    b"Content-Type: multipart/mixed; boundary=b\r\n\r\n"
    b'--b\r\nContent-Type: text/plain\r\n\r\n"><script>alert(1)</script> text\r\n'
    b"--b\r\nContent-Type: text/html\r\n\r\n<p>\"><script>alert(1)</script><a href='http://x.test/\"><script>'>x</a>\r\n"
    b'--b\r\nContent-Type: text/html\r\nContent-ID: <"><script>alert(1)</script>>\r\n'
    b'Content-Disposition: attachment; filename="><script>.html"\r\n\r\n<script>alert(1)</script>\r\n--b--\r\n'
)


class Asked:
    """A checker that says nothing, and which checks it was asked for."""

    def __init__(self) -> None:
        self.names: list[tuple[str, ...]] = []

    async def check(self, raw: bytes, names: object) -> Report:
        self.names.append(tuple(names))  # type: ignore[call-overload]
        return Report()


class Site:
    def __init__(self, house: WorkingHouse) -> None:
        self.house = house
        self.checker = Asked()
        deps = shared.Deps(house.office.database, house.office.captured, self.checker, BodyBudget(10**8), house.clock)
        self.app = Starlette(routes=shared.routes(deps))

    async def share(self, message_id: int = 0, kind: Resource = Resource.INBOX) -> str:
        """The path of a new link."""
        number = self.house.inbox if kind is Resource.INBOX else self.house.project
        opens = Shared(self.house.account, kind, number, message_id)
        made = await self.house.run(
            lambda c: share_links.create(c, self.house.deps.sealer, opens, "", self.house.clock())
        )
        assert isinstance(made, ShareLink)
        return f"/share/{made.secret}"

    async def catch(self, message: bytes = MAIL) -> int:
        (found,) = await self.house.deps.sandbox.capture([self.house.by_smtp(message, "hidden@dest.test")])
        return found

    async def get(self, path: str, method: str = "GET") -> Answer:
        return await call(self.app, method, path)

    async def inbox(self, share: str) -> str:
        return f"{share}/inboxes/{self.house.inbox}"


@pytest.fixture
async def site(working: WorkingHouse) -> Site:
    return Site(working)


async def test_a_link_of_an_inbox_leads_to_its_list_and_messages(site: Site) -> None:
    number, share = await site.catch(), await site.share()
    moved = await site.get(share)
    assert (moved.status, moved.headers["location"]) == (302, await site.inbox(share))
    listed = await site.get(moved.headers["location"])
    assert listed.status == 200 and f"/messages/{number}" in listed.body.decode()
    first = await site.get(f"{await site.inbox(share)}/messages/{number}")
    assert first.headers["location"].endswith(f"/messages/{number}/html")


async def test_a_list_is_searched_and_paged(site: Site) -> None:
    for n in range(32):
        await site.catch(b"To: b@dest.test\r\nSubject: number %d\r\n\r\nx\r\n" % n)
    here = await site.inbox(await site.share())
    first, second = [(await site.get(here + query)).body.decode() for query in ("", "?page=2")]
    assert "number 31<" in first and "number 1<" not in first and "page=2" in first
    assert "number 1<" in second and "number 2<" not in second and "Newer" in second
    found = (await site.get(f"{here}?search=Number%2017")).body.decode()
    assert "number 17<" in found and "number 18<" not in found
    for odd in ("?page=0", "?page=x", "?page=99999999", "?page=²", "?search=%00%F0"):
        assert (await site.get(here + odd)).status == 200


async def test_a_link_of_a_message_opens_that_one_alone(site: Site) -> None:
    number, other = await site.catch(), await site.catch()
    share = await site.share(number)
    here = await site.inbox(share)
    assert (await site.get(share)).headers["location"] == f"{here}/messages/{number}"
    text = (await site.get(f"{here}/messages/{number}/html")).body.decode()
    assert f'href="{here}"' not in text
    assert [(await site.get(path)).status for path in (here, f"{here}/messages/{other}/html")] == [404, 404]


async def test_a_link_of_a_project_opens_its_inboxes_and_no_others(site: Site) -> None:
    house = site.house
    number = await site.catch()

    def furnish(connection: Connection) -> tuple[int, int]:
        beside = projects.create(connection, house.account, "Other", 1)
        made = [
            inboxes.create(connection, house.deps.sealer, house.account, project, "<b>New</b>", 1)
            for project in (house.project, beside.id)
        ]
        return made[0].id, made[1].id

    own, other = await house.run(furnish)
    share = await site.share(kind=Resource.PROJECT)
    text = (await site.get(share)).body.decode()
    assert f"/inboxes/{own}" in text and f"/inboxes/{other}" not in text and "<b>New" not in text
    assert (await site.get(f"{share}/inboxes/{other}")).status == 404
    # The message is of another inbox than the path names.
    assert (await site.get(f"{share}/inboxes/{own}/messages/{number}/html")).status == 404
    assert (await site.get(f"{share}/inboxes/{house.inbox}/messages/{number}/html")).status == 200


async def test_who_has_no_right_link_learns_nothing(site: Site) -> None:
    number = await site.catch()
    share = await site.share()
    missing = (await site.get("/share/x")).body
    tail = f"inboxes/{site.house.inbox}/messages/{number}/html"
    for path in (
        "/share/",
        f"{share}x",
        f"/share/x/{tail}",
        f"{share}/inboxes/999",
        f"{share}/inboxes/1/messages/999/raw",
    ):
        answer = await site.get(path)
        assert (answer.status, answer.body) == (404, missing), path
    assert (await site.get(f"{await site.inbox(share)}/messages/{number}/nothing")).status == 404


async def test_a_link_that_was_revoked_opens_nothing(site: Site) -> None:
    share, house = await site.share(), site.house
    assert (await site.get(await site.inbox(share))).status == 200
    links = await house.run(
        lambda c: share_links.of_resources(c, house.deps.sealer, house.account, Resource.INBOX, [house.inbox])
    )
    assert await house.run(lambda c: share_links.remove(c, Resource.INBOX, house.inbox, links[0].id)) == links[0].opens
    assert (await site.get(await site.inbox(share))).status == 404


async def test_links_end_with_their_inbox_whose_number_may_be_given_again(site: Site) -> None:
    """SQLite gives the highest number again."""
    share, house = await site.share(), site.house
    await house.made("DELETE", f"inboxes/{house.inbox}")
    await house.run(
        lambda c: inboxes.create(c, house.deps.sealer, house.account, house.project, "Again", 1, id=house.inbox)
    )
    assert (await site.get(await site.inbox(share))).status == 404


async def test_links_of_messages_that_are_gone_make_room(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(share_links, "MOST", 1)
    house, number = site.house, await site.catch()
    await site.share(number)
    opens = Shared(house.account, Resource.INBOX, house.inbox)
    assert await house.run(lambda c: share_links.create(c, house.deps.sealer, opens, "", 1)) is Unmade.TOO_MANY
    await house.made("DELETE", f"inboxes/{house.inbox}/messages/{number}")
    assert await house.made("GET", f"inboxes/{house.inbox}/share_links") == []
    await site.share()


async def test_every_page_escapes_what_a_mail_says(site: Site) -> None:
    number = await site.catch()
    here = f"{await site.inbox(await site.share())}/messages/{number}"
    for path in (f"{here}/{tab}" for tab in TABS):
        for method in ("GET", "POST"):
            answer = await site.get(path, method)
            text = answer.body.decode()
            assert answer.status == 200 and "<script" not in text and "alert(1)" in text, path
            assert "default-src 'none'" in answer.headers["content-security-policy"]
            assert "script-src" not in answer.headers["content-security-policy"]


async def test_no_page_is_kept_told_on_or_set_in_a_frame(site: Site) -> None:
    number = await site.catch()
    share = await site.share()
    here = await site.inbox(share)
    message = f"{here}/messages/{number}"
    for path in (
        share,
        here,
        f"{message}/html",
        f"{message}/preview",
        f"{message}/message.eml",
        f"{message}/attachments/1",
    ):
        answer = await site.get(path)
        assert (answer.headers["cache-control"], answer.headers["referrer-policy"]) == ("no-store", "no-referrer"), path
        assert "set-cookie" not in answer.headers
        assert answer.status == 302 or answer.headers["x-content-type-options"] == "nosniff"
        policy = answer.headers.get("content-security-policy", "")
        assert answer.status == 302 or policy.startswith("sandbox") or "frame-ancestors 'none'" in policy, path
    assert any(share.startswith(prefix) for prefix in SECRET)


async def test_the_preview_is_framed_with_what_was_chosen(site: Site) -> None:
    number = await site.catch()
    here = f"{await site.inbox(await site.share())}/messages/{number}"
    text = (await site.get(f"{here}/html?dark=1&images=1&narrow=1")).body.decode()
    frame = re.search(r"<iframe[^>]*>", text)
    assert frame and 'sandbox="allow-popups allow-popups-to-escape-sandbox"' in frame[0] and "narrow dark" in frame[0]
    assert f'src="{here}/preview?dark=1&amp;narrow=1&amp;images=1"' in frame[0]
    shown = await site.get(f"{here}/preview?images=1")
    assert "img-src data: http: https:;" in shown.headers["content-security-policy"]
    assert "img-src data:;" in (await site.get(f"{here}/preview")).headers["content-security-policy"]


async def test_an_attachment_is_downloaded_and_never_opened(site: Site) -> None:
    number = await site.catch()
    here = f"{await site.inbox(await site.share())}/messages/{number}"
    answer = await site.get(f"{here}/attachments/1")
    assert answer.body == b"<script>alert(1)</script>" and answer.headers["content-type"] == "application/octet-stream"
    assert unquote(answer.headers["content-disposition"]).startswith("attachment; filename*=UTF-8''>")
    assert (await site.get(f"{here}/attachments/2")).status == 404
    assert (await site.get(f"{here}/message.eml")).body == MAIL


async def test_the_network_is_asked_when_somebody_presses_the_button(site: Site) -> None:
    number = await site.catch()
    here = f"{await site.inbox(await site.share())}/messages/{number}"
    for tab in TABS:
        await site.get(f"{here}/{tab}")
    assert site.checker.names == [("spam",), ("html", "accessibility")]
    for tab in ("links", "tech"):
        await site.get(f"{here}/{tab}", "POST")
    assert site.checker.names[2:] == [("links",), ("authentication", "blocklists")]


async def test_reading_marks_nothing_and_tells_who_was_hidden_in_the_envelope(site: Site) -> None:
    number = await site.catch()
    here = f"{await site.inbox(await site.share())}/messages/{number}"
    assert "hidden@dest.test" in (await site.get(f"{here}/tech")).body.decode()
    shown = await site.house.made("GET", f"inboxes/{site.house.inbox}/messages/{number}")
    assert shown["is_read"] is False


async def test_the_api_makes_links_and_a_project_shows_its_newest(site: Site) -> None:
    house = site.house
    made = await house.made("POST", f"projects/{house.project}/share_links", {})
    shown = await house.made("GET", f"projects/{house.project}")
    assert shown["share_links"] == {"admin": "", "viewer": made["url"]}
    assert (await site.get("/share/" + made["url"].rpartition("/")[2])).status == 200
    wrong = await house.ask("POST", f"inboxes/{house.inbox}/share_links", {"share_link": {"level": "admin"}})
    assert (wrong.status, wrong.json["errors"]["level"]) == (422, [share_links.NO_ADMINS])
    wrong = await house.ask("POST", f"inboxes/{house.inbox}/share_links", {"share_link": {"message_id": 99}})
    assert (wrong.status, wrong.json["errors"]) == (422, {"message_id": ["is not a message of this inbox"]})
    await house.made("DELETE", f"projects/{house.project}/share_links/{made['id']}")
    assert (await house.made("GET", f"projects/{house.project}"))["share_links"] == {"admin": "", "viewer": ""}
