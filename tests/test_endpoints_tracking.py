"""The paths of links: what they answer, what they change, and what they never do."""

import re
from collections.abc import AsyncIterator
from html import unescape
from urllib.parse import urlencode

import pytest
from starlette.applications import Starlette
from starlette.exceptions import HTTPException

from mailferry.endpoints.fallback import not_served
from mailferry.endpoints.tracking.app import PIXEL, Deps, routes
from mailferry.feedback.hits import Hits
from mailferry.journal.ids import Ids
from mailferry.mail import links
from mailferry.mail.links import Key, Kind, Link
from mailferry.resources import domains, tracking_opt_outs
from mailferry.resources.suppressions import UNSUBSCRIPTION
from mailferry.resources.suppressions import add as add_suppressions
from mailferry.resources.suppressions import entry as unsubscribed
from mailferry.store.schema import domains as domains_table
from mailferry.store.schema import events, suppressions
from tests import delivery_support
from tests.asgi import Answer, call
from tests.delivery_support import DOMAIN, SQLITE, TAKEN, Office

office, engines = delivery_support.office, delivery_support.engines
pytestmark = SQLITE

KEY = Key(5, bytes(range(32)))
BROWSER = {"user-agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"}
FORM = {"content-type": "application/x-www-form-urlencoded"}
ONE_CLICK = b"List-Unsubscribe=One-Click"


class Site:
    def __init__(self, office: Office, recipient_id: str) -> None:
        self.office, self.recipient_id = office, recipient_id
        hits = Hits(office.database, Ids(office.clock), office.clock)
        deps = Deps(hits, {5: KEY.secret}, office.database, office.book, office.clock)
        self.app = Starlette(routes=routes(deps), exception_handlers={HTTPException: not_served})

    def token(self, kind: Kind, **more: str) -> str:
        return links.make(kind, Link(self.office.domain, self.recipient_id, **more), KEY)

    @property
    def choice(self) -> str:
        return self.token(Kind.CHOICE, stream="bulk", address="a<b>@dest.test")

    async def ask(self, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None) -> Answer:
        return await call(self.app, method, path, body=body, headers=BROWSER | (headers or {}))

    async def post(self, path: str, *pairs: tuple[str, str]) -> Answer:
        return await self.ask("POST", path, urlencode(pairs).encode(), FORM)

    async def kinds(self) -> list[str]:
        """After whatever waits in the writer."""
        await self.office.database.write(lambda c: None)
        rows = await self.office.rows(events, recipient_id=self.recipient_id)
        return [row.kind for row in rows if row.kind not in ("accepted", "delivery")]

    async def stopped(self) -> list[str]:
        return sorted(row.stream for row in await self.office.rows(suppressions))


@pytest.fixture
async def site(office: Office) -> AsyncIterator[Site]:
    (recipient_id,) = await office.accept("a@dest.test", stream="bulk")
    (job,) = await office.claim()
    await office.settle(job, TAKEN)
    office.clock.forward(seconds=60)
    yield Site(office, recipient_id)


def shown(answer: Answer) -> str:
    text = re.sub(r"<style>.*</style>", "", answer.body.decode())
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", text)).split())


def is_a_safe_page(answer: Answer) -> bool:
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy and "unsafe" not in policy
    assert answer.headers["cache-control"] == "no-store" and answer.headers["referrer-policy"] == "no-referrer"
    assert "set-cookie" not in answer.headers and "<script" not in answer.body.decode()
    return answer.headers["content-type"].startswith("text/html")


async def test_the_pixel(site: Site) -> None:
    answer = await site.ask("GET", f"/t/o/{site.token(Kind.OPEN)}.gif")
    assert (answer.status, answer.body, answer.headers["content-type"]) == (200, PIXEL, "image/gif")
    assert answer.headers["cache-control"] == "no-store" and "set-cookie" not in answer.headers
    assert await site.kinds() == ["open"]
    assert await site.office.facts(site.recipient_id) == {"ip": "192.0.2.7", "user_agent": BROWSER["user-agent"]}


