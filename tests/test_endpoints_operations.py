"""Over real sockets: which host names are served and what their first label chooses, health, metrics, the control socket."""

import http.client
import json
import socket
import stat
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from mailferry import __version__
from tests.commands import first_run
from tests.peers.process import free_port
from tests.server import Mailferry, message

#: Requests from this address come from a proxy that the settings trust; those from 127.0.0.1 do not.
PROXY = "127.0.0.2"
DEMO_MAIL = message("success@simulator.demo.mailferry.test", sender="hello@demo.mailferry.test")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mailferry]:
    settings = {
        "dns.nameservers": f"127.0.0.1:{free_port()}",
        "server.public_url": "https://Ferry.Example.TEST:9443/",
        "http.hosts": "mail.example.test, *.apps.example.test",
        "server.trusted_proxies": f"{PROXY}/32",
        "log.level": "debug",
    }
    made = Mailferry(tmp_path_factory.mktemp("operations") / "data", settings)
    made.start()
    yield made
    made.stop()


def get(
    server: Mailferry, host: str | None, path: str = "/health", *, source: str = "127.0.0.1", **headers: str
) -> tuple[int, Any]:
    """One request under a Host header as given, or without one."""
    connection = http.client.HTTPConnection("127.0.0.1", server.http, timeout=30, source_address=(source, 0))
    try:
        connection.putrequest("GET", path, skip_host=True)
        for name, value in ({"host": host} if host is not None else {}).items() | headers.items():
            connection.putheader(name.replace("_", "-"), value)
        connection.endheaders()
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


# --- host names -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "LOCALHOST:8025",
        "localhost.",
        "localhost.:1",
        "127.0.0.1:65535",
        "[::1]",
        "[0:0::1]:8025",
        "ferry.example.test",
        "FERRY.example.test.:443",
        "mail.example.test",
        "one.apps.example.test",
        "send.localhost",
        "bulk.localhost:8025",
        "sandbox.mail.example.test",
        "bulk.one.apps.example.test",
    ],
)
def test_a_host_that_is_ours_is_served(server: Mailferry, host: str) -> None:
    assert get(server, host) == (200, {"status": "ok", "version": __version__})


@pytest.mark.parametrize(
    "host",
    [
        "evil.test",
        "example.test",
        "localhost.evil.test",
        "evil.localhost",
        "apps.example.test",
        "two.one.apps.example.test",
        "send.bulk.localhost",
        "send.127.0.0.1",
        "127.0.0.2",
        "0.0.0.0",
        "[::2]",
        "localhost:99999",
        "localhost..",
        "evil.test, localhost",
        "user@localhost",
    ],
)
def test_a_foreign_host_is_misdirected(server: Mailferry, host: str) -> None:
    """Whatever a browser was made to believe (DNS rebinding), it is told nothing, even with a right token."""
    token = first_run(server)["api_token"]
    for path in ("/health", "/api/send", "/api/accounts/1/email_logs", "/"):
        status, body = get(server, host, path, authorization=f"Bearer {token}")
        assert status == 421 and "[http] hosts" in body["error"]


def test_without_a_host_nothing_is_served(server: Mailferry) -> None:
    with socket.create_connection(("127.0.0.1", server.http), timeout=30) as raw:
        raw.sendall(b"GET /health HTTP/1.1\r\nConnection: close\r\n\r\n")
        status = raw.makefile("rb").readline().split()[1]
    assert status in (b"400", b"421")


def test_a_forwarded_host_counts_from_a_trusted_proxy_alone(server: Mailferry) -> None:
    ours, evil = {"x_forwarded_host": "mail.example.test"}, {"x_forwarded_host": "evil.test"}
    assert get(server, "inside.test", **ours)[0] == 421
    assert get(server, "localhost", **evil)[0] == 200
    assert get(server, "inside.test", source=PROXY, **ours)[0] == 200
    assert get(server, "localhost", source=PROXY, **evil)[0] == 421
    # Two proxies in a row: what the one beside us wrote stands last.
    both = {"x_forwarded_host": "evil.test, mail.example.test"}
    assert get(server, "inside.test", source=PROXY, **both)[0] == 200


def test_the_first_label_chooses_the_stream(server: Mailferry) -> None:
    token = first_run(server)["api_token"]
    sent = {}
    hosts = {
        "localhost": "",
        "send.localhost": "",
        "bulk.localhost:1": "",
        "bulk.mail.example.test": "",
        "LOCALHOST": "/bulk",
    }
    for host, prefix in hosts.items():
        status, answer = server.post(f"{prefix}/api/send", DEMO_MAIL, token, {"Host": host})
        assert status == 200, answer
        sent[host] = answer["message_ids"][0]
    streams = {each["id"]: each["stream"] for each in server.ask("messages.list")}
    assert {host: streams[identity] for host, identity in sent.items()} == {
        "localhost": "transactional",
        "send.localhost": "transactional",
        "bulk.localhost:1": "bulk",
        "bulk.mail.example.test": "bulk",
        "LOCALHOST": "bulk",
    }
    before = len(server.ask("messages.list", limit=1000))
    for path in ("/api/send", "/api/batch"):
        status, _ = server.post(path, DEMO_MAIL, token, {"Host": "sandbox.localhost"})
        assert 400 <= status < 500
    status, caught = server.post("/api/send/1", DEMO_MAIL, token, {"Host": "sandbox.localhost"})
    assert status == 200 and caught["message_ids"][0].isdecimal()
    assert len(server.ask("messages.list", limit=1000)) == before


# --- the front page ---------------------------------------------------------------------------------------------------

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8"


