"""The HTTP server's patience and its bounds, over sockets, with limits so small that a test reaches them."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import msgspec
import pytest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mailferry.endpoints.hosts import Hosts
from mailferry.endpoints.http_limits import HttpLimits
from mailferry.endpoints.http_protocol import HttpProtocol
from mailferry.endpoints.listeners import Listener, address_of, bind
from mailferry.net.hosts import HostRules, trusted_networks
from tests.fakes.certificates import make

HEAD = b"POST /path HTTP/1.1\r\nHost: localhost\r\n"
WHOLE = HEAD + b"Content-Length: 2\r\n\r\n{}"
#: A test that hangs has failed.
PATIENCE = 20.0


class App:
    """Says what it was sent; under /early it does not wait for it, under /held it waits for ``release``."""

    def __init__(self) -> None:
        self.release = asyncio.Event()
        self.entered = asyncio.Event()
        self.gone = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.entered.set()
        if scope["path"] == "/broken":
            raise RuntimeError("a bug")
        if scope["path"] == "/held":
            await self.release.wait()
        heard = b"" if scope["path"] == "/early" else await self._body(receive)
        if heard is None:
            self.gone += 1
            return
        answer = heard or scope["path"].encode()
        if scope["path"] == "/large":
            answer = b"x" * (16 << 20)
        names = b",".join(name for name, _ in scope["headers"])
        fields = [(b"content-length", b"%d" % len(answer)), (b"x-fields", names)]
        fields.append((b"x-client", scope["mailferry.client_ip"].encode()))
        await send({"type": "http.response.start", "status": 200, "headers": fields})
        await send({"type": "http.response.body", "body": answer})

    async def _body(self, receive: Receive) -> bytes | None:
        heard = b""
        while True:
            message: Message = await receive()
            if message["type"] == "http.disconnect":
                return None
            heard += bytes(message["body"])
            if not message["more_body"]:
                return heard


class Client:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    def say(self, octets: bytes) -> None:
        self.writer.write(octets)

    async def hear(self) -> tuple[int, str, bytes]:
        """Status, head and body of one answer."""
        async with asyncio.timeout(PATIENCE):
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode()
            size = next(int(line[16:]) for line in head.splitlines() if line.startswith("content-length: "))
            return int(head[9:12]), head, await self.reader.readexactly(size)

    async def refusal(self) -> tuple[int, str]:
        status, head, body = await self.hear()
        said = msgspec.json.decode(body)
        assert said["success"] is False and said["errors"] == [said["error"]]
        assert "content-type: application/json" in head
        return status, said["error"]

    async def end(self) -> None:
        """Wait until the server has closed, and nothing more was said."""
        async with asyncio.timeout(PATIENCE):
            with suppress(ConnectionResetError):
                assert await self.reader.read() == b""


class House:
    def __init__(self, listener: Listener, app: App, port: int, context: ssl.SSLContext | None) -> None:
        self.listener, self.app = listener, app
        self._port, self._context = port, context

    @asynccontextmanager
    async def client(self, limit: int = 1 << 16) -> AsyncIterator[Client]:
        """``limit``: octets of answers that it reads before they are looked at."""
        name = "localhost" if self._context else None
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", self._port, ssl=self._context, server_hostname=name, limit=limit
        )
        yield Client(reader, writer)
        writer.transport.abort()

    async def empty(self) -> None:
        async with asyncio.timeout(PATIENCE):
            while self.listener.server_state.connections:
                await asyncio.sleep(0.01)


@asynccontextmanager
async def serving(*, trusted: str = "", tls: bool = False, **limits: float) -> AsyncIterator[House]:
    class Quick(HttpProtocol):
        pass

    Quick.limits = HttpLimits(**limits)  # type: ignore[arg-type]  # some are whole numbers
    app, bound = App(), bind("127.0.0.1", 0)
    whole: ASGIApp = Hosts(app, HostRules(), trusted_networks([trusted] if trusted else []))
    certificates = make("localhost", "127.0.0.1") if tls else None
    listener = Listener(whole, bound, certificates.server if certificates else None, Quick)
    await listener.open()
    try:
        yield House(listener, app, address_of(bound)[1], certificates.client if certificates else None)
    finally:
        app.release.set()
        await listener.close()


# --- patience ------------------------------------------------------------------------------------------------------


async def test_who_is_silent_is_let_go_without_a_word() -> None:
    async with serving(head_time=0.1) as house, house.client() as client:
        await client.end()
        await house.empty()


@pytest.mark.parametrize("beginning", [b"GET /pa", HEAD, WHOLE + b"GET /pa"])
async def test_a_head_that_does_not_come_is_408(beginning: bytes) -> None:
    async with serving(head_time=0.2, linger=0.1) as house, house.client() as client:
        client.say(beginning)
        if beginning.startswith(WHOLE):
            assert (await client.hear())[0] == 200
            client.say(b"th")  # one more octet does not buy more time
        assert await client.refusal() == (408, "Request Timeout: the head did not arrive in time")
        await client.end()
        await house.empty()


async def test_empty_lines_after_an_answer_hold_nothing_open() -> None:
    async with serving(head_time=0.2) as house, house.client() as client:
        client.say(WHOLE)
        await client.hear()
        client.say(b"\r\n")
        await client.end()


@pytest.mark.parametrize("tls", [False, True])
async def test_who_is_answered_in_the_middle_of_a_body_hears_it_and_has_to_go(tls: bool) -> None:
    async with serving(linger=0.3, tls=tls) as house, house.client() as client:
        client.say(b"POST /early HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000000\r\n\r\n" + b"x" * 1000)
        status, head, _ = await client.hear()
        assert status == 200 and "connection: close" in head
        client.say(b"x" * 1_000_000)  # is read, and thrown away
        await client.end()
        await house.empty()


async def test_who_does_not_read_its_answers_is_cut_off() -> None:
    async with serving(write=0.2) as house, house.client(limit=1) as client:
        client.say(b"GET /large HTTP/1.1\r\nHost: localhost\r\n\r\n" * 4)
        await house.app.entered.wait()
        await house.empty()


async def test_a_half_closed_client_gets_its_answer() -> None:
    async with serving() as house, house.client() as client:
        client.say(b"GET /held HTTP/1.1\r\nHost: localhost\r\n\r\n")
        client.writer.write_eof()
        await house.app.entered.wait()
        await asyncio.sleep(0.05)
        house.app.release.set()
        assert (await client.hear())[2] == b"/held"
        await client.end()


async def test_a_client_that_goes_in_the_middle_of_its_body_ends_the_request() -> None:
    async with serving() as house:
        async with house.client() as client:
            client.say(HEAD + b"Content-Length: 5\r\n\r\n{")
            await house.app.entered.wait()
        await house.empty()
        async with asyncio.timeout(PATIENCE):
            while house.app.gone != 1:
                await asyncio.sleep(0.01)


# --- bounds --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("octets", "status"),
    [
        (b"GET /" + b"a" * 2000 + b" HTTP/1.1\r\n", 414),
        (b"GET /" + b"a" * 2000, 414),
        (HEAD + b"X: " + b"a" * 2000 + b"\r\n\r\n", 431),
        (HEAD + b"X: " + b"a" * 2000, 431),
        (HEAD + b"X: 1\r\n" * 20 + b"\r\n", 431),
        (b"\r\n" * 1000, 431),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n1;" + b"a" * 2000, 431),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n0\r\nX: " + b"a" * 2000, 431),
    ],
)
async def test_heads_trailers_and_extensions_are_bounded_however_they_come(octets: bytes, status: int) -> None:
    async with serving(head=1000, fields=10, linger=0.1) as house:
        for size in (len(octets), 100):
            async with house.client() as client:
                for start in range(0, len(octets), size):
                    client.say(octets[start : start + size])
                    await asyncio.sleep(0)
                assert (await client.refusal())[0] == status
                await client.end()


async def test_many_small_chunks_are_a_body_like_any_other() -> None:
    async with serving(head=1000) as house, house.client() as client:
        client.say(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
        for _ in range(1000):
            client.say(b"1;x=y\r\na\r\n")
            await asyncio.sleep(0)
        client.say(b"0\r\n\r\n")
        assert (await client.hear())[2] == b"a" * 1000


@pytest.mark.parametrize("upgrade", [b"", b"Connection: upgrade\r\nUpgrade: h2c\r\n"])
async def test_chunks_without_number_must_carry_something(upgrade: bytes) -> None:
    head = HEAD + upgrade + b"Transfer-Encoding: chunked\r\n\r\n"
    async with serving(chunks=100, chunk_size=8, linger=0.1) as house, house.client() as client:
        for _ in range(2):
            client.say(head + b"1\r\na\r\n" * 99 + b"0\r\n\r\n")
            assert (await client.hear())[2] == b"a" * 99
        client.say(head + b"8\r\naaaaaaaa\r\n" * 1000 + b"0\r\n\r\n")
        assert (await client.hear())[2] == b"a" * 8000
        client.say(head + b"1\r\na\r\n" * 1000)
        status, text = await client.refusal()
        assert (status, "too many small chunks" in text) == (400, True)
        await client.end()


async def test_connections_are_bounded() -> None:
    async with serving(connections=2) as house, house.client() as one, house.client() as two, house.client() as three:
        text = "Service Unavailable: too many connections, try again later"
        assert await three.refusal() == (503, text)
        await three.end()
        for client in (one, two):
            client.say(WHOLE)
            assert (await client.hear())[0] == 200


async def test_what_is_sent_ahead_waits_unread_and_is_answered_in_order() -> None:
    async with serving(pipelined=3) as house, house.client() as client:
        client.say(b"".join(b"GET /%d HTTP/1.1\r\nHost: localhost\r\n\r\n" % number for number in range(9)))
        assert [(await client.hear())[2] for _ in range(4)] == [b"/0", b"/1", b"/2", b"/3"]
        text = "Bad Request: too many requests sent ahead (maximum is 3)"
        assert await client.refusal() == (400, text)
        await client.end()


# --- what comes behind something -----------------------------------------------------------------------------------


async def test_garbage_behind_requests_is_told_when_they_are_answered() -> None:
    async with serving(linger=0.1) as house, house.client() as client:
        client.say(b"GET /held HTTP/1.1\r\nHost: localhost\r\n\r\n" + WHOLE + b"\0garbage\r\n\r\n")
        await house.app.entered.wait()
        house.app.release.set()
        assert [(await client.hear())[2] for _ in range(2)] == [b"/held", b"{}"]
        assert (await client.refusal())[0] == 400
        await client.end()


@pytest.mark.parametrize("ahead", [b"", WHOLE])
async def test_garbage_in_a_body_is_the_answer_to_its_request(ahead: bytes) -> None:
    async with serving(linger=0.1) as house, house.client() as client:
        client.say(ahead + HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n")
        if ahead:
            assert (await client.hear())[2] == b"{}"
        assert (await client.refusal())[0] == 400
        await client.end()
        assert house.app.gone <= 1


async def test_a_trailer_is_no_header_field() -> None:
    async with serving() as house, house.client() as client:
        client.say(HEAD + b"Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nApi-Token: x\r\n\r\n" + WHOLE)
        _, head, body = await client.hear()
        assert body == b"a" and "api-token" not in head
        assert (await client.hear())[2] == b"{}"


@pytest.mark.parametrize(
    "framing", [b"Content-Length: 2\r\n\r\n{}", b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"]
)
async def test_an_upgrade_is_ignored_and_the_body_read(framing: bytes) -> None:
    async with serving() as house, house.client() as client:
        upgrade = HEAD + b"Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMA\r\n"
        client.say(upgrade + framing + upgrade + b"\r\n" + WHOLE)
        assert [(await client.hear())[2] for _ in range(3)] == [b"{}", b"/path", b"{}"]
        client.say(upgrade + framing)
        assert (await client.hear())[2] == b"{}"


async def test_the_body_behind_an_upgrade_may_come_later_than_its_head() -> None:
    """As Java's HttpClient sends it: head and body are two writes."""
    async with serving() as house, house.client() as client:
        client.say(HEAD + b"Upgrade: h2c\r\nConnection: Upgrade\r\nContent-Length: 4\r\n\r\n")
        await asyncio.sleep(0.05)
        client.say(b"ab")
        await asyncio.sleep(0.05)
        client.say(b"cd" + WHOLE)
        assert [(await client.hear())[2] for _ in range(2)] == [b"abcd", b"{}"]


