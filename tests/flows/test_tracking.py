"""From a mail with links to what its reader did, in the log and on the suppression list."""

import asyncio
import email
import email.policy
import re
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import dkim as dkimpy
import pytest

from tests.conftest import eventually
from tests.fakes.dns import FakeDNS
from tests.fakes.mx import FakeMX
from tests.server import DOMAIN, Mailferry, add_domain, dkim_keys, message, running

URL = "https://t.reader.test"
BROWSER = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
HTML = (
    "<!DOCTYPE html><html><body><p>Größe</p>"
    '<a href="https://shop.test/a?x=1&amp;y=2#top">A</a> <a data-mt-no-track href="https://shop.test/b">B</a>'
    "</body></html>"
)


def zone() -> dict[str, dict[str, str]]:
    return {"dest.test": {"MX": "10 mx.dest.test"}, "mx.dest.test": {"A": "127.0.0.1"}}


class _Still(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


class Answer:
    def __init__(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        self.status, self.headers, self.body = status, headers, body


def visit(
    server: Mailferry, url: str, *, method: str = "GET", body: bytes | None = None, host: str = "", **headers: str
) -> Answer:
    """The URL as it stands in the mail, asked of the server's own port under the URL's host."""
    found = urlsplit(url)
    request = urllib.request.Request(f"http://127.0.0.1:{server.http}{found.path}", body, method=method)
    request.add_header("Host", host or found.netloc)
    request.add_header("User-Agent", BROWSER)
    for name, value in headers.items():
        request.add_header(name.replace("_", "-"), value)
    opener = urllib.request.build_opener(_Still)
    try:
        with opener.open(request, timeout=30) as response:
            return Answer(response.status, response.headers, response.read())
    except urllib.error.HTTPError as error:
        return Answer(error.code, error.headers, error.read())


def parsed(content: bytes) -> Any:
    return email.message_from_bytes(content, policy=email.policy.default)


def html_of(content: bytes) -> str:
    return str(parsed(content).get_body(("html",)).get_content())


def text_of(content: bytes) -> str:
    return str(parsed(content).get_body(("plain",)).get_content())


def check_signatures(content: bytes, dns: FakeDNS) -> None:
    """The RSA one, by dkimpy."""
    keys = dkim_keys(dns)
    found = [str(value) for value in parsed(content).get_all("DKIM-Signature")]
    index = next(number for number, value in enumerate(found) if "rsa-sha256" in value)
    assert len(found) == 2
    assert dkimpy.DKIM(content).verify(
        idx=index, dnsfunc=lambda name, timeout=5: keys[name.decode().rstrip(".")].encode()
    )


class Shop:
    """A server with one sending domain, and its API."""

    def __init__(self, server: Mailferry, dns: FakeDNS, mx: FakeMX) -> None:
        self.server, self.dns, self.mx = server, dns, mx
        self.token = str(server.credentials["api_token"])

    async def call(self, method: str, path: str, body: Any = None) -> Any:
        import json

        octets = None if body is None else json.dumps(body).encode()
        status, answer = await asyncio.to_thread(self.server.request, method, path, self.token, octets)
        assert status in (200, 201), (status, answer)
        return answer

    async def domain_id(self) -> int:
        found = (await self.call("GET", "/api/accounts/1/sending_domains"))["data"]
        return next(int(each["id"]) for each in found if each["domain_name"] == DOMAIN)

    async def settings(self, **flags: bool) -> Any:
        path = f"/api/accounts/1/sending_domains/{await self.domain_id()}"
        changed = await self.call("PATCH", path, {"sending_domain": flags})
        await asyncio.sleep(1.1)  # a domain is remembered for a second
        return changed

    async def send(self, *, stream: str = "", to: str = "a@dest.test", **fields: Any) -> tuple[str, bytes]:
        """Sends to one; returns its id and what the recipient's host took."""
        count = len(self.mx.transactions)
        answer = await self.call("POST", f"{stream}/api/send", message(to, **fields))
        content = (await self.mx.received(count + 1))[-1].content
        identity = answer["message_ids"][0]
        await eventually(
            lambda: self.server.command("messages", "show", identity)["recipients"][0]["state"] == "delivered"
        )
        return identity, content

    async def log(self, identity: str) -> Any:
        return await self.call("GET", f"/api/accounts/1/email_logs/{identity}")

    async def events(self, identity: str, count: int) -> list[Any]:
        """All, once there are so many."""
        async with asyncio.timeout(10):
            while len(found := (await self.log(identity))["events"]) < count:
                await asyncio.sleep(0.05)
        return list(found)


@pytest.fixture
async def shop(tmp_path: Path, database_url: str) -> Any:
    async with (
        FakeDNS(zone()) as dns,
        FakeMX() as mx,
        running(tmp_path, dns, smtp_port=mx.port, url=database_url, tracking__url=URL) as server,
    ):
        await add_domain(server, dns)
        yield Shop(server, dns, mx)


async def test_an_open_and_a_click_stand_in_the_log(shop: Shop) -> None:
    await shop.settings(click_tracking_enabled=True)
    identity, content = await shop.send(html=HTML)
    check_signatures(content, shop.dns)
    html = html_of(content)
    (pixel,) = re.findall(r'<img src="([^"]+)" width="1" height="1" alt="" />', html)
    (link,) = re.findall(r'href="(https://t\.reader\.test/t/c/[^"]+)"', html)
    # Nothing else of the text changed.
    restored = html.replace(f'<img src="{pixel}" width="1" height="1" alt="" />', "")
    assert restored.replace(link, "https://shop.test/a?x=1&amp;y=2#top").strip() == HTML
    await asyncio.sleep(2.1)  # what comes sooner is no person
    seen = await asyncio.to_thread(visit, shop.server, pixel)
    assert (seen.status, seen.headers["content-type"], seen.headers["cache-control"]) == (200, "image/gif", "no-store")
    clicked = await asyncio.to_thread(visit, shop.server, link)
    assert (clicked.status, clicked.headers["location"]) == (302, "https://shop.test/a?x=1&y=2#top")
    delivery, opened, click = await shop.events(identity, 3)
    assert [each["event_type"] for each in (delivery, opened, click)] == ["delivery", "open", "click"]
    assert opened["details"]["web_ip_address"] == "127.0.0.1"
    assert opened["details"]["user_agent"] == BROWSER
    assert click["details"]["click_url"] == "https://shop.test/a?x=1&y=2#top"
    log = await shop.log(identity)
    assert (log["opens_count"], log["clicks_count"]) == (1, 1)
