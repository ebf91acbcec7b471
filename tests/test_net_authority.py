"""The local authority, judged by strangers: Python's TLS over a real socket, openssl, curl, Node.js, requests."""

import asyncio
import contextlib
import http.server
import os
import shlex
import shutil
import socket
import ssl
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509

from mailferry.net.authority import (
    AuthorityError,
    ca_file,
    create_authority,
    ensure_authority,
    ensure_server_certificate,
    issue,
    issued_hosts,
    remember_hosts,
    stale,
)
from mailferry.net.hosts import BadHost, certificate_names
from mailferry.net.tls_server import HotContext, server_context
from mailferry.net.trust import trust_instructions

NOW = datetime.now(UTC).replace(microsecond=0)
HOSTS = certificate_names(["mail.example.com", "*.apps.example", "192.0.2.7"])
DAY_MS = 86_400_000


class Clock:
    """Unix milliseconds that a test moves; it starts now, since clients judge by their own clock."""

    def __init__(self) -> None:
        self.ms = int(NOW.timestamp() * 1000)

    def __call__(self) -> int:
        return self.ms

    def forward(self, days: int) -> None:
        self.ms += days * DAY_MS


@pytest.fixture
def clock() -> Clock:
    return Clock()


def certificate(path: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(path.read_bytes())


def strict_client(ca: Path) -> ssl.SSLContext:
    """As Python 3.13 and newer check by default (RFC 5280 to the letter)."""
    context = ssl.create_default_context(cafile=str(ca))
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    return context


class Hello(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "5")
        self.end_headers()
        self.wfile.write(b"hello")

    def log_message(self, *_: object) -> None: ...


@contextlib.contextmanager
def serving(context: ssl.SSLContext) -> Iterator[int]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hello) as server:
        server.daemon_threads = True
        server.handle_error = lambda *_: None  # type: ignore[method-assign]  # clients that refuse us are the point
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


def handshake(port: int, client: ssl.SSLContext, name: str) -> ssl.SSLSocket:
    with socket.create_connection(("127.0.0.1", port), timeout=5) as raw:
        return client.wrap_socket(raw, server_hostname=name)


def serial_shown(port: int, ca: Path) -> int:
    with handshake(port, strict_client(ca), "localhost") as connection:
        shown = connection.getpeercert(binary_form=True)
    assert shown is not None
    return x509.load_der_x509_certificate(shown).serial_number


# --- certificates -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    ["localhost", "send.localhost", "127.0.0.1", "::1", "mail.example.com", "bulk.mail.example.com", "a.apps.example"],
)
def test_a_strict_client_trusts_every_name_over_a_socket(tmp_path: Path, name: str) -> None:
    pair = ensure_server_certificate(tmp_path, HOSTS)
    with (
        serving(server_context(*pair)) as port,
        handshake(port, strict_client(ca_file(tmp_path)), name) as connection,
    ):
        assert connection.version() == "TLSv1.3"


@pytest.mark.parametrize("name", ["example.com", "other.mail.example.com", "a.b.apps.example", "127.0.0.2"])
def test_a_client_refuses_a_name_that_was_not_issued(tmp_path: Path, name: str) -> None:
    pair = ensure_server_certificate(tmp_path, HOSTS)
    with (
        serving(server_context(*pair)) as port,
        pytest.raises(ssl.SSLCertVerificationError),
    ):
        handshake(port, strict_client(ca_file(tmp_path)), name)


def test_a_client_without_the_authority_refuses(tmp_path: Path) -> None:
    pair = ensure_server_certificate(tmp_path, HOSTS)
    other = tmp_path / "other"
    ensure_authority(other)
    with serving(server_context(*pair)) as port, pytest.raises(ssl.SSLCertVerificationError):
        handshake(port, strict_client(ca_file(other)), "localhost")


@pytest.mark.skipif(not shutil.which("openssl"), reason="openssl is not installed")
@pytest.mark.parametrize(
    ("flag", "name", "right"),
    [
        ("-verify_hostname", "send.mail.example.com", True),
        ("-verify_hostname", "a.apps.example", True),
        ("-verify_ip", "192.0.2.7", True),
        ("-verify_ip", "::1", True),
        ("-verify_hostname", "example.com", False),
        ("-verify_ip", "192.0.2.8", False),
    ],
)
def test_openssl_agrees(tmp_path: Path, flag: str, name: str, right: bool) -> None:
    pem, _ = ensure_server_certificate(tmp_path, HOSTS)
    command = ["openssl", "verify", "-x509_strict", "-purpose", "sslserver", "-CAfile", ca_file(tmp_path), flag, name]
    done = subprocess.run([*command, pem], capture_output=True, text=True, check=False)
    assert (done.returncode == 0) == right, done.stderr


