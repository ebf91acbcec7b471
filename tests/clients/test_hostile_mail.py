"""Hostile mail in a real browser: all of it is shown, nothing of it runs, and nobody hears that it is read.

One server, one inbox and one browser for all. A socket must hear nothing. To show that it would, each attack is opened a
second time without what holds it back, with another socket, which must hear it.
"""

import http.client
import http.server
import smtplib
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from typing import ClassVar

import pytest

from mailferry.mail.reading import read
from mailferry.sandbox.preview import preview
from tests.clients import hostile_mails as mails
from tests.clients.hostile_mails import BY_CHANGE, BY_CLICK, BY_POLICY, SEEN, STRUCTURES
from tests.commands import first_run
from tests.conftest import eventually
from tests.peers.chromium import Chromium, Page
from tests.server import Mailferry

ATTACKS = BY_POLICY | BY_CHANGE | BY_CLICK
MIDDLE = "(r => [r.x + r.width / 2, r.y + r.height / 2])(document.getElementById('it').getBoundingClientRect())"
TABS = ("html", "source", "text", "raw", "headers", "attachments", "spam", "check", "links", "tech")


@dataclass
class Trap:
    """A socket, and what it heard: each connection, with what came over it."""

    heard: list[bytes] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=100)
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._hear, args=(connection,), daemon=True).start()

    def _hear(self, connection: socket.socket) -> None:
        heard = self.heard
        heard.append(b"")
        number = len(heard) - 1
        connection.settimeout(5)
        try:
            heard[number] += connection.recv(10_000)
            connection.sendall(
                b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nAccess-Control-Allow-Origin: *\r\nConnection: close\r\n\r\n"
            )
        except OSError:
            pass
        connection.close()

    def close(self) -> None:
        self.listener.close()


class Unheld(http.server.BaseHTTPRequestHandler):
    """Shows pages with no policy at all."""

    pages: ClassVar[dict[str, bytes]] = {}

    def do_GET(self) -> None:
        body = self.pages.get(self.path, b"")
        self.send_response(200 if body else 404)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        pass


class Stage:
    """The server with an inbox that holds all mails, and a link to it."""

    def __init__(self, server: Mailferry, browser: Chromium, page: Page, unheld: str) -> None:
        self.server, self.browser, self.page, self.unheld = server, browser, page, unheld
        self.silent = Trap()
        self.inbox = first_run(server)["sandbox"]["inbox_id"]
        self.share = "/share/" + server.ask("inboxes.share", inbox=self.inbox)["url"].rpartition("/")[2]
        self.numbers: dict[str, int] = {}

    def catch(self, names: dict[str, bytes]) -> None:
        credentials = first_run(self.server)["sandbox"]
        with smtplib.SMTP("127.0.0.1", self.server.smtp, timeout=120) as client:
            client.login(credentials["username"], credentials["password"])
            for name, message in names.items():
                client.sendmail("eve@dest.test", ["ann@dest.test"], message)
                self.numbers[name] = len(self.numbers) + 1

    def path(self, name: str) -> str:
        return f"{self.share}/inboxes/{self.inbox}/messages/{self.numbers[name]}"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.http}"

    def get(self, path: str) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.server.http, timeout=120)
        connection.request("GET", path)
        answer = connection.getresponse()
        found = answer.status, answer.read()
        connection.close()
        return found

    def look(self, name: str, query: str = "") -> Page:
        """The message's page; returns the frame in which it is shown."""
        self.page.open(f"{self.url}{self.path(name)}/html{query}")
        return self.page.frame(f"{self.url}{self.path(name)}/preview")

    def told(self) -> list[bytes]:
        """What was heard since it was asked before."""
        heard, self.silent.heard = self.silent.heard, []
        return heard

    def left(self) -> list[str]:
        """Where the page went, if not where it was sent to."""
        return [url for url in [self.page.evaluate("location.href")] if not url.startswith(self.url)]


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory, chromium: Chromium) -> Iterator[Stage]:
    server = Mailferry(tmp_path_factory.mktemp("hostile") / "data", {"smtp.plain_auth": "true"})
    unheld = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Unheld)
    threading.Thread(target=unheld.serve_forever, daemon=True).start()
    with ExitStack() as running:
        running.callback(unheld.server_close)
        running.callback(unheld.shutdown)
        running.callback(server.end)
        server.start()
        page = running.enter_context(chromium.page())
        found = Stage(server, chromium, page, f"http://127.0.0.1:{unheld.server_address[1]}")
        running.callback(found.silent.close)
        attacks = {name: html.format(trap=found.silent.url) for name, html in ATTACKS.items()}
        found.catch({name: mails.as_mail(mails.page(html), name) for name, html in attacks.items()})
        structures = {name: make(name) for name, make in STRUCTURES.items()}
        found.catch({name: each.replace(b"{trap}", found.silent.url.encode()) for name, each in structures.items()})
        yield found


def click(stage: Stage, frame: Page) -> None:
    """On `#it`, in the frame of the page that is open."""
    x, y = frame.evaluate(MIDDLE)
    left, top = stage.page.evaluate(
        "(r => [r.x + 1, r.y + 1])(document.querySelector('iframe').getBoundingClientRect())"
    )
    stage.page.click(left + x, top + y)


@pytest.mark.parametrize("name", ATTACKS)
async def test_it_is_shown_and_nothing_of_it_runs_or_is_fetched(stage: Stage, name: str) -> None:
    frame = stage.look(name)
    assert SEEN in frame.evaluate("document.body.innerText")
    if name in BY_CLICK:
        click(stage, frame)
    await heard_where_nobody_holds_it_back(stage, name)
    # What would have been asked for before has been by now.
    assert stage.told() == [] and stage.left() == []


async def heard_where_nobody_holds_it_back(stage: Stage, name: str) -> None:
    # A socket of its own: a connection that was opened for another attack would be used again.
    with closing(Trap()) as control, stage.browser.page() as page:
        html = mails.page(ATTACKS[name].format(trap=control.url))
        if name in BY_POLICY:  # the page as it is served, without its policy
            made = preview(read(mails.as_mail(html, name)))
            assert made is not None
            html = made.document
        Unheld.pages[f"/{name}"] = html.encode()
        page.call("Page.navigate", url=f"{stage.unheld}/{name}")
        if name in BY_CLICK:
            page.wait_for("Page.loadEventFired")
            page.click(*page.evaluate(MIDDLE))
        await eventually(lambda: control.heard)


@pytest.mark.parametrize("name", STRUCTURES)
def test_whatever_it_is_made_of_it_is_shown(stage: Stage, name: str) -> None:
    tab = "text" if name in ("nested", "large_text") else "html"
    if tab == "html":
        shown = stage.look(name)
    else:
        shown = stage.page
        shown.open(f"{stage.url}{stage.path(name)}/text")
    assert shown.evaluate(f"document.body.textContent.includes({SEEN!r})")
    tabs = ("attachments", "source", "tech") if name.startswith(("large", "ten")) else TABS
    answers = {each: stage.get(f"{stage.path(name)}/{each}") for each in tabs}
    assert {status for status, _ in answers.values()} == {200}
    assert all(name.encode() in body for _, body in answers.values())
    assert stage.told() == [] and stage.left() == []
