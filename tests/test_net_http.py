"""The HTTP client goes nowhere that it must not, whatever a name, an answer or the DNS says, and waits for nobody."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

import pytest

from mailferry.net.dns import Resolver
from mailferry.net.guard import Guard
from mailferry.net.http import HttpClient
from mailferry.net.http_call import BadUrl, Reply, parse_url
from tests.fakes import certificates
from tests.fakes.dns import FakeDNS
from tests.fakes.receiver import Receiver

Post = Callable[..., "asyncio.Future[Reply]"]


@contextlib.asynccontextmanager
async def client(dns: FakeDNS, *, allow_private: bool = True, context: object = None) -> AsyncIterator[HttpClient]:
    resolver = Resolver([dns.address], clock=lambda: 0, timeout=1.0)
    made = HttpClient(resolver, Guard(allow_private, [("127.0.0.1", 1)]), context=context)  # type: ignore[arg-type]
    try:
        yield made
    finally:
        await made.close()
        await resolver.close()


async def test_a_post_and_its_answer() -> None:
    async with FakeDNS({"hook.test": {"A": "127.0.0.1"}}) as dns, Receiver() as receiver, client(dns) as http:
        reply = await http.post(parse_url(receiver.url("/a b".replace(" ", "%20"), "hook.test")), b"body", {"X-A": "1"})
        assert (reply.status, reply.body, reply.reached) == (200, b"ok", True)
        (request,) = receiver.requests
        assert request.body == b"body" and request.headers["x-a"] == "1"
        assert request.headers["host"] == f"hook.test:{receiver.port}" and request.path == "/a%20b"


async def test_a_private_address_is_refused_by_name_and_by_number() -> None:
    zone = {"in.test": {"A": "127.0.0.1"}, "six.test": {"AAAA": "::ffff:127.0.0.1"}, "meta.test": {"A": "169.254.1.1"}}
    async with FakeDNS(zone) as dns, Receiver() as receiver, client(dns, allow_private=False) as http:
        for host in ("in.test", "six.test", "meta.test", "127.0.0.1", "[::1]", "localhost", "[::ffff:10.0.0.1]"):
            reply = await http.post(parse_url(receiver.url(host=host)), b"", {})
            assert (reply.status, reply.reached) == (0, False), (host, reply)
            assert "address" in reply.error, (host, reply)
        assert receiver.requests == []


async def test_our_own_listeners_are_refused_even_where_private_addresses_are_allowed() -> None:
    async with FakeDNS({"own.test": {"A": "127.0.0.1"}}) as dns, client(dns) as http:
        for host in ("own.test", "127.0.0.1", "[::ffff:127.0.0.1]"):
            reply = await http.post(parse_url(f"http://{host}:1/"), b"", {})
            assert reply.status == 0 and "listener of our own" in reply.error, (host, reply)


async def test_a_name_that_changes_its_address_gains_nothing() -> None:
    """Each connection goes to an address that was checked, and the name is asked once for it (DNS rebinding)."""
    zone = {"hook.test": {"A": "192.0.2.1"}}
    async with FakeDNS(zone, ttl=0) as dns, Receiver() as receiver, client(dns, allow_private=False) as http:
        url = parse_url(receiver.url(host="hook.test"))
        assert (await http.post(url, b"", {}, seconds=1)).status == 0
        asked = dns.count("hook.test", "A")
        dns.zone["hook.test"] = {"A": "127.0.0.1"}
        reply = await http.post(url, b"", {}, seconds=1)
        assert "loopback" in reply.error and receiver.requests == []
        assert dns.count("hook.test", "A") == asked + 1


async def test_the_next_address_is_tried() -> None:
    zone = {"hook.test": {"AAAA": "::1", "A": ["127.0.0.2", "127.0.0.1"]}}
    async with FakeDNS(zone) as dns, Receiver() as receiver, client(dns) as http:
        assert (await http.post(parse_url(receiver.url(host="hook.test")), b"", {})).status == 200


async def test_redirects_are_answers() -> None:
    async with FakeDNS({}) as dns, Receiver() as receiver, Receiver() as other, client(dns) as http:
        receiver.answer, receiver.headers = lambda request: 307, f"Location: {other.url()}\r\n"
        assert (await http.post(parse_url(receiver.url()), b"", {})).status == 307
        assert other.requests == []


async def test_time_and_answer_are_bounded() -> None:
    async with FakeDNS({}) as dns, Receiver() as receiver, client(dns) as http:
        receiver.delay = 5
        reply = await http.post(parse_url(receiver.url()), b"", {}, seconds=0.2)
        assert reply.status == 0 and reply.reached and "no whole answer within 0.2 s" in reply.error
        receiver.delay, receiver.body = 0, b"x" * 5_000_000
        reply = await http.post(parse_url(receiver.url()), b"", {})
        assert reply.status == 200 and len(reply.body) == 64 * 1024
        receiver.body = b"ok"
        assert (await http.post(parse_url(receiver.url()), b"", {})).body == b"ok"


async def test_an_answer_that_never_ends() -> None:
    over = asyncio.Event()

    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            writer.write(b"HTTP/1.1 200 OK\r\n")
            while True:
                writer.write(b"X: y\r\n")
                await writer.drain()
                await asyncio.sleep(0.02)
        writer.close()
        over.set()

    server = await asyncio.start_server(drip, "127.0.0.1", 0)
    async with FakeDNS({}) as dns, client(dns) as http:
        port = server.sockets[0].getsockname()[1]
        reply = await http.post(parse_url(f"http://127.0.0.1:{port}/"), b"", {}, seconds=0.3)
        assert reply.status == 0 and reply.reached
        await over.wait()  # the connection was closed
    server.close()


async def test_nobody_there_says_so() -> None:
    async with FakeDNS({}) as dns, Receiver() as receiver, client(dns) as http:
        await receiver.close()
        reply = await http.post(parse_url(receiver.url()), b"", {})
        assert (reply.status, reply.reached) == (0, False) and "no connection to 127.0.0.1" in reply.error
        reply = await http.post(parse_url("http://nowhere.test/"), b"", {})
        assert reply.error == "there is no host nowhere.test" and not reply.reached


async def test_a_connection_that_ends_without_an_answer() -> None:
    async with FakeDNS({}) as dns, Receiver() as receiver, client(dns) as http:
        receiver.answer = lambda request: None
        reply = await http.post(parse_url(receiver.url()), b"", {})
        assert (reply.status, reply.reached) == (0, True) and "ended before an answer" in reply.error


async def test_certificates_are_checked() -> None:
    made = certificates.make("hook.test")
    zone = {"hook.test": {"A": "127.0.0.1"}, "other.test": {"A": "127.0.0.1"}}
    async with FakeDNS(zone) as dns, Receiver(made.server) as receiver:
        async with client(dns, context=made.client) as http:
            assert (await http.post(parse_url(receiver.url(host="hook.test")), b"", {})).status == 200
            reply = await http.post(parse_url(receiver.url(host="other.test")), b"", {})
            assert reply.status == 0 and "certificate" in reply.error.lower() and not reply.reached
        async with client(dns) as http:  # the system's authorities know nothing of ours
            reply = await http.post(parse_url(receiver.url(host="hook.test")), b"", {})
            assert reply.status == 0 and "certificate" in reply.error.lower()


@pytest.mark.parametrize(
    ("text", "shown", "userinfo"),
    [
        ("https://Hook.Example.com", "https://hook.example.com/", ""),
        ("https://hook.example.com:443/a?b=c#d", "https://hook.example.com/a?b=c", ""),
        ("http://u:p%40x@h.test:8080/ä", "http://h.test:8080/%C3%A4", "u:p@x"),
        ("https://bücher.example/", "https://xn--bcher-kva.example/", ""),
        ("http://[2001:DB8::1]:81/", "http://[2001:db8::1]:81/", ""),
        ("http://my_service:80/x", "http://my_service/x", ""),
    ],
)
def test_urls(text: str, shown: str, userinfo: str) -> None:
    found = parse_url(text)
    assert (str(found), found.userinfo) == (shown, userinfo)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "hook.example.com",
        "ftp://hook.example.com/",
        "https://",
        "https://a b.example/",
        "https://a.example/x\r\nHost: b",
        "https://a.example:99999/",
        "https://a.example:0/",
        "http://127.1/",
        "http://0x7f.1/",
        "http://2130706433/",
        "http://[::1/",
        "https://a..example/" + "x" * 3000,
        "javascript:alert(1)",
    ],
)
def test_what_is_no_url(text: str) -> None:
    with pytest.raises(BadUrl):
        parse_url(text)