async def test_a_click_leads_where_it_was_signed_to_lead(site: Site) -> None:
    url = "https://shop.test/a%20b;c=1|{d}?x=1&y=%C3%BC#z"
    answer = await site.ask("GET", f"/t/c/{site.token(Kind.CLICK, url=url)}?u=https://evil.test/")
    assert (answer.status, answer.headers["location"]) == (302, url)
    assert await site.kinds() == ["click"]
    facts = await site.office.facts(site.recipient_id)
    assert facts["url"] == url and "tags" not in facts


async def test_a_click_has_the_tags_of_its_link(site: Site) -> None:
    url = "https://shop.test/"
    answer = await site.ask("GET", f"/t/c/{site.token(Kind.CLICK, url=url, tags='place:top')}")
    assert answer.headers["location"] == url
    assert await site.kinds() == ["click"]
    assert (await site.office.facts(site.recipient_id))["tags"] == {"place": ["top"]}


@pytest.mark.parametrize("kind", ["o", "c", "u", "p"])
async def test_a_link_that_nobody_signed_leads_nowhere(site: Site, kind: str) -> None:
    good = site.token(Kind.CLICK, url="https://shop.test/")
    for token in (
        "https://evil.test/",
        "x",
        "%00",
        good[:-1] + ("A" if good[-1] != "A" else "B"),
        site.token(Kind.OPEN) + "A",
    ):
        for method in ("GET", "POST") if kind in "up" else ("GET",):
            answer = await site.ask(method, f"/t/{kind}/{token}", ONE_CLICK, FORM)
            assert answer.status == 404 and is_a_safe_page(answer)
            assert "location" not in answer.headers and "evil" not in answer.body.decode()
    assert await site.kinds() == []


async def test_links_of_a_suspended_sender_are_disabled(site: Site) -> None:
    await site.office.change_domain(state=domains.SUSPENDED)
    answer = await site.ask("GET", f"/t/c/{site.token(Kind.CLICK, url='https://shop.test/')}")
    assert answer.status == 410 and "location" not in answer.headers and is_a_safe_page(answer)
    assert (await site.ask("POST", f"/t/u/{site.choice}", ONE_CLICK, FORM)).status == 200


async def test_a_scanner_changes_nothing(site: Site) -> None:
    for _ in range(2):
        for method in ("GET", "HEAD"):
            answer = await site.ask(method, f"/t/u/{site.choice}")
            assert answer.status == 200 and is_a_safe_page(answer)
    assert await site.kinds() == [] and await site.stopped() == []
    page = (await site.ask("GET", f"/t/u/{site.choice}")).body.decode()
    assert '<form method="post">' in page and "a&lt;b&gt;@dest.test" in page and DOMAIN in page


@pytest.mark.parametrize(
    ("body", "type"),
    [
        (ONE_CLICK, "application/x-www-form-urlencoded"),
        (ONE_CLICK, "application/x-www-form-urlencoded; charset=UTF-8"),
        (
            b'--x\r\nContent-Disposition: form-data; name="List-Unsubscribe"\r\n\r\nOne-Click\r\n--x--\r\n',
            "multipart/form-data; boundary=x",
        ),
        (
            b'--x\r\nContent-Disposition: form-data; name="List-Unsubscribe"\r\nContent-Type: text/plain\r\n\r\n'
            b"One-Click\r\n--x--\r\n",
            "Multipart/Form-Data; boundary=x",
        ),
        (b"action=unsubscribe", "application/x-www-form-urlencoded"),
    ],
)
async def test_one_post_unsubscribes(site: Site, body: bytes, type: str) -> None:
    answer = await site.ask("POST", f"/t/u/{site.choice}", body, {"content-type": type})
    assert answer.status == 200 and is_a_safe_page(answer)
    assert "Unsubscribed" in shown(answer) and "Undo" in shown(answer)
    assert await site.kinds() == ["unsubscribe"] and await site.stopped() == ["bulk"]


@pytest.mark.parametrize(
    ("body", "type"),
    [(b"", ""), (b"List-Unsubscribe=Two", FORM["content-type"]), (b"action=x", FORM["content-type"]), (b"\xff", "text/plain"),
     (ONE_CLICK + b"&x=" + b"y" * 20_000, FORM["content-type"]), (b"&".join([b"a=1"] * 50), FORM["content-type"]),
     (b"--x\r\n\r\n", "multipart/form-data; boundary=x"),
     (b'--x\r\nA: Content-Disposition: form-data; name="List-Unsubscribe"\r\n\r\nOne-Click', "multipart/form-data; boundary=x")],
)  # fmt: skip
async def test_a_post_that_says_nothing_changes_nothing(site: Site, body: bytes, type: str) -> None:
    for kind in "up":
        answer = await site.ask("POST", f"/t/{kind}/{site.choice}", body, {"content-type": type})
        assert answer.status == 400 and is_a_safe_page(answer)
    assert await site.kinds() == [] and await site.stopped() == []


