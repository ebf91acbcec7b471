"""Links of a message: found, followed hop by hop through the guard, and judged without asking where that is possible."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from mailferry.mail.reading import Reading, read
from mailferry.net.dns import Resolver
from mailferry.net.guard import Guard
from mailferry.net.http import HttpClient
from mailferry.sandbox.checks import links
from mailferry.sandbox.checks.links import Link, Links
from tests.fakes.dns import FakeDNS
from tests.fakes.receiver import Receiver, Request

HEAD = b"From: a@b.test\r\nMIME-Version: 1.0\r\nContent-Type: text/%s; charset=utf-8\r\n\r\n"


def html(text: str) -> Reading:
    return read(HEAD % b"html" + text.encode())


def plain(text: str) -> Reading:
    return read(HEAD % b"plain" + text.encode())


@contextlib.asynccontextmanager
async def checker(*, allow_private: bool = True, seconds: float = 10.0, total: float = 45.0) -> AsyncIterator[Links]:
    async with FakeDNS({"here.test": {"A": "127.0.0.1"}, "inside.test": {"A": "10.0.0.1"}}) as dns:
        resolver = Resolver([dns.address], clock=lambda: 0)
        http = HttpClient(resolver, Guard(allow_private, ()))
        try:
            yield Links(http, any_port=allow_private, seconds=seconds, total_seconds=total)
        finally:
            await http.close()
            await resolver.close()


async def one(checker: Links, url: str) -> Link:
    (link,) = (await checker.check(html(f"<a href='{url}'>x</a>"))).links
    return link


def test_links_are_found_where_they_stand() -> None:
    found, left_out = links.find(
        html(
            "<style>p{background:url( 'http://a.test/s.png' )}</style>\n<a href=' http://a.test/?a=1&amp;b=2 '>Some <b>words</b>"
            "<img src=//a.test/i alt=Logo></a>\n<a href='http://a.test/?a=1&b=2'>again</a><td background=http://a.test/t>"
            '<div style="background-image:url(http://a.test/d)"><form action=http://a.test/f><area href=mailto:x@y.test>'
        )
    )
    assert left_out == 0
    assert [(each.kind, each.url, each.line, each.count, each.words) for each in found] == [
        ("image", "http://a.test/s.png", 1, 1, ""),
        ("link", "http://a.test/?a=1&b=2", 2, 2, "Some wordsLogo"),
        ("image", "//a.test/i", 2, 1, ""),
        ("image", "http://a.test/t", 3, 1, ""),
        ("image", "http://a.test/d", 3, 1, ""),
        ("form", "http://a.test/f", 3, 1, ""),
        ("link", "mailto:x@y.test", 3, 1, ""),
    ]


def test_plain_text_has_links_where_there_is_no_html() -> None:
    found, _ = links.find(plain("See https://a.test/x?y=1. Or (http://b.test/)!"))
    assert [(each.kind, each.url) for each in found] == [("text", "https://a.test/x?y=1"), ("text", "http://b.test/")]


def test_what_is_beyond_the_bound_is_counted() -> None:
    found, left_out = links.find(html("".join(f"<a href=http://a.test/{number}>x</a>" for number in range(510))))
    assert (len(found), left_out) == (500, 10)


@pytest.mark.parametrize(
    ("url", "state", "problem"),
    [
        ("mailto:a@b.test", "ok", ()),
        ("tel:+1", "ok", ()),
        ("cid:logo@x", "ok", ()),
        ("cid:other@x", "wrong", ("no part of the message has this Content-ID",)),
        ("javascript:alert(1)", "wrong", ("scripts do not run in mail",)),
        ("file:///c:/a.png", "wrong", ("a file of the sender's machine is not there for its reader",)),
        ("/path", "wrong", ("a relative URL leads nowhere in a mail",)),
        ("page.html", "wrong", ("a relative URL leads nowhere in a mail",)),
        ("//host.test/x", "wrong", ("a URL without a scheme leads nowhere in a mail",)),
        ("", "wrong", ("it leads nowhere",)),
        ("#", "wrong", ("it leads nowhere",)),
        ("#part", "not_asked", ()),
        ("slack://open", "not_asked", ()),
    ],
)
def test_what_nobody_has_to_be_asked_for(url: str, state: str, problem: tuple[str, ...]) -> None:
    link = links.judge(links.Found(url, "link", 1, 1), frozenset({"logo@x"}))
    assert link is not None and (link.state, link.problems) == (state, problem)


async def test_content_ids_of_the_message_are_known() -> None:
    raw = (
        b"Content-Type: multipart/related; boundary=x\r\n\r\n--x\r\nContent-Type: text/html\r\n\r\n<img src=cid:a@b><img src=cid:c>\r\n"
        b"--x\r\nContent-Type: image/png\r\nContent-ID: <a@b>\r\n\r\nx\r\n--x--\r\n"
    )
    async with checker() as check:
        report = await check.check(read(raw))
    assert [link.state for link in report.links] == ["ok", "wrong"]


async def test_head_is_asked_first_and_get_where_it_is_not_known() -> None:
    async with Receiver() as receiver, checker() as check:
        link = await one(check, receiver.url("/fine"))
        assert (link.state, link.status, link.hops) == ("ok", 200, ())
        assert [request.method for request in receiver.requests] == ["HEAD"]
        receiver.requests.clear()
        receiver.answer = lambda request: 405 if request.method == "HEAD" else 200
        link = await one(check, receiver.url("/x"))
        assert (link.state, link.status) == ("ok", 200)
        assert [request.method for request in receiver.requests] == ["HEAD", "GET"]
        assert receiver.requests[0].headers["user-agent"] == "Mailferry link check"
        receiver.answer = lambda request: 404
        link = await one(check, receiver.url("/gone"))
        assert (link.state, link.status, link.problems[-1]) == ("broken", 404, "it answers with status 404")


async def test_the_body_of_an_answer_is_not_read() -> None:
    """Of this one nothing ever comes: who waited for it would wait for its time."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        status = b"405 No" if head.startswith(b"HEAD") else b"200 OK"
        writer.write(b"HTTP/1.1 " + status + b"\r\nContent-Length: 1000000\r\n\r\n")
        await reader.read()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server, checker(seconds=1.0) as check:
        link = await one(check, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/")
        assert (link.state, link.status) == ("ok", 200)


async def test_redirects_are_followed_and_told() -> None:
    async with Receiver() as receiver, checker() as check:

        def answer(request: Request) -> int:
            receiver.headers = {
                "/a": "Location: /b?x#y\r\n",
                "/b?x": f"Location: {receiver.url('/c', 'here.test')}\r\n",
            }.get(request.path, "")
            return 302 if receiver.headers else 200

        receiver.answer = answer
        link = await one(check, receiver.url("/a"))
        assert (link.state, link.status) == ("ok", 200)
        assert [(hop.url, hop.status) for hop in link.hops] == [
            (receiver.url("/a"), 302),
            (receiver.url("/b?x#y"), 302),
        ]


async def test_a_circle_of_redirects_ends() -> None:
    async with Receiver() as receiver, checker() as check:
        receiver.answer, receiver.headers = lambda request: 301, "Location: /again\r\n"
        link = await one(check, receiver.url())
        assert (link.state, link.problems[-1], len(link.hops)) == ("broken", "more than 10 redirects", 10)
        assert len(receiver.requests) == 11


async def test_a_redirect_to_what_is_no_url_is_told() -> None:
    async with Receiver() as receiver, checker() as check:
        receiver.answer, receiver.headers = lambda request: 301, "Location: ftp://x.test/\r\n"
        link = await one(check, receiver.url())
        assert (link.state, link.problems[-1]) == ("unreachable", "the URL must begin with https:// or http://")
        receiver.headers = "Location: http://[::x/\r\n"
        assert (await one(check, receiver.url())).problems[-1] == "it redirects to what is no URL"


async def test_private_addresses_are_refused_at_each_hop() -> None:
    async with checker(allow_private=False) as check:
        for url in (
            "http://127.0.0.1/",
            "http://inside.test/",
            "http://[::1]/",
            "http://localhost/",
            "http://169.254.169.254/x",
        ):
            link = await one(check, url)
            assert link.state == "unreachable" and "address" in link.problems[-1], link
        assert "port 2525 is not asked" in (await one(check, "http://here.test:2525/")).problems[-1]


async def test_a_redirect_does_not_lead_past_the_guard() -> None:
    """The first hop may be asked, and what it names may not."""
    async with Receiver() as receiver, Receiver() as secret, FakeDNS({}) as dns:
        resolver = Resolver([dns.address], clock=lambda: 0)
        http = HttpClient(resolver, Guard(True, [("127.0.0.1", secret.port)]))
        receiver.answer, receiver.headers = lambda request: 302, f"Location: {secret.url('/key')}\r\n"
        link = await one(Links(http, any_port=True), receiver.url())
        await http.close()
        await resolver.close()
        assert link.state == "unreachable" and "listener of our own" in link.problems[-1]
        assert [hop.status for hop in link.hops] == [302] and secret.requests == []


async def test_a_host_that_says_nothing_costs_its_time_and_no_other_link_s() -> None:
    async with Receiver() as slow, Receiver() as fast, checker(seconds=0.2) as check:
        slow.delay = 5.0
        report = await check.check(html(f"<a href={slow.url()}>x</a><a href={fast.url()}>y</a>"))
        assert [link.state for link in report.links] == ["unreachable", "ok"]
        assert "within 0.2 s" in report.links[0].problems[-1]


async def test_all_of_them_together_have_a_bound() -> None:
    async with Receiver() as slow, checker(total=0.2) as check:
        slow.delay = 5.0
        report = await check.check(html("".join(f"<a href={slow.url(f'/{n}')}>x</a>" for n in range(150))))
        assert {link.state for link in report.links} == {"not_asked"} and len(report.links) == 150
        assert report.links[0].problems[-1] == "there was no time to ask it"


async def test_no_more_urls_are_asked_than_the_bound_and_each_once() -> None:
    async with Receiver() as receiver, checker() as check:
        many = "".join(f"<a href={receiver.url(f'/{n}')}>x</a><img src={receiver.url(f'/{n}')}>" for n in range(120))
        report = await check.check(html(many))
        assert len(receiver.requests) == links.MOST == len({request.path for request in receiver.requests})
        assert receiver.most_at_once <= links.AT_ONCE
        assert sum(link.state == "ok" for link in report.links) == 200 and len(report.links) == 240


async def test_what_is_not_encrypted_is_told() -> None:
    async with Receiver() as receiver, checker() as check:
        report = await check.check(html(f"<img src={receiver.url()}><a href={receiver.url('/b')}>x</a>"))
        assert [link.problems for link in report.links] == [
            ("an image is not encrypted (http), and some readers do not show it",),
            ("it is not encrypted (http)",),
        ]
    assert links._insecure(["https://a.test/", "http://a.test/"]) == ("a redirect leads from https to http",)
    assert links._insecure(["http://a.test/", "https://a.test/"]) == ()
