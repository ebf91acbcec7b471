"""The load program and the sink of the benchmark, against each other and against a small HTTP server."""

import asyncio
import contextlib
import json
import time

from bench import report
from bench.load import Order, run
from bench.messages import Envelope, HttpMessages, SesMessages, SmtpMessages
from bench.runs import Case, Measured
from bench.sink import Sink
from bench.target import Target

from mailferry.endpoints.ses import sigv4

ENVELOPE = Envelope("sender@bench.test", "dest.test")


def order(way, port, **changed):
    settings = {"count": 50, "size": 4096, "sessions": 3, "run": "test"} | changed
    return Order(way=way, port=port, sender=ENVELOPE.sender, destination=ENVELOPE.destination, **settings)


def test_messages_have_the_size_asked_for_and_differ():
    for size in (4096, 51200):
        messages = SmtpMessages(ENVELOPE, size, "run")
        first, second = messages.content(1), messages.content(2)
        assert abs(len(first) - len(b".\r\n") - size) <= 2
        assert first != second and first.endswith(b"\r\n.\r\n")
        lines = first.split(b"\r\n")[:-2]
        assert max(map(len, lines)) <= 78
        assert not any(line.startswith(b".") for line in lines)


def test_requests_are_what_the_send_api_reads():
    request = HttpMessages(ENVELOPE, 4096, host="h", path="/api/send", token="secret").request(7)
    head, _, body = request.partition(b"\r\n\r\n")
    assert head.startswith(b"POST /api/send HTTP/1.1\r\n") and b"Authorization: Bearer secret" in head
    assert int(head.rpartition(b"Content-Length: ")[2]) == len(body)
    assert json.loads(body)["to"] == [{"email": "r7@dest.test"}]


def test_signed_requests_are_what_ses_reads():
    messages = SesMessages(ENVELOPE, 4096, host="h:1", key_id="MFAK", secret="secret", count=2)
    head, _, body = messages.request(1).partition(b"\r\n\r\n")
    lines = [tuple(line.split(b": ", 1)) for line in head.split(b"\r\n")[1:]]
    headers = [(name.lower(), value) for name, value in lines]
    assert int(dict(headers)[b"content-length"]) == len(body)
    wire = sigv4.Request("POST", head.split(b" ")[1], headers, body)
    sigv4.verify(wire, sigv4.read_claim(wire), "secret", "ses", int(time.time() * 1000))
    assert json.loads(body)["Destination"] == {"ToAddresses": ["r1@dest.test"]}


async def test_every_message_that_the_load_hands_over_is_counted_by_the_sink():
    with Sink() as sink:
        for size in (4096, 51200):
            before = sink.reset()
            result = await run(order("smtp", sink.port, size=size))
            counted = sink.count()
            assert before["count"] == 0
            assert (result.accepted, result.refused, result.refusals) == (50, 0, [])
            assert counted["count"] == 50 and counted["signed"] == 0
            assert result.started_ns < counted["last_ns"] <= result.last_ns
            assert sink.sample().startswith(b"From: Bench <sender@bench.test>\r\n")


async def test_a_content_that_comes_in_pieces_is_one_message():
    with Sink() as sink:
        reader, writer = await asyncio.open_connection("127.0.0.1", sink.port)
        said = (
            b"EHLO a\r\nMAIL FROM:<>\r\nRCPT TO:<a@b.test>\r\nDATA\r\nDKIM-Signature: v=1\r\n\r\nbody\r\n.\r\nQUIT\r\n"
        )
        for octet in said:
            writer.write(bytes([octet]))
            await writer.drain()
        replies = (await reader.read()).split(b"\r\n")
        writer.close()
        await writer.wait_closed()
        assert replies[-3:] == [b"250 2.0.0 Ok", b"221 2.0.0 Bye", b""]
        assert sink.sample() == b"DKIM-Signature: v=1\r\n\r\nbody\r\n"
        assert (sink.count()["count"], sink.count()["signed"]) == (1, 1)


async def test_refusals_by_http_are_counted_and_quoted():
    numbers = iter(range(1000))

    async def serve(reader, writer):
        with contextlib.suppress(asyncio.IncompleteReadError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                await reader.readexactly(int(head.rpartition(b"Content-Length: ")[2]))
                refuse = next(numbers) % 5 == 0
                writer.write(b"HTTP/1.1 %s\r\nContent-Length: 2\r\n\r\n{}" % (b"401 No" if refuse else b"200 OK"))
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        result = await run(order("http", server.sockets[0].getsockname()[1], token="t"))
    assert (result.accepted, result.refused) == (40, 10)
    assert "401 No" in result.refusals[0]


def test_ratios_are_those_of_the_medians():
    peer = Case(Target("Peer", "a@b.test", "d.test", 25), "smtp", 1)
    own = Case(Target("Own", "a@b.test", "d.test", 25), "http", 1)
    rates = [(peer, 100.0, 50.0), (peer, 300.0, 70.0), (peer, 200.0, 60.0), (own, 500.0, 120.0)]
    measured = [Measured(case, 4096, accept, whole, 1.0, 2.0, 3.0, 4.0) for case, accept, whole in rates]
    assert "200 [100-300]" in report.table(measured, [peer, own], [4096])
    told = report.ratios(measured, [peer, own], [4096], 1200.0).splitlines()
    assert "0.05 of the RSA bound" in told[0]
    assert "accept  2.50 x, end to end  2.00 x Peer, SMTP; end to end  0.10 of the RSA bound" in told[1]
