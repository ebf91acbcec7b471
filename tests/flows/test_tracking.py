"""From a mail with links to what its reader did, in the log and on the suppression list."""

import asyncio
import email
import email.policy
import re
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import dkim as dkimpy
import pytest

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
        assert (await self.events(identity, 1))[0]["event_type"] == "delivery"
        return identity, content

    async def log(self, identity: str) -> Any:
        return await self.call("GET", f"/api/accounts/1/email_logs/{identity}")

    async def events(self, identity: str, count: int) -> list[Any]:
        """All, once there are so many."""
        async with asyncio.timeout(60):
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


async def test_machines_stand_in_the_log_beside_people(shop: Shop) -> None:
    identity, content = await shop.send(html=HTML)
    (pixel,) = re.findall(r'<img src="([^"]+)"', html_of(content))
    await asyncio.sleep(2.1)  # what comes sooner is no person
    await asyncio.to_thread(visit, shop.server, pixel, method="HEAD")
    await asyncio.to_thread(visit, shop.server, pixel, User_Agent="Mozilla/5.0")
    await asyncio.to_thread(visit, shop.server, pixel)
    found = [event["details"]["machine"] for event in (await shop.events(identity, 4))[1:]]
    assert found == ["scanner", "apple_mail_privacy", None]
    log = await shop.log(identity)
    assert (log["opens_count"], log["machine_opens_count"]) == (3, 2)