# --- in front of every application ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        (b"Transfer-Encoding: gzip, chunked", 501),
        (b"Transfer-Encoding: deflate\r\nTransfer-Encoding: chunked", 501),
        (b"Transfer-Encoding: gzip, chunked\r\nConnection: upgrade\r\nUpgrade: h2c", 501),
        (b"Transfer-Encoding: gzip", 400),
        (b"Transfer-Encoding: identity", 400),
    ],
)
async def test_a_coding_that_is_not_understood_ends_the_connection(fields: bytes, status: int) -> None:
    async with serving(linger=0.1) as house, house.client() as client:
        client.say(WHOLE + HEAD + fields + b"\r\n\r\n2\r\n{}\r\n0\r\n\r\n" + WHOLE)
        assert (await client.hear())[0] == 200
        assert (await client.refusal())[0] == status
        await client.end()


async def test_chunked_is_read_however_it_is_spelled() -> None:
    async with serving() as house, house.client() as client:
        client.say(HEAD + b"Transfer-Encoding: ,  CHUNKED \r\n\r\n2\r\n{}\r\n0\r\n\r\n")
        status, _, body = await client.hear()
        assert (status, body) == (200, b"{}")


# --- hosts ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("target", "status", "path"),
    [
        (b"http://localhost", 200, b"/"),
        (b"HTTP://LocalHost:80/path?a=http://evil.test/", 200, b"/path"),
        (b"https://[::1]/path", 200, b"/path"),
        (b"http://localhost//path", 200, b"//path"),
        (b"http://evil.test/path", 421, b""),
        (b"http://evil.test@localhost/path", 400, b""),
        (b"http://localhost:99999/path", 400, b""),
        (b"http://evil.test", 421, b""),
        (b"ftp://localhost/path", 400, b""),
    ],
)
@pytest.mark.parametrize("host", [b"localhost", b"evil.test"])
async def test_a_target_with_a_host_replaces_the_one_of_the_field(
    target: bytes, host: bytes, status: int, path: bytes
) -> None:
    async with serving() as house, house.client() as client:
        client.say(b"GET " + target + b" HTTP/1.1\r\nHost: " + host + b"\r\n\r\n")
        heard, _, body = await client.hear()
        assert heard == status
        assert body == path or heard != 200


