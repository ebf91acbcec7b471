"""Bad input by HTTP: a clear error in the dialect's shape, the server goes on, and nothing is half kept."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import ExitStack
from typing import Any

import pytest
import pytest_asyncio

from tests.hostile import EVE, MEGABYTE, Answer, Target, besieged, connected, read_answers, said_until_closed
from tests.server import message

pytestmark = pytest.mark.asyncio(loop_scope="module")

#: Small, so that a few bodies at once fill it.
BODY_MEMORY = 80 * MEGABYTE
GOOD = message("a@dest.test")
HOST = b"Host: localhost\r\n"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def target(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Target]:
    """One server for all: what one test breaks, the next one sees."""
    folder = tmp_path_factory.mktemp("http")
    async with besieged(folder, http__body_memory=BODY_MEMORY) as found:
        yield found


# --- what is no HTTP -----------------------------------------------------------------------------------------------

#: Request line and fields as they stand -> status, and words that tell what is wrong.
NO_HTTP: dict[bytes, tuple[int, str]] = {
    b"\x00\x01\x02\xff\r\n\r\n": (400, "malformed HTTP"),
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(256)): (400, "malformed HTTP"),  # a TLS hello
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n": (400, "malformed HTTP"),
    b"GET /health HTTP/7.0\r\n" + HOST + b"\r\n": (400, "malformed HTTP"),
    b"GET /health\r\n\r\n": (400, "exactly one Host"),
    b"GET /health HTTP/1.0\r\n\r\n": (400, "exactly one Host"),
    b"GET /health HTTP/1.1\r\n\r\n": (400, "exactly one Host"),
    b"GET /health HTTP/1.1\r\n" + HOST * 2 + b"\r\n": (400, "exactly one Host"),
    b"GET /health HTTP/1.1\r\nHost: evil.test\r\n\r\n": (421, "not served here"),
    b"GET /health HTTP/1.1\r\nHost: \xff\x00\r\n\r\n": (400, "malformed HTTP"),
    b"GET http://evil.test/health HTTP/1.1\r\n" + HOST + b"\r\n": (421, "not served here"),
    b"GET http://evil.test@localhost/health HTTP/1.1\r\n" + HOST + b"\r\n": (400, "target is malformed"),
    b"GET ftp://localhost/health HTTP/1.1\r\n" + HOST + b"\r\n": (400, "target is malformed"),
    b"POST /api/send HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: gzip, chunked\r\n\r\n": (501, "Transfer-Encoding"),
    b"CONNECT localhost:25 HTTP/1.1\r\n" + HOST + b"\r\n": (400, "target is malformed"),
    b"FROB /api/send HTTP/1.1\r\n" + HOST + b"\r\n": (400, "malformed HTTP"),
    b"GET\t/health\tHTTP/1.1\r\n" + HOST + b"\r\n": (400, "malformed HTTP"),
    b"GET  HTTP/1.1\r\n" + HOST + b"\r\n": (400, ""),
    b"GET /\x00 HTTP/1.1\r\n" + HOST + b"\r\n": (400, "malformed HTTP"),
    b"GET /\xff HTTP/1.1\r\n" + HOST + b"\r\n": (400, "malformed HTTP"),
    b"GET http://[ HTTP/1.1\r\n" + HOST + b"\r\n": (400, ""),
    b"GET /health HTTP/1.1\nHost: localhost\n\n": (400, "malformed HTTP"),
    b"GET /health HTTP/1.1\rHost: localhost\r\r": (400, "malformed HTTP"),
    b"GET /health HTTP/1.1\r\n" + HOST + b"X A: 1\r\n\r\n": (400, "malformed HTTP"),
    b"GET /health HTTP/1.1\r\n" + HOST + b"X-A : 1\r\n\r\n": (400, "malformed HTTP"),
    b"GET /health HTTP/1.1\r\n" + HOST + b"X-A: 1\r\n 2\r\n\r\n": (400, "malformed HTTP"),
    b"GET /health HTTP/1.1\r\n" + HOST + b"X-A: 1\x002\r\n\r\n": (400, "malformed HTTP"),
    b"GET /" + b"a" * MEGABYTE + b" HTTP/1.1\r\n" + HOST + b"\r\n": (414, "too long"),
    b"GET /health HTTP/1.1\r\n" + HOST + b"X-A: " + b"a" * MEGABYTE + b"\r\n\r\n": (431, "too large"),
    b"GET /health HTTP/1.1\r\n" + HOST + b"X-A: 1\r\n" * 10_000 + b"\r\n": (431, "too many"),
}
#: Fields that say how long a body is, and a body.
FRAMING: dict[bytes, str] = {
    b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n": "Content-Length",
    b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n": "Content-Length",
    b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{} ": "Content-Length",
    b"Content-Length: 2, 2\r\n\r\n{}": "Content-Length",
    b"Content-Length: -2\r\n\r\n{}": "Content-Length",
    b"Content-Length: +2\r\n\r\n{}": "Content-Length",
    b"Content-Length: 0x2\r\n\r\n{}": "Content-Length",
    b"Content-Length: 99999999999999999999999\r\n\r\n{}": "Content-Length",
    b"Transfer-Encoding: identity\r\n\r\n{}": "Transfer-Encoding",
    b"Transfer-Encoding: xchunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n": "Transfer-Encoding",
    b"Transfer-Encoding: chunked, identity\r\n\r\n2\r\n{}\r\n0\r\n\r\n": "Transfer-Encoding",
    b"Transfer-Encoding : chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n": "header",
    b"Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n": "chunk",
    b"Transfer-Encoding: chunked\r\n\r\n-2\r\n{}\r\n0\r\n\r\n": "chunk",
    b"Transfer-Encoding: chunked\r\n\r\n0x2\r\n{}\r\n0\r\n\r\n": "chunk",
    b"Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n{}\r\n0\r\n\r\n": "hunk",
    b"Transfer-Encoding: chunked\r\n\r\n2\n{}\n0\n\n": "chunk",
    b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}XX\r\n0\r\n\r\n": "chunk",
    b"Transfer-Encoding: chunked\r\n\r\n0\r\nX-Trailer: " + b"a" * MEGABYTE: "too large",
    b"Transfer-Encoding: chunked\r\n\r\n2;" + b"a" * MEGABYTE: "too large",
}


async def test_what_is_no_http_is_refused_in_every_dialect_s_shape(target: Target) -> None:
    framing = {target.head() + octets: (0, words) for octets, words in FRAMING.items()}
    for octets, (status, words) in (NO_HTTP | framing).items():
        (answer,) = await asyncio.to_thread(target.http, octets)
        shown = (octets[:200], answer)
        assert answer.status == status or (status == 0 and answer.status in (400, 431)), shown
        assert answer.errors == [answer.json["error"]], shown  # whichever member a client looks for
        assert words in answer.errors[0], shown
        assert answer.fields["content-type"].startswith("application/json"), shown
    await target.unharmed()


async def test_plain_text_to_the_tls_port_and_tls_to_the_plain_one(target: Target) -> None:
    for octets in (b"GET / HTTP/1.1\r\n\r\n", bytes(range(256)) * 10, b"\x16\x03\x01\x00\x01\x00", b""):
        with connected(target.server.https) as wire:
            wire.sendall(octets)
    (answer,) = await asyncio.to_thread(target.http, b"GET /health HTTP/1.1\r\n" + HOST + b"\r\n", tls=True)
    assert answer.status == 200
    await target.unharmed()


#: Method and target -> status, and the body's member.
PATHS: dict[str, tuple[int, str]] = {
    "HEAD /api/send": (405, ""),
    "OPTIONS /api/send": (204, ""),
    "DELETE /api/send": (405, "errors"),
    "TRACE /api/send": (405, "errors"),
    "PROPFIND /api/send": (405, "errors"),
    "GET /api/batch/": (405, "errors"),
    "POST /api/send/../../etc": (404, "errors"),
    "POST /api/send/%2e%2e/%2e%2e/etc": (404, "errors"),
    "POST /api/send%00": (404, "error"),
    "POST /api/send/%0a": (401, "errors"),  # an inbox's id, and there is none of it
    "GET /api/%ff%fe": (404, "error"),
    "GET /api//email_logs": (404, "error"),
    "GET /api/accounts/1/email_logs/%00": (404, "error"),
    "GET /api/accounts/1%00/email_logs": (403, "errors"),
    "GET /api/accounts/-1/email_logs": (403, "errors"),
    "GET //api/email_logs": (404, "error"),
    "GET /../../etc/passwd": (404, "error"),
    "GET /%2e%2e/%2e%2e/etc/passwd": (404, "error"),
    "GET /\\..\\etc": (404, "error"),
    "GET /%00": (404, "error"),
    "GET /docs": (404, "error"),
    "GET /openapi.json": (404, "error"),
    "OPTIONS *": (404, "error"),
}


async def test_methods_and_paths(target: Target) -> None:
    for line, (status, member) in PATHS.items():
        (answer,) = await asyncio.to_thread(target.http, target.request(b"", line=line))
        assert answer.status == status, (line, answer)
        assert bool(answer.body) == bool(member) and (not member or answer.json[member]), (line, answer)
    await target.unharmed()


# --- bodies --------------------------------------------------------------------------------------------------------

NO_JSON: dict[bytes, str] = {
    b"": "it is empty",
    b"{": "Expecting property name",
    b"{}{}": "Extra data",
    b"[" * 100_000: "nested too deeply",
    b'{"a":' * 20_000 + b"1" + b"}" * 20_000: "nested too deeply",
    b'{"subject":"a","subject":"b"}': "'subject' is there more than once",
    b'{"text":"\xff\xfe"}': "no UTF-8 at byte 9",
    b'{"text":"a\r\nb"}': "Invalid control character",
    b'{"text":"\x00"}': "Invalid control character",
    b'{"text":"\\ud800"}': "half a surrogate pair",
    b'{"a":NaN}': "NaN is no JSON number",
    b'{"a":1' + b"0" * 5000 + b"}": "a number is too large",
    json.dumps(GOOD).encode("utf-16"): "no UTF-8 at byte 0",
    json.dumps(GOOD).encode("utf-32"): "no UTF-8 at byte",
    b"from=app@sender.test&to=a@dest.test": "Expecting value",
    bytes(range(256)) * 100: "no UTF-8",
}
#: Fields beside a good body -> what comes of it; nothing: it is taken.
LABELS: dict[str, tuple[int, str]] = {
    "Content-Type: application/json; charset=klingon": (415, "charset 'klingon' is not supported"),
    "Content-Type: text/xml; charset=utf-16": (415, "charset 'utf-16' is not supported"),
    "Content-Type: text/plain": (200, ""),
    "Content-Type: \t;;=;charset": (200, ""),
    "Content-Encoding: gzip": (415, "Content-Encoding 'gzip' is not supported"),
    "Content-Encoding: gzip, br, rot13": (415, "Content-Encoding 'gzip, br, rot13' is not supported"),
    "Expect: 100-continue": (200, ""),
    "Expect: the-unexpected": (200, ""),
    "Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMA": (200, ""),
    "Upgrade: websocket\r\nConnection: Upgrade": (200, ""),
    "Idempotency-Key: \x80": (400, "'Idempotency-Key' must be"),
    "Idempotency-Key: " + "k" * 256: (400, "'Idempotency-Key' must be"),
}


async def test_what_is_no_json_is_told_with_its_place(target: Target) -> None:
    for body, words in NO_JSON.items():
        for line in ("POST /api/send", "POST /api/batch"):
            answer = await asyncio.to_thread(target.post, body, line=line)
            assert answer.status == 400, (body[:100], answer)
            assert answer.errors[0].startswith("request body is not valid JSON: ") and words in answer.errors[0], answer
    # Depth bombs that would fill the memory are refused before they are decoded.
    for bomb in (b'{"a":' * 3_000_000, b'{"to":[' + b"[]," * 3_000_000 + b"1]}", b"{" + b'"":{},' * 2_000_000 + b"}"):
        before = target.forget_peak()
        answer = await asyncio.to_thread(target.post, bomb)
        assert (answer.status, answer.errors) == (413, ["request body holds too many values"])
        assert target.peak() - before < 100 * MEGABYTE
    await target.unharmed()


async def test_labels_of_a_body(target: Target) -> None:
    octets = json.dumps(GOOD | {"text": "ü"}, ensure_ascii=False).encode()
    for field, (status, words) in LABELS.items():
        answer = await asyncio.to_thread(target.post, octets, field)
        assert answer.status == status, (field, answer)
        if status == 200:
            target.good += 1
        else:
            assert words in answer.errors[0], (field, answer)
    await target.unharmed()


FULL: dict[str, Any] = {
    "from": {"email": "app@sender.test", "name": "App"},
    "to": [{"email": "a@dest.test", "name": "A"}],
    "cc": [{"email": "b@dest.test", "name": "B"}],
    "bcc": [{"email": "c@dest.test", "name": "C"}],
    "reply_to": {"email": "r@dest.test", "name": "R"},
    "subject": "Hello",
    "text": "It works.",
    "html": "<p>It works.",
    "headers": {"X-A": "1"},
    "attachments": [
        {"content": "aGk=", "filename": "a.txt", "type": "text/plain", "disposition": "inline", "content_id": "c"}
    ],
    "category": "welcome",
    "custom_variables": {"k": "v"},
}


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every value inside, by its path."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    below = [place for name, each in inner for place in places(each, (*path, name))]
    return [path, *below] if path else below


def changed(path: tuple[Any, ...], value: Any) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(json.dumps(FULL))
    at: Any = body
    for name in path[:-1]:
        at = at[name]
    at[path[-1]] = value
    return body


async def test_wrong_types_in_every_place(target: Target) -> None:
    for path in places(FULL):
        wrong = [1, -1.5, True, "text", [], ["x"], {}, [[]], {"a": {}}]
        right = type(FULL.get(path[0])) if len(path) == 1 else None
        for value in [each for each in wrong if type(each) is not right]:
            answer = await asyncio.to_thread(target.post, changed(path, value))
            if answer.status == 200:  # a text in place of a text, a number as a variable, an empty list of copies
                target.good += len(answer.json["message_ids"])
            else:
                assert answer.status == 400 and answer.errors, (path, value, answer)
        answer = await asyncio.to_thread(target.post, changed(path, None))
        assert answer.status in (200, 400), (path, answer)
        target.good += len(answer.json["message_ids"]) if answer.status == 200 else not answer.errors
    for value in (1, None, [], {}):
        whole: dict[str, Any] = dict.fromkeys(FULL, value)
        answer = await asyncio.to_thread(target.post, whole)
        assert answer.status == 400 and len(answer.errors) > 3, (whole, answer)
    batch: dict[str, Any] = {"base": [], "requests": {}}
    answer = await asyncio.to_thread(target.post, batch, line="POST /api/batch")
    assert answer.status == 400 and len(answer.errors) == 2
    await target.unharmed()


# --- what would end up in a header ---------------------------------------------------------------------------------

EVIL = [f"x\r\nBcc: {EVE}", f"x\nBcc: {EVE}", f"x\rBcc: {EVE}", f"x\r\n\r\n{EVE}", f"x\0{EVE}"]
#: May hold line breaks: no header carries them.
OF_MANY_LINES = (("text",), ("html",), ("custom_variables", "k"))


async def test_nothing_is_injected_through_any_text_field(target: Target) -> None:
    texts = [path for path in places(FULL) if isinstance(at(FULL, path), str)]
    assert len(texts) == 21
    for path in texts:
        for evil in EVIL:
            if path in OF_MANY_LINES and "\0" not in evil:
                continue
            answer = await asyncio.to_thread(target.post, changed(path, evil))
            assert answer.status == 400, (path, evil, answer)
            assert not [text for text in answer.errors if "\r" in text or "\n" in text or "\0" in text], answer
    nul_in_a_name = FULL | {"custom_variables": {"a\0b": "x"}}
    answer = await asyncio.to_thread(target.post, nul_in_a_name)
    assert answer.errors == ["'custom_variables' must not contain a NUL character"]
    for evil in EVIL:
        for names in ({"headers": {evil: "x"}}, {"headers": {"Bcc": EVE}}, {"headers": {"bCC": EVE}}):
            answer = await asyncio.to_thread(target.post, FULL | names)
            assert answer.status == 400 and "header" in answer.errors[0], (names, answer)
    encoded = "=?utf-8?q?x=0D=0ABcc:_eve=40dest=2Etest?="
    answer = await asyncio.to_thread(target.post, FULL | {"headers": {"X-A": encoded}})
    assert answer.errors == ["'X-A' header value is invalid"]
    await target.unharmed()


def at(body: Any, path: tuple[Any, ...]) -> Any:
    for name in path:
        body = body[name]
    return body


# --- amounts -------------------------------------------------------------------------------------------------------


def rows(count: int, email: str = "a@dest.test") -> list[dict[str, str]]:
    return [{"email": email}] * count


AMOUNTS: list[tuple[dict[str, Any], int, str]] = [
    ({"to": rows(10_000)}, 400, "too many addresses in 'to' (maximum is 1000)"),
    ({"to": rows(1001), "cc": rows(1001), "bcc": rows(1001)}, 400, "too many addresses in 'bcc' (maximum is 1000)"),
    ({"to": rows(1000, "bad")}, 400, "and 900 errors more"),
    ({"to": [1] * 1_000_000}, 400, "'to' 98 must be an object"),
    ({"attachments": [1] * 100_000}, 400, "'attachments' must be an array of at most 1000 items"),
    ({"headers": {f"X-{n}": "" for n in range(10_000)}}, 400, "'headers' must be an object of at most 1000 members"),
    ({"custom_variables": {f"{n}": "" for n in range(10_000)}}, 400, "'custom_variables' must be an object of"),
    ({"to": rows(1, "a@" + "a." * 1_000_000 + "test")}, 400, "'email' must be a string of at most 1000 characters"),
    ({"from": {"email": "app@sender.test", "name": "x" * MEGABYTE}}, 400, "'name' must be a string of at most"),
    ({"subject": "x" * 2 * MEGABYTE}, 400, "'subject' must not contain so much text"),
    ({"headers": {"X-A": "x" * 2 * MEGABYTE}}, 400, "'X-A' header value is invalid"),
    ({"headers": {"Reply-To": "a@dest.test, " * 100_000}}, 400, "'Reply-To' header value is invalid"),
    ({"category": "x" * MEGABYTE}, 400, "'category' is too long"),
    ({"custom_variables": {"k": "x" * MEGABYTE}}, 400, "'custom_variables' is too long"),
    ({"attachments": [{"filename": "a", "content": "*" * MEGABYTE}]}, 400, "'content' is not valid base64"),
    ({"attachments": [{"filename": "a", "content": "=" * MEGABYTE}]}, 400, "'content' is not valid base64"),
    ({"attachments": [{"filename": "a", "content": "", "type": "a/b" + ";a=b" * 250_000}]}, 400, "'type' must be"),
    ({"text": "x" * 51 * 1024 * 1024}, 413, "request body is too large"),
    (
        {"attachments": [{"filename": "a", "content": base64.b64encode(bytes(39 * MEGABYTE)).decode()}]},
        413,
        "too large",
    ),
]


async def test_amounts_are_bounded_and_named(target: Target) -> None:
    for members, status, words in AMOUNTS:
        before = target.forget_peak()
        answer = await asyncio.to_thread(target.post, GOOD | members)
        shown = (list(members), answer.status, answer.body[:500])
        assert answer.status == status and len(answer.errors) <= 101, shown
        assert any(words in text for text in answer.errors), shown
        assert target.peak() - before < 250 * MEGABYTE, shown
    batch = {"base": GOOD | {"to": None}, "requests": [{"to": rows(1000, "bad")}] * 500}
    for body, status in (({"requests": [GOOD] * 501}, 400), ({"requests": [1] * 1_000_000}, 400), (batch, 413)):
        answer = await asyncio.to_thread(target.post, body, line="POST /api/batch")
        assert answer.status == status and answer.errors, answer
    await target.unharmed()


def stream(target: Target, octets: int, *, declared: bool) -> Answer | None:
    """A JSON text of so many octets, in pieces. A length is declared, or the pieces are chunks."""
    piece = b"a" * (1 << 20)
    with connected(target.server.http) as wire:
        wire.sendall(
            target.head()
            + (b"Content-Length: %d\r\n\r\n" % octets if declared else b"Transfer-Encoding: chunked\r\n\r\n")
        )
        try:
            for _ in range(octets // len(piece)):
                wire.sendall(piece if declared else b"%x\r\n" % len(piece) + piece + b"\r\n")
            wire.sendall(b"" if declared else b"0\r\n\r\n")
        except ConnectionError:
            pass
        return next(iter(read_answers(wire)), None)


async def test_large_bodies_take_bounded_memory(target: Target) -> None:
    for declared in (True, False):
        before = target.forget_peak()
        answer = await asyncio.to_thread(stream, target, 100 << 20, declared=declared)
        assert answer is not None and answer.status == 413
        assert answer.errors == ["request body is too large (maximum is 52428800 bytes)"]
        assert target.peak() - before < 150 * MEGABYTE
    before = target.forget_peak()
    many = await asyncio.gather(*(asyncio.to_thread(stream, target, 30 << 20, declared=False) for _ in range(8)))
    # No JSON, or no room for it: [http] body_memory is for all together.
    assert {answer.status for answer in many if answer} <= {400, 429}
    assert target.peak() - before < 4 * BODY_MEMORY
    await target.unharmed()


# --- slow, half-open and pipelined ---------------------------------------------------------------------------------


async def test_slow_and_half_open_connections_hold_nobody_up(target: Target) -> None:
    beginnings = [
        b"",
        b"GET /hea",
        target.head(),
        target.head() + b"Content-Length: 1000000\r\n\r\n{",
        target.head() + b"Transfer-Encoding: chunked\r\n\r\nffff\r\n{",
        b"POST /api/send HTTP/1.1\r\n" + HOST + b"Content-Length: 1000\r\n\r\n",
    ]
    with ExitStack() as held:
        wires = [held.enter_context(connected(target.server.http)) for _ in range(30) for _ in beginnings]
        for wire, octets in zip(wires, beginnings * 30, strict=True):
            wire.sendall(octets)
        for _ in range(5):  # every octet is one more reason to wait, for a server that is patient with the wrong ones
            for wire in wires:
                wire.sendall(b" ")
            await target.send_good()
        # Who was refused in the middle of a body is told so, and cannot stay.
        for wire in wires[len(beginnings) - 1 :: len(beginnings)]:
            said = await asyncio.to_thread(said_until_closed, wire)
            assert said.startswith(b"HTTP/1.1 401 ") and b"connection: close" in said
    await target.unharmed()


async def test_bodies_that_are_not_as_long_as_they_say(target: Target) -> None:
    body = json.dumps(GOOD).encode()
    # Shorter than it is: what is behind is no request.
    short = target.head() + b"Content-Length: %d\r\n\r\n" % (len(body) - 5) + body
    first, second = await asyncio.to_thread(target.http, short, count=2)
    assert first.status == second.status == 400
    assert "not valid JSON" in first.errors[0] and "malformed HTTP" in second.errors[0]
    # Longer: the client stops, and goes.
    with connected(target.server.http) as wire:
        wire.sendall(target.head() + b"Content-Length: %d\r\n\r\n" % (len(body) + 5) + body)
    # Half-closed behind a whole request: it still listens.
    with connected(target.server.http) as wire:
        wire.sendall(target.request(GOOD))
        wire.shutdown(1)
        assert said_until_closed(wire).startswith(b"HTTP/1.1 200 ")
    target.good += 1
    # A trailer is no header field: neither the token nor the length may come in one.
    trailer = b"Transfer-Encoding: chunked\r\n\r\n%x\r\n" % len(body) + body + b"\r\n0\r\n"
    late = b"POST /api/send HTTP/1.1\r\n" + HOST + trailer + f"Api-Token: {target.token}\r\n\r\n".encode()
    (answer,) = await asyncio.to_thread(target.http, late)
    assert answer.status == 401
    (answer,) = await asyncio.to_thread(target.http, target.head() + trailer + b"Api-Token: x\r\n\r\n")
    assert answer.status == 200
    target.good += 1
    await target.unharmed()


async def test_pipelined_requests_are_answered_in_order_and_garbage_after_them(target: Target) -> None:
    three = target.request(GOOD) * 3
    for garbage in (b"\0\1\2\r\n\r\n", b"GET / HTTP/1.1\r\nX Y\r\n\r\n", target.head() + FRAMING_ERROR):
        answers = await asyncio.to_thread(target.http, three + garbage, count=4)
        assert [answer.status for answer in answers] == [200, 200, 200, 400], answers
        target.good += 3
    # A flood: the answers come in turn, and what waits is not read before.
    before = target.forget_peak()
    one = target.request(b"{}")
    with connected(target.server.http) as wire:
        flood = asyncio.create_task(asyncio.to_thread(send_until_closed, wire, one * (10 * MEGABYTE // len(one))))
        said = await asyncio.to_thread(said_until_closed, wire)
        await flood
    assert b"too many requests sent ahead" in said
    assert target.peak() - before < 50 * MEGABYTE
    await target.unharmed()


FRAMING_ERROR = b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"


def send_until_closed(wire: Any, octets: bytes) -> None:
    try:
        wire.sendall(octets)
    except OSError:
        return


async def test_at_the_end_the_command_line_shows_the_good_ones_and_nothing_waits(target: Target) -> None:
    await target.unharmed()
    kept = await asyncio.to_thread(target.server.command, "messages", "list", "--limit", "10000")
    assert len(kept) == target.good
    assert (await asyncio.to_thread(target.server.command, "queue"))["waiting"] == []
    log = target.server.log.read_text()
    assert "Traceback" not in log and "uvicorn" not in log and "http_failed" not in log