async def test_bulk_mail_is_left_by_one_click_and_joined_again(shop: Shop) -> None:
    identity, content = await shop.send(stream="/bulk", html="<p>News</p>", text="News\n", category="spring")
    check_signatures(content, shop.dns)
    read = parsed(content)
    link = str(read["List-Unsubscribe"]).strip("<>")
    assert read["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert (read["Precedence"], str(read["Feedback-ID"]).split(":")[0]) == ("bulk", "spring")
    signed = re.sub(r"\s", "", re.search(r"h=([^;]+);", str(read["DKIM-Signature"]))[1])  # type: ignore[index]
    assert {"list-unsubscribe", "list-unsubscribe-post", "feedback-id", "precedence"} <= set(signed.split(":"))
    assert link in html_of(content) and f"Unsubscribe: {link}" in text_of(content)
    # A scanner looks, and nothing happens.
    assert (await asyncio.to_thread(visit, shop.server, link)).status == 200
    assert (await shop.log(identity))["status"] == "delivered"
    if curl := shutil.which("curl"):
        host, path = urlsplit(link).netloc, urlsplit(link).path
        command = [curl, "-sf", "-H", f"Host: {host}", "-d", "List-Unsubscribe=One-Click"]
        url = f"http://127.0.0.1:{shop.server.http}{path}"
        assert b"Unsubscribed" in await asyncio.to_thread(subprocess.check_output, [*command, url])
    else:
        body = b"List-Unsubscribe=One-Click"
        assert (await asyncio.to_thread(visit, shop.server, link, method="POST", body=body)).status == 200
    log = await shop.log(identity)
    assert (log["status"], log["events"][-1]["event_type"]) == ("opted_out", "unsubscribe")
    assert log["events"][-1]["details"]["web_ip_address"] == "127.0.0.1"
    (entry,) = await shop.call("GET", "/api/accounts/1/suppressions?email=a@dest.test")
    assert (entry["type"], entry["sending_stream"], entry["domain_name"]) == ("unsubscription", "bulk", DOMAIN)
    assert entry["message_category"] == "spring"
    answer = await shop.call("POST", "/bulk/api/send", message("a@dest.test"))
    rejected = await shop.log(answer["message_ids"][0])
    assert rejected["events"][0]["details"]["reject_reason"].endswith("unsubscription")
    # The other stream goes on, and so does this one after an undo.
    await shop.send()
    undo = await asyncio.to_thread(visit, shop.server, link, method="POST", body=b"action=resubscribe")
    assert undo.status == 200
    await shop.send(stream="/bulk")


async def test_transactional_mail_has_a_link_where_flag_or_sender_wants_one(shop: Shop) -> None:
    _, content = await shop.send(html="<p>Order</p>")
    assert "List-Unsubscribe" not in parsed(content) and "/t/u/" not in html_of(content)
    _, content = await shop.send(html='<a href="__unsubscribe_url__">Leave</a>', text="Leave: __unsubscribe_url__\n")
    assert re.search(r'<a href="https://t\.reader\.test/t/u/[\w-]+">Leave</a>', html_of(content))
    assert re.match(r"Leave: https://t\.reader\.test/t/u/[\w-]+$", text_of(content).strip())
    await shop.settings(auto_unsubscribe_link_enabled=True)
    _, content = await shop.send(text="Order\n")
    assert "Unsubscribe: https://t.reader.test/t/u/" in text_of(content)
    assert parsed(content)["List-Unsubscribe-Post"]
    check_signatures(content, shop.dns)


async def test_a_template_may_hold_the_placeholder(shop: Shop) -> None:
    template = {
        "name": "News",
        "subject": "Hi",
        "category": "news",
        "body_html": '<a href="__unsubscribe_url__">{{who}}</a>',
    }
    made = await shop.call("POST", "/api/accounts/1/email_templates", {"email_template": template})
    body = {"from": {"email": f"app@{DOMAIN}"}, "to": [{"email": "a@dest.test"}], "template_uuid": made["uuid"]}
    await shop.call("POST", "/bulk/api/send", body | {"template_variables": {"who": "Ann"}})
    (taken,) = await shop.mx.received(1)
    assert re.search(r'<a href="https://t\.reader\.test/t/u/[\w-]+">Ann</a>', html_of(taken.content))


async def test_a_recipient_who_opted_out_is_not_followed(shop: Shop) -> None:
    await shop.settings(tracking_opt_out_enabled=True, click_tracking_enabled=True)
    identity, content = await shop.send(html=HTML)
    (link,) = re.findall(r'href="([^"]+/t/p/[^"]+)"', html_of(content))
    (pixel,) = re.findall(r'<img src="([^"]+)"', html_of(content))
    body = b"action=choose&want=bulk&want=transactional"
    assert (await asyncio.to_thread(visit, shop.server, link, method="POST", body=body)).status == 200
    await asyncio.sleep(1.1)  # that a domain has no opt-outs is remembered for a second
    _, content = await shop.send(html=HTML)
    assert "/t/o/" not in html_of(content) and "/t/c/" not in html_of(content)
    # Nor in what was sent before.
    assert (await asyncio.to_thread(visit, shop.server, pixel)).status == 200
    await asyncio.sleep(0.3)
    assert [event["event_type"] for event in (await shop.log(identity))["events"]] == ["delivery"]


async def test_each_recipient_of_a_message_has_links_of_its_own(shop: Shop) -> None:
    to = [{"email": "a@dest.test"}, {"email": "b@dest.test"}]
    body = message("a@dest.test", html="<p>x</p>") | {"to": to}
    await shop.call("POST", "/api/send", body)
    first, second = await shop.mx.received(2)
    assert first.content != second.content
    for each in (first, second):
        check_signatures(each.content, shop.dns)
    await shop.settings(open_tracking_enabled=False)
    await shop.call("POST", "/api/send", body)
    third, fourth = (await shop.mx.received(4))[2:]
    assert third.content == fourth.content and b"/t/" not in third.content


async def test_tracking_hosts_serve_links_and_nothing_else(tmp_path: Path, database_url: str) -> None:
    async with (
        FakeDNS(zone()) as dns,
        FakeMX() as mx,
        running(
            tmp_path, dns, smtp_port=mx.port, url=database_url, tracking__url=URL, tracking__custom_hosts="https"
        ) as server,
    ):
        await add_domain(server, dns)  # all records that were asked for, also the one of links
        shop = Shop(server, dns, mx)
        found = (await shop.call("GET", "/api/accounts/1/sending_domains"))["data"]
        assert [each["custom_domain_tracking_enabled"] for each in found if each["domain_name"] == DOMAIN] == [True]
        await shop.settings(click_tracking_enabled=True)
        identity, content = await shop.send(html=HTML)
        (link,) = re.findall(rf'href="(https://mt-link\.{DOMAIN}/t/c/[^"]+)"', html_of(content))
        clicked = await asyncio.to_thread(visit, server, link)
        assert (clicked.status, clicked.headers["location"]) == (302, "https://shop.test/a?x=1&y=2#top")
        assert [event["event_type"] for event in await shop.events(identity, 2)] == ["delivery", "click"]
        for host in (f"mt-link.{DOMAIN}", "t.reader.test"):
            for path in ("/health", "/api/send", "/api/accounts", "/"):
                assert (await asyncio.to_thread(visit, server, f"https://{host}{path}")).status == 404
            forged = await asyncio.to_thread(visit, server, f"https://{host}/t/c/https://evil.test/")
            assert forged.status == 404 and "location" not in forged.headers
        for host in ("mt-link.other.test", f"x.{DOMAIN}", "t.other.test"):
            assert (await asyncio.to_thread(visit, server, f"https://{host}/t/c/x")).status == 421


async def test_without_a_custom_host_certificate_links_stand_under_our_own_name(shop: Shop) -> None:
    """The record is there, but a reader would be shown a warning."""
    _, content = await shop.send(html=HTML)
    assert f"mt-link.{DOMAIN}" not in html_of(content) and URL in html_of(content)


async def test_a_certificate_for_the_custom_host_is_enough(shop: Shop) -> None:
    command = [sys.executable, "-m", "mailferry", "certificates", f"mt-link.{DOMAIN}", "--data", str(shop.server.data)]
    await asyncio.to_thread(subprocess.check_output, command, env=shop.server.environment)
    _, content = await shop.send(html=HTML)
    (pixel,) = re.findall(r'<img src="([^"]+)"', html_of(content))
    assert pixel.startswith(f"https://mt-link.{DOMAIN}/t/o/")
    assert (await asyncio.to_thread(visit, shop.server, pixel)).status == 200
    assert (await asyncio.to_thread(visit, shop.server, f"https://mt-link.{DOMAIN}/health")).status == 404


async def test_every_event_is_seen_at_the_simulator(tmp_path: Path, database_url: str) -> None:
    async with FakeDNS() as dns, FakeMX() as mx, running(tmp_path, dns, url=database_url) as server:
        shop = Shop(server, dns, mx)
        (demo,) = (await shop.call("GET", "/api/accounts/1/sending_domains"))["data"]
        path = f"/api/accounts/1/sending_domains/{demo['id']}"
        await shop.call("PATCH", path, {"sending_domain": {"click_tracking_enabled": True}})
        await asyncio.sleep(1.1)

        async def events_of(local: str, count: int, stream: str = "") -> list[Any]:
            body = message(f"{local}@simulator.demo.mailferry.test", sender="hello@demo.mailferry.test", html=HTML)
            answer = await shop.call("POST", f"{stream}/api/send", body)
            return await shop.events(answer["message_ids"][0], count)

        expected = {
            "success": ["delivery"],
            "bounce": ["bounce"],
            "softbounce": ["soft_bounce"],
            "open": ["delivery", "open"],
            "click": ["delivery", "open", "click"],
            "complaint": ["delivery", "spam"],
            "suppressionlist": ["reject"],
        }
        for local, kinds in expected.items():
            found = await events_of(local, len(kinds))
            assert [event["event_type"] for event in found] == kinds, local
            if local == "click":
                assert found[2]["details"]["click_url"] == "https://shop.test/a?x=1&y=2#top"
                assert found[2]["details"]["machine"] is None
            if local == "complaint":
                assert found[1]["details"] == {"spam_feedback_type": "abuse"}
        left = await events_of("unsubscribe", 2, "/bulk")
        assert [event["event_type"] for event in left] == ["delivery", "unsubscribe"]
        again = await events_of("complaint", 1)
        assert again[0]["details"]["reject_reason"] == "Recipient in suppression list. Reason: spam complaint"