def test_what_is_in_the_certificates() -> None:
    authority = create_authority(NOW)
    pem = issue(authority, ["mail.example.com"], NOW).certificate
    leaf = x509.load_pem_x509_certificate(pem)
    root = authority.certificate
    assert root.subject.rfc4514_string() == "CN=Mailferry local authority"
    assert timedelta(days=3651) < root.not_valid_after_utc - NOW < timedelta(days=3653)
    assert root.extensions.get_extension_for_class(x509.BasicConstraints).value.path_length == 0
    assert leaf.not_valid_after_utc - leaf.not_valid_before_utc == timedelta(days=397)
    assert leaf.not_valid_before_utc < NOW
    assert leaf.public_key().curve.name == root.public_key().curve.name == "secp256r1"  # type: ignore[union-attr]
    assert not leaf.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert pem.count(b"BEGIN") == 1


def test_a_certificate_does_not_outlive_its_authority() -> None:
    authority = create_authority(NOW)
    late = authority.certificate.not_valid_after_utc - timedelta(days=40)
    leaf = x509.load_pem_x509_certificate(issue(authority, ["localhost"], late).certificate)
    assert leaf.not_valid_after_utc <= authority.certificate.not_valid_after_utc


@pytest.mark.parametrize("hosts", [[], ["https://localhost"], ["localhost:8443"], ["a..b"]])
def test_what_is_no_host_is_refused(hosts: list[str]) -> None:
    with pytest.raises(BadHost):
        issue(create_authority(NOW), hosts, NOW)


# --- files ------------------------------------------------------------------------------------------------------------


def test_private_keys_are_ours_alone_and_nothing_else_is_left(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        ensure_server_certificate(tmp_path, HOSTS)
        remember_hosts(tmp_path, ["mail.example.com"])
    finally:
        os.umask(before)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "ca").iterdir()}
    assert modes == {
        "ca.key": 0o600,
        "server.key": 0o600,
        "ca.pem": 0o644,
        "server.pem": 0o644,
        "hosts.json": 0o644,
    }


def test_nothing_is_issued_twice_without_a_reason(tmp_path: Path, clock: Clock) -> None:
    pair = ensure_server_certificate(tmp_path, HOSTS, clock=clock)
    before = {path.name: path.read_bytes() for path in (tmp_path / "ca").iterdir()}
    clock.forward(days=300)
    assert ensure_server_certificate(tmp_path, list(reversed(HOSTS)), clock=clock) == pair
    assert {path.name: path.read_bytes() for path in (tmp_path / "ca").iterdir()} == before


def test_new_names_and_the_end_of_a_certificate_are_reasons_and_the_key_stays(tmp_path: Path, clock: Clock) -> None:
    pem, key = ensure_server_certificate(tmp_path, ["localhost"], clock=clock)
    first, key_bytes = certificate(pem), key.read_bytes()
    ensure_server_certificate(tmp_path, ["localhost", "mail.example.com"], clock=clock)
    second = certificate(pem)
    clock.forward(days=368)
    ensure_server_certificate(tmp_path, ["localhost", "mail.example.com"], clock=clock)
    third = certificate(pem)
    assert len({first.serial_number, second.serial_number, third.serial_number}) == 3
    assert third.not_valid_after_utc - second.not_valid_after_utc == timedelta(days=368)
    assert key.read_bytes() == key_bytes
    server_context(pem, key)


def test_an_authority_near_its_end_is_renewed_and_what_it_issued_still_verifies(tmp_path: Path, clock: Clock) -> None:
    pem, _ = ensure_server_certificate(tmp_path, ["localhost"], clock=clock)
    old, leaf = certificate(ca_file(tmp_path)), certificate(pem)
    clock.forward(days=3640)
    authority = ensure_authority(tmp_path, clock=clock)
    assert authority.certificate == certificate(ca_file(tmp_path)) != old
    assert authority.certificate.public_key() == old.public_key()
    leaf.verify_directly_issued_by(authority.certificate)


def test_another_authority_is_a_reason_to_issue_again() -> None:
    leaf = x509.load_pem_x509_certificate(issue(create_authority(NOW), ["localhost"], NOW).certificate)
    assert stale(leaf, create_authority(NOW), ["localhost"], NOW) == "another authority issued it"