async def test_undo(site: Site) -> None:
    path = f"/t/u/{site.choice}"
    await site.ask("POST", path, ONE_CLICK, FORM)
    assert "Undo" in shown(await site.ask("GET", path))
    answer = await site.post(path, ("action", "resubscribe"))
    assert answer.status == 200 and "again" in shown(answer) and await site.stopped() == []
    assert "Unsubscribe?" in shown(await site.ask("GET", path))


def ticked(answer: Answer) -> set[str]:
    return set(re.findall(r'value="(\w+)" checked', answer.body.decode()))


async def test_preferences(site: Site) -> None:
    path = f"/t/p/{site.choice}"
    assert ticked(await site.ask("GET", path)) == {"bulk", "transactional", "tracking"}
    answer = await site.post(path, ("action", "choose"), ("want", "transactional"))
    assert ticked(answer) == {"transactional"} and "Saved" in shown(answer)
    assert await site.stopped() == ["bulk"]
    assert await site.office.database.read(lambda c: tracking_opt_outs.stands(c, site.office.domain, "a<b>@dest.test"))
    answer = await site.post(path, ("action", "choose"), ("want", "bulk"), ("want", "tracking"))
    assert ticked(answer) == {"bulk", "tracking"} and await site.stopped() == ["transactional"]
    assert await site.kinds() == ["unsubscribe", "unsubscribe"]


@pytest.mark.parametrize(
    ("wanted", "left"), [((), ["any"]), (("transactional",), ["bulk"]), (("bulk", "transactional"), [])]
)
async def test_one_stream_that_is_wanted_again_does_not_bring_back_the_other(
    site: Site, wanted: tuple[str, ...], left: list[str]
) -> None:
    office = site.office
    account_id = (await office.rows(domains_table, id=office.domain))[0].account_id
    both = unsubscribed(account_id, "a<b>@dest.test", 1, domain_id=office.domain, type=UNSUBSCRIPTION)
    await office.database.write(lambda c: add_suppressions(c, [both]))
    path = f"/t/p/{site.choice}"
    assert ticked(await site.ask("GET", path)) == {"tracking"}
    answer = await site.post(path, ("action", "choose"), ("want", "tracking"), *(("want", each) for each in wanted))
    assert ticked(answer) == {"tracking", *wanted} and await site.stopped() == left


@pytest.mark.parametrize("headers", [{"user-agent": "Mozilla/5.0"}, {"sec-purpose": "prefetch"}])
async def test_machines_are_recorded_as_such(site: Site, headers: dict[str, str]) -> None:
    await site.ask("GET", f"/t/o/{site.token(Kind.OPEN)}.gif", headers=headers)
    assert await site.kinds() == ["open"]
    assert (await site.office.facts(site.recipient_id))["machine"] in ("apple_mail_privacy", "prefetch")


async def test_other_methods_and_paths(site: Site) -> None:
    posted = await site.ask("POST", f"/t/c/{site.token(Kind.CLICK, url='https://shop.test/')}")
    assert posted.status == 404 and "location" not in posted.headers
    assert (await site.ask("DELETE", f"/t/u/{site.choice}")).status == 405
    for path in ("/t/", "/t/x", "/t/c/a/b", "/t/z/abc"):
        assert (await site.ask("GET", path)).status == 404


async def test_control_characters_of_an_agent_are_not_kept(site: Site) -> None:
    agent = {"user-agent": "Mozilla/5.0 (\x00\x1b[31m\x85)" + "x" * 1000}
    await site.ask("GET", f"/t/o/{site.token(Kind.OPEN)}.gif", headers=agent)
    await site.kinds()
    kept = (await site.office.facts(site.recipient_id))["user_agent"]
    assert kept.isprintable() and len(kept) == 500