async def test_a_bug_and_the_end_of_the_process_are_told_in_our_words() -> None:
    async with serving() as house, house.client() as client, house.client() as other:
        client.say(b"GET /broken HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert await client.refusal() == (500, "Internal server error")
        other.say(b"GET /held HTTP/1.1\r\nHost: localhost\r\n\r\n")
        await house.app.entered.wait()
        async with asyncio.timeout(PATIENCE):
            while not house.listener.server_state.tasks:
                await asyncio.sleep(0.01)
        for task in house.listener.server_state.tasks:
            task.cancel()
        assert await other.refusal() == (
            503,
            "Service Unavailable: the server is shutting down, try again later",
        )


@pytest.mark.parametrize("hosts", [b"", b"Host: localhost\r\n" * 2, b"Host: localhost\r\nHost: evil.test\r\n"])
async def test_exactly_one_host_is_needed(hosts: bytes) -> None:
    async with serving() as house, house.client() as client:
        client.say(b"GET /path HTTP/1.1\r\n" + hosts + b"\r\n")
        assert await client.refusal() == (400, "Bad Request: exactly one Host header is needed")


async def test_a_proxy_may_add_its_own_field_below_what_a_client_made_up() -> None:
    async with serving(trusted="127.0.0.1") as house, house.client() as client:
        client.say(
            b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Forwarded-For: 192.0.2.66\r\nX-Forwarded-For: 192.0.2.7\r\n\r\n"
        )
        _, head, _ = await client.hear()
        assert "x-client: 192.0.2.7\r\n" in head
