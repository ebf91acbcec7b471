"""A PostgreSQL that hangs, or is gone for a while: it is noticed and told, SIGTERM ends the process, and all goes on."""

import asyncio
import contextlib
import http.client
import json
import os
import signal
import smtplib
import ssl
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.commands import first_run
from tests.conftest import eventually
from tests.fakes.dns import FakeDNS
from tests.fakes.mx import FakeMX
from tests.peers.postgres import Cluster
from tests.server import DOMAIN, Mailferry, add_domain, message, running

ZONE = {"dest.test": {"MX": "10 mx.dest.test"}, "mx.dest.test": {"A": "127.0.0.1"}}
TO = "refused@dest.test"
#: As operators may set it: a second for a statement, and so three until nobody waits for an answer any more.
QUICK = "?connect_timeout=2&options=-c%20statement_timeout%3D1s"
#: What load balancers wait for an answer, in seconds.
LOAD_BALANCER = 2.0


@contextlib.contextmanager
def frozen(cluster: Cluster) -> Iterator[None]:
    """All its processes stand still, and the kernel goes on accepting and acknowledging for them."""
    postmaster = int((cluster.folder / "data" / "postmaster.pid").read_text().split()[0])
    os.kill(postmaster, signal.SIGSTOP)  # first: then it makes no more of them
    everyone = [postmaster, *map(int, Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text().split())]
    try:
        for pid in everyone:
            os.kill(pid, signal.SIGSTOP)
        yield
    finally:
        for pid in everyone:
            os.kill(pid, signal.SIGCONT)


@contextlib.asynccontextmanager
async def sending(tmp_path: Path, url: str) -> AsyncIterator[tuple[Mailferry, FakeMX, str]]:
    """A server that has delivered one message, the host it goes to, and a token."""
    async with FakeDNS(ZONE) as dns, FakeMX() as mx, running(tmp_path, dns, smtp_port=mx.port, url=url) as server:
        await add_domain(server, dns)
        token = first_run(server)["api_token"]
        assert await post(server, token, "before") == 200
        await mx.received(1)
        yield server, mx, token


async def post(server: Mailferry, token: str, name: str) -> int:
    status, _ = await asyncio.to_thread(server.post, "/api/send", message(f"{name}@dest.test"), token)
    return status


async def refused(server: Mailferry, token: str) -> None:
    """In the dialect's shape, and with one line in the log."""
    request = urllib.request.Request(f"http://127.0.0.1:{server.http}/api/send", json.dumps(message(TO)).encode())
    request.add_header("Authorization", f"Bearer {token}")
    request.add_header("Content-Type", "application/json")
    with pytest.raises(urllib.error.HTTPError) as caught:
        await asyncio.to_thread(urllib.request.urlopen, request, timeout=30)
    answer = caught.value
    assert answer.code == 503 and answer.headers["Retry-After"] == "5"
    assert json.loads(answer.read()) == {"success": False, "errors": ["Service unavailable, try again later"]}
    lines = [json.loads(line) for line in server.log.read_text().splitlines() if line[0] == "{"]
    about = [line for line in lines if line.get("request_id") == answer.headers["X-Request-Id"]]
    assert [line["event"] for line in about] == ["api_unavailable"] and "exception" not in about[0]


def refused_by_smtp(server: Mailferry, token: str) -> None:
    context = ssl.create_default_context(cafile=str(server.data / "ca" / "ca.pem"))
    with smtplib.SMTP("localhost", server.smtp, timeout=30) as client:
        client.starttls(context=context)
        with pytest.raises(smtplib.SMTPAuthenticationError) as caught:
            client.login("api", "0" * 32)  # one that nobody remembers
        assert (caught.value.smtp_code, caught.value.smtp_error[:6]) == (454, b"4.7.0 ")
        client.login("api", token)
        client.mail(f"a@{DOMAIN}")
        client.rcpt(TO)
        code, text = client.data(f"From: a@{DOMAIN}\r\nTo: {TO}\r\nSubject: x\r\n\r\nx\r\n".encode())
        assert (code, text[:6]) == (451, b"4.3.0 ")


def health(server: Mailferry, port: int = 0) -> tuple[int, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", port or server.http, timeout=LOAD_BALANCER)
    try:
        connection.request("GET", "/health")
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


async def well_again(server: Mailferry) -> None:
    async with asyncio.timeout(30):
        while (await asyncio.to_thread(health, server))[0] != 200:
            await asyncio.sleep(0.1)


async def test_a_frozen_database_is_told_and_all_goes_on_by_itself(
    tmp_path: Path, postgres_cluster: Cluster, postgres_url: str
) -> None:
    async with sending(tmp_path, postgres_url + QUICK) as (server, mx, token):
        with frozen(postgres_cluster):
            for port in (server.http, server.metrics):
                status, said = await asyncio.to_thread(health, server, port)
                assert (status, said["status"]) == (503, "unwell"), said
            # It is refused in the end, and not held for as long as the database is frozen.
            await refused(server, token)
        await well_again(server)
        assert await post(server, token, "after") == 200
        await eventually(lambda: any(t.recipients == ("after@dest.test",) for t in mx.transactions), 20)
        assert server.process is not None and server.process.poll() is None


async def test_sigterm_ends_the_process_while_the_database_is_frozen(
    tmp_path: Path, postgres_cluster: Cluster, postgres_url: str
) -> None:
    async with sending(tmp_path, postgres_url) as (server, _, token):
        with frozen(postgres_cluster):
            waiting = [asyncio.create_task(post(server, token, "never")) for _ in range(3)]
            assert (await asyncio.to_thread(health, server))[0] == 503
            assert server.process is not None
            server.process.send_signal(signal.SIGTERM)
            status = await asyncio.to_thread(server.process.wait, 10)
        told = server.log.read_text()
        assert status == 0, told[-3000:]
        assert '"ended_by_force"' not in told and '"database_hung_up"' in told
        for answer in await asyncio.gather(*waiting, return_exceptions=True):
            assert answer in (500, 503) or isinstance(answer, OSError | http.client.HTTPException), answer


async def test_a_database_that_ends_and_comes_back(
    tmp_path: Path, postgres_cluster: Cluster, postgres_url: str
) -> None:
    async with sending(tmp_path, postgres_url) as (server, mx, token):
        postgres_cluster.kill()
        try:
            assert (await asyncio.to_thread(health, server))[0] == 503
            await refused(server, token)
            await asyncio.to_thread(refused_by_smtp, server, token)
        finally:
            postgres_cluster.start_again()
        await well_again(server)
        for number in range(8):  # each connection of the pool was dead, and no request hears of it
            assert await post(server, token, f"after{number}") == 200
        await eventually(lambda: len(mx.transactions) == 9, 20)