@pytest.mark.parametrize(
    ("accept", "kind"),
    [(BROWSER, "text/html"), ("*/*", "text/plain"), (None, "text/plain"), ("text/plain", "text/plain")],
)
def test_the_address_alone_says_what_is_here(server: Mailferry, accept: str | None, kind: str) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server.http, timeout=30)
    connection.request("GET", "/", headers={"Accept": accept} if accept else {})
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    assert answer.status == 200 and answer.headers["content-type"] == f"{kind}; charset=utf-8"
    assert text.startswith("<!doctype html>") == (kind == "text/html")
    assert f"Mailferry {__version__}" in text and "/health" in text and "/api/send" in text and "docs" in text
    assert ('href="/api/docs"' in text and 'href="/api/openapi.json"' in text) == (kind == "text/html")
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    # It tells nothing of this installation.
    for own in ("mail.mailferry.test", "example.test", str(server.data), str(server.smtp), "mailferry.test"):
        assert own not in text


def test_a_client_of_an_api_is_told_that_its_path_is_missing(server: Mailferry) -> None:
    for method, path in (("GET", "/"), ("GET", "/favicon.ico"), ("GET", "//"), ("GET", "/index.html")):
        status, body = server.request(method, path, headers={"Accept": "application/json"})
        assert (status, body) == (404, {"error": "Not Found"})
    assert server.request("GET", "/nothing", headers={"Accept": BROWSER}) == (404, {"error": "Not Found"})
    # That is Amazon's API, which answers in its own shape.
    status, text = fetch(server.http, "/", method="POST")
    assert (status, "MissingAuthenticationToken" in text) == (403, True)


# --- health and metrics -----------------------------------------------------------------------------------------------


def test_metrics_have_a_listener_of_their_own(server: Mailferry) -> None:
    server.post("/api/send", DEMO_MAIL, first_run(server)["api_token"])
    text = fetch(server.metrics, "/metrics")[1]
    assert float(text.partition('mailferry_http_seconds_count{status="2xx"} ')[2].partition("\n")[0]) >= 1
    assert "\nmailferry_queue_recipients{" in text and "\nmailferry_commit_groups " in text
    assert fetch(server.metrics, "/api/send")[0] == fetch(server.metrics, "/")[0] == 404
    assert fetch(server.http, "/metrics")[0] == 404
    assert fetch(server.metrics, "/health")[0] == 200


def fetch(port: int, path: str, *, method: str = "GET") -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request(method, path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


# --- the control socket -----------------------------------------------------------------------------------------------


class Line:
    """A connection to the control socket."""

    def __init__(self, server: Mailferry) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(30)
        self._socket.connect(str(server.data / "control.sock"))
        self._lines = self._socket.makefile("rb")

    def __enter__(self) -> "Line":
        return self

    def __exit__(self, *_: object) -> None:
        self._lines.close()
        self._socket.close()

    def say(self, octets: bytes) -> None:
        self._socket.sendall(octets)

    def hear(self) -> Any:
        return json.loads(self._lines.readline() or b"null")


def test_the_control_socket_is_the_operator_s_alone(server: Mailferry) -> None:
    assert stat.S_IMODE((server.data / "control.sock").stat().st_mode) == 0o600


def test_what_it_does_not_understand_it_says_and_goes_on(server: Mailferry) -> None:
    with Line(server) as line:
        for octets, text in (
            (b"nonsense\n", "not understood; is this command line of another version than the server?"),
            (b"[]\n", "not understood; "),
            (b"{}\n", "not understood; "),
            (b'{"verb":"domains.paint"}\n', "the server knows no domains.paint; is it of another version"),
            (b'{"verb":"domains.add","arguments":{"colour":"red"}}\n', "the server could not do it: TypeError"),
            (b'{"verb":"domains.add","arguments":{"domain":"a b"}}\n', "'a b' is no domain name"),
        ):
            line.say(octets)
            assert line.hear()["error"].startswith(text)
        line.say(b'{"verb":"queue.list"}\n{"verb":"messages.list","arguments":{"limit":1}}\n')
        assert "waiting" in line.hear()["result"]
        assert isinstance(line.hear()["result"], list)


def test_clients_that_leave_or_never_end_do_no_harm(server: Mailferry) -> None:
    with Line(server) as line:
        line.say(b'{"verb":"messages.list"}\n{"verb":')
    with Line(server) as line, pytest.raises((ConnectionError, AssertionError)):
        for _ in range(64):
            line.say(b"x" * (1 << 16))
        assert line.hear() is not None
    assert isinstance(server.ask("domains.list"), list)


def test_many_commands_at_once(server: Mailferry) -> None:
    def add(number: int) -> str:
        server.ask("messages.list")
        return str(server.ask("domains.add", domain=f"d{number % 4}.test")["domain"])

    with ThreadPoolExecutor(8) as threads:
        added = sorted(threads.map(add, range(8)))
    assert added == sorted([f"d{number}.test" for number in range(4)] * 2)
    names = [each["domain"] for each in server.ask("domains.list")]
    assert len(names) == len(set(names)) == 5


def test_where_nobody_looks_no_secret_is_shown(server: Mailferry) -> None:
    """Standard output and standard error go into a file here: neither the card nor a log line holds what was made."""
    made = first_run(server)
    server.post("/api/send", DEMO_MAIL, made["api_token"])
    written = server.log.read_text()
    assert f"Mailferry runs. Credentials: {sys.executable} -m mailferry credentials --data {server.data}\n" in written
    assert '"event": "started"' in written and '"event": "http"' in written
    for secret in (made["api_token"], made["sandbox"]["password"], made["owner"]["password"]):
        assert secret not in written