def test_a_first_start_that_was_cut_off_is_finished(tmp_path: Path) -> None:
    ensure_authority(tmp_path)
    key = (tmp_path / "ca" / "ca.key").read_bytes()
    ca_file(tmp_path).unlink()
    ensure_authority(tmp_path)
    assert (tmp_path / "ca" / "ca.key").read_bytes() == key


@pytest.mark.parametrize("broken", ["ca.key", "ca.pem"])
def test_a_broken_authority_is_not_replaced(tmp_path: Path, broken: str) -> None:
    ensure_authority(tmp_path)
    (tmp_path / "ca" / broken).write_text("nonsense")
    with pytest.raises(AuthorityError, match=broken):
        ensure_authority(tmp_path)
    assert (tmp_path / "ca" / broken).read_text() == "nonsense"


def test_an_authority_without_its_key_is_not_replaced(tmp_path: Path) -> None:
    ensure_authority(tmp_path)
    (tmp_path / "ca" / "ca.key").unlink()
    with pytest.raises(AuthorityError, match=r"ca\.key"):
        ensure_authority(tmp_path)


def test_a_key_of_another_authority_is_found_out(tmp_path: Path) -> None:
    ensure_authority(tmp_path)
    ensure_authority(tmp_path / "other")
    shutil.copy(tmp_path / "other" / "ca" / "ca.key", tmp_path / "ca" / "ca.key")
    with pytest.raises(AuthorityError, match="does not belong"):
        ensure_authority(tmp_path)


@pytest.mark.parametrize("broken", ["server.key", "server.pem"])
def test_a_broken_server_certificate_is_replaced(tmp_path: Path, broken: str) -> None:
    pair = ensure_server_certificate(tmp_path, ["localhost"])
    (tmp_path / "ca" / broken).write_text("nonsense")
    assert ensure_server_certificate(tmp_path, ["localhost"]) == pair
    server_context(*pair)


def test_issued_names_are_remembered(tmp_path: Path) -> None:
    assert issued_hosts(tmp_path) == set()
    remember_hosts(tmp_path, ["Send.API.mailtrap.io", "*.apps.example"])
    assert remember_hosts(tmp_path, ["[2001:DB8::1]"]) == {"send.api.mailtrap.io", "*.apps.example", "2001:db8::1"}
    assert issued_hosts(tmp_path) == {"send.api.mailtrap.io", "*.apps.example", "2001:db8::1"}
    with pytest.raises(BadHost):
        remember_hosts(tmp_path, ["fine.example", "not fine"])
    assert "fine.example" not in issued_hosts(tmp_path)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"hosts": 1}', '{"hosts": [1]}', '{"hosts": ["a b"]}', "\xff"])
def test_a_broken_list_of_names_says_which_file(tmp_path: Path, content: str) -> None:
    (tmp_path / "ca").mkdir()
    (tmp_path / "ca" / "hosts.json").write_text(content, "latin-1")
    with pytest.raises(AuthorityError, match=r"hosts\.json"):
        issued_hosts(tmp_path)


# --- listening --------------------------------------------------------------------------------------------------------


def test_old_tls_is_refused(tmp_path: Path) -> None:
    pair = ensure_server_certificate(tmp_path, HOSTS)
    client = strict_client(ca_file(tmp_path))
    with pytest.warns(DeprecationWarning):
        client.minimum_version = client.maximum_version = ssl.TLSVersion.TLSv1_1
    client.set_ciphers("DEFAULT@SECLEVEL=0")
    with serving(server_context(*pair)) as port, pytest.raises((ssl.SSLError, ConnectionError)):
        handshake(port, client, "localhost")


@pytest.mark.parametrize(("alpn", "chosen"), [(("http/1.1",), "http/1.1"), ((), None)])
def test_alpn(tmp_path: Path, alpn: tuple[str, ...], chosen: str | None) -> None:
    pair = ensure_server_certificate(tmp_path, HOSTS)
    client = strict_client(ca_file(tmp_path))
    client.set_alpn_protocols(["h2", "http/1.1"])
    with (
        serving(HotContext(*pair, alpn=alpn).context) as port,
        handshake(port, client, "localhost") as connection,
    ):
        assert connection.selected_alpn_protocol() == chosen


