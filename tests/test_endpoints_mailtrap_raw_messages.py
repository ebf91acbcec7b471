"""``raw_message_url``: who is given the link, what it serves and how, and when it ends."""

import base64
from datetime import timedelta
from urllib.parse import urlsplit

import msgspec
import pytest

from mailferry.endpoints.bodies import BodyBudget
from mailferry.endpoints.mailtrap import raw_messages
from mailferry.resources.permissions import ADMIN, VIEWER, Grant, Resource
from mailferry.store.content import day_of
from mailferry.store.schema import messages
from tests.asgi import Answer
from tests.working_house import WorkingHouse, engines, working

__all__ = ["engines", "working"]


async def url(house: WorkingHouse, message_id: str, **how: str) -> str | None:
    found: str | None = (await house.made("GET", f"email_logs/{message_id}", **how))["raw_message_url"]
    return found


async def follow(house: WorkingHouse, link: str, method: str = "GET") -> Answer:
    """Without a token."""
    return await house.call(method, urlsplit(link).path, headers={})


def spelled(house: WorkingHouse, opens: bytes, purpose: str) -> str:
    """As in a link, which has no padding: with it, it would lead nowhere whatever it opens."""
    return base64.urlsafe_b64encode(house.deps.sealer.seal(opens, purpose)).decode().rstrip("=")


async def linked(house: WorkingHouse) -> str:
    (sent,) = await house.send(html="<script>alert(1)</script>")
    link = await url(house, sent)
    assert link is not None
    return link


async def test_the_link_serves_the_stored_message(working: WorkingHouse) -> None:
    bob, eve = await working.send("bob@dest.test", "eve@dest.test", html="<script>alert(1)</script>")
    (row,) = await working.office.rows(messages)
    for message_id in (bob, eve):
        link = await url(working, message_id)
        assert link is not None and link.startswith("http://")
        answer = await follow(working, link)
        assert answer.status == 200
        assert len(answer.body) == row.size
        assert b"Subject: Hello\r\n" in answer.body and b"<script>" in answer.body
        assert answer.headers["content-type"] == "message/rfc822"
        assert answer.headers["content-security-policy"] == "sandbox; default-src 'none'"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["content-disposition"].startswith("attachment;")
        assert answer.headers["cache-control"] == "private, no-store"
        assert (await follow(working, link, "HEAD")).headers["content-length"] == str(row.size)


async def test_only_who_may_see_the_log_is_given_it(working: WorkingHouse) -> None:
    (sent,) = await working.send()
    of_domain = await working.token(Grant(Resource.DOMAIN, working.domain, VIEWER))
    of_another = await working.token(Grant(Resource.DOMAIN, working.other_domain, ADMIN))
    assert await url(working, sent, token=of_domain)
    assert (await working.ask("GET", f"email_logs/{sent}", token=of_another)).status == 404


async def test_a_page_of_another_origin_may_follow_links(working: WorkingHouse) -> None:
    """Also the one to an export of contacts, and to one that leads nowhere: a page reads what is wrong with it."""
    for link in (
        await linked(working),
        "/api/raw_messages/AAAA/message.eml",
        "/api/contact_exports/AAAA/contacts.csv.gz",
    ):
        answer = await working.call("GET", urlsplit(link).path, headers={"Origin": "https://app.test"})
        assert answer.headers["access-control-allow-origin"] == "*", link
        assert "access-control-allow-origin" not in (await follow(working, link)).headers


async def test_the_link_ends(working: WorkingHouse) -> None:
    link = await linked(working)
    working.clock.forward(seconds=raw_messages.LINK_MS // 1000 - 1)
    assert (await follow(working, link)).status == 200
    working.clock.forward(seconds=1)
    answer = await follow(working, link)
    assert (answer.status, answer.json) == (403, {"error": "This link has expired, ask for a new one"})


async def test_nobody_makes_a_link_up(working: WorkingHouse) -> None:
    link = await linked(working)
    path, sealed = urlsplit(link).path, urlsplit(link).path.split("/")[-2]
    for other in (sealed[:-4] + "AAAA", "A" * 80, "x", "%00", "ä"):
        assert (await follow(working, path.replace(sealed, other))).status == 404


async def test_what_is_sealed_for_something_else_opens_no_message(working: WorkingHouse) -> None:
    await working.send()
    (row,) = await working.office.rows(messages)
    opens = msgspec.json.encode([working.account, row.id, working.clock() + 1000])
    for purpose, status in ((raw_messages._PURPOSE, 200), ("contact export link", 404)):
        sealed = spelled(working, opens, purpose)
        assert (await follow(working, f"/api/raw_messages/{sealed}/message.eml")).status == status


async def test_a_link_opens_no_message_of_another_account(working: WorkingHouse) -> None:
    await working.send()
    (row,) = await working.office.rows(messages)
    opens = msgspec.json.encode([working.foreign, row.id, working.clock() + 1000])
    sealed = spelled(working, opens, raw_messages._PURPOSE)
    assert (await follow(working, f"/api/raw_messages/{sealed}/message.eml")).status == 404


async def test_bytes_that_are_gone_have_no_link(working: WorkingHouse) -> None:
    (sent,) = await working.send()
    later = day_of(working.clock()) + timedelta(days=1)
    working.clock.forward(seconds=86_400)
    await working.send()  # a segment that is written to is not dropped
    link = await url(working, sent)
    assert link is not None
    await working.run(lambda connection: working.office.content.forget(connection, later, frozenset()))
    assert await url(working, sent) is None
    assert (await follow(working, link)).status == 404


async def test_downloads_share_a_room(working: WorkingHouse, monkeypatch: pytest.MonkeyPatch) -> None:
    """And give it back, however many there were."""
    link = await linked(working)
    rooms: list[BodyBudget] = []

    class Room(BodyBudget):
        def __init__(self, total: int) -> None:
            super().__init__(total)
            rooms.append(self)

    monkeypatch.setattr(raw_messages, "BodyBudget", Room)
    again = working.again()
    for _ in range(3):
        assert (await follow(again, link)).status == 200
    assert rooms[0].used == 0
    monkeypatch.setattr(raw_messages, "ROOM", 10)
    assert (await follow(working.again(), link)).status == 429