def test_a_listening_context_takes_a_new_certificate_and_keeps_the_old_one_when_files_are_bad(tmp_path: Path) -> None:
    pem, key = ensure_server_certificate(tmp_path, ["localhost"])
    hot = HotContext(pem, key)
    ca = ca_file(tmp_path)
    with serving(hot.context) as port:
        first = serial_shown(port, ca)
        ensure_server_certificate(tmp_path, ["localhost", "mail.example.com"])
        assert serial_shown(port, ca) == first
        hot.reload()
        second = serial_shown(port, ca)
        assert second == certificate(pem).serial_number != first
        with handshake(port, strict_client(ca), "mail.example.com"):
            pass

        good = key.read_bytes()
        shutil.copy(tmp_path / "ca" / "ca.key", key)
        with pytest.raises(ssl.SSLError):
            hot.reload()
        key.unlink()
        with pytest.raises(OSError):
            hot.reload()
        assert serial_shown(port, ca) == second
        key.write_bytes(good)
        hot.reload()
        assert serial_shown(port, ca) == second


async def test_a_reload_reaches_asyncios_listeners_too(tmp_path: Path) -> None:
    hot = HotContext(*ensure_server_certificate(tmp_path, ["localhost"]), alpn=())
    client = strict_client(ca_file(tmp_path))

    async def greet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220\r\n")
        writer.close()

    async def greeting(name: str) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=client, server_hostname=name)
        line = await reader.readline()
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
        return line

    async with await asyncio.start_server(greet, "127.0.0.1", 0, ssl=hot.context) as server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(ssl.SSLCertVerificationError):
            await greeting("mail.example.com")
        ensure_server_certificate(tmp_path, ["localhost", "mail.example.com"])
        hot.reload()
        assert await greeting("mail.example.com") == b"220\r\n"


# --- trust ------------------------------------------------------------------------------------------------------------

REQUESTS = "import requests; print(requests.get('URL').text)"
URLLIB = "from urllib.request import urlopen; print(urlopen('URL').read())"
NODE = "require('https').get('URL', (r) => r.on('data', (d) => console.log(String(d))))"
CLIENTS = {
    "curl": "",
    "Python requests, Mailtrap's Python SDK": f'{shlex.quote(sys.executable)} -c "{REQUESTS}"',
    "Python ssl, smtplib, httpx": f'{shlex.quote(sys.executable)} -c "{URLLIB}"',
    "Node.js": f'node -e "{NODE}"',
}


@pytest.mark.parametrize("client", list(CLIENTS))
def test_a_client_that_follows_the_printed_lines_gets_through(tmp_path: Path, client: str) -> None:
    program = {"curl": "curl", "Node.js": "node"}.get(client, "sh")
    if not shutil.which(program):
        pytest.skip(f"{program} is not installed")
    data = tmp_path / "it's a folder"
    pair = ensure_server_certificate(data, ["localhost"])
    lines = dict(trust_instructions(ca_file(data)))[client]
    run_python = Path(sys.executable).parent
    with serving(server_context(*pair)) as port:
        url = f"https://localhost:{port}/"
        script = "\n".join([*lines, CLIENTS[client].replace("URL", url)]).replace("...", f"-sS {url}")
        env = {"PATH": f"{run_python}:{os.environ['PATH']}", "NO_PROXY": "*"}
        done = subprocess.run(["sh", "-ec", script], env=env, capture_output=True, text=True, timeout=60, check=False)
        without = subprocess.run(
            ["sh", "-ec", CLIENTS[client].replace("URL", url) or f"curl -sS {url}"],
            env=env, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
    assert (done.returncode, "hello" in done.stdout) == (0, True), done.stderr
    assert without.returncode != 0


def test_the_documentation_shows_the_same_lines() -> None:
    page = (Path(__file__).parent.parent / "docs" / "certificates.md").read_text("utf-8")
    for client, lines in trust_instructions(Path("/DATA/ca/ca.pem")):
        command = next(line for line in lines if not line.startswith("#"))
        assert f"| {client} | `{command.replace('/DATA/', 'DATA/')}` |" in page


def test_every_printed_line_is_a_remark_or_shell_that_names_the_file(tmp_path: Path) -> None:
    ca = tmp_path / "it's" / "ca.pem"
    for client, lines in trust_instructions(ca):
        assert any(not line.startswith("#") for line in lines), client
        for line in lines:
            subprocess.run(["sh", "-n", "-c", line], check=True)
            assert line.startswith("#") or "ca.pem" in line
