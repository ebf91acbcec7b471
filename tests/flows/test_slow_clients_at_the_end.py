"""SIGTERM while clients dribble: all ways in are closed at once, the process ends, and what was answered is there."""

import contextlib
import json
import smtplib
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.commands import first_run
from tests.peers.process import free_port
from tests.server import Mailferry, message

SENDER = "hello@demo.mailferry.test"
TO = "success@simulator.demo.mailferry.test"
#: Seconds: Docker sends SIGKILL then. Three ways in that were closed one after the other took thirteen.
PATIENCE = 10.0


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Mailferry]:
    made = Mailferry(tmp_path / "data", {"dns.nameservers": f"127.0.0.1:{free_port()}"})
    made.start()
    yield made
    made.end()


def trusted(server: Mailferry) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(server.data / "ca" / "ca.pem"))


def body(subject: str) -> dict[str, Any]:
    return message(TO, sender=SENDER, subject=subject)


def post(server: Mailferry, subject: str) -> bytes:
    """A whole request; its body ends with it."""
    content = json.dumps(body(subject)).encode()
    token = first_run(server)["api_token"]
    head = f"POST /api/send HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n"
    return f"{head}Content-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n".encode() + content


def mail(subject: str) -> bytes:
    return f"From: {SENDER}\r\nTo: {TO}\r\nSubject: {subject}\r\n\r\nHello.\r\n".encode()


def http(server: Mailferry) -> socket.socket:
    return socket.create_connection(("localhost", server.http), timeout=30)


def https(server: Mailferry) -> socket.socket:
    raw = socket.create_connection(("localhost", server.https), timeout=30)
    return trusted(server).wrap_socket(raw, server_hostname="localhost")


def in_data(server: Mailferry) -> smtplib.SMTP:
    """A session that has been told to send its message."""
    client = smtplib.SMTP("localhost", server.smtp, timeout=30)
    client.starttls(context=trusted(server))
    client.login("api", first_run(server)["api_token"])
    client.mail(SENDER)
    client.rcpt(TO)
    assert client.docmd("DATA")[0] == 354
    return client


def dribble(send: Callable[[bytes], object], octets: bytes, stop: threading.Event) -> None:
    """One octet now and then, and never the last one."""
    with contextlib.suppress(OSError):
        for octet in octets[:-1]:
            send(bytes([octet]))
            if stop.wait(0.3):
                return


def test_three_slow_clients_cost_one_grace(server: Mailferry) -> None:
    token = first_run(server)["api_token"]
    assert server.post("/api/send", body("by http"), token)[0] == 200
    with contextlib.ExitStack() as clients:
        session = in_data(server)
        session.send(mail("by smtp") + b".\r\n")
        assert session.getreply()[0] == 250
        session.close()

        stop = threading.Event()
        slow: list[tuple[Any, bytes, bytes]] = []
        for connection in (http(server), https(server)):
            clients.enter_context(connection)
            whole = post(server, "never whole")
            slow.append((connection.sendall, whole[:-40], whole[-40:]))
        session = in_data(server)
        clients.callback(session.close)
        slow.append((session.send, b"Subject: never whole\r\n", mail("never whole")))
        threads = []
        for send, first, rest in slow:
            send(first)
            threads.append(threading.Thread(target=dribble, args=(send, rest, stop)))
            threads[-1].start()
        # One more is slow, but ends in time: it is answered, and that counts.
        late = clients.enter_context(http(server))
        whole = post(server, "in time")
        late.sendall(whole[:-1])
        time.sleep(0.3)

        assert server.process is not None
        server.process.terminate()
        time.sleep(0.5)
        late.sendall(whole[-1:])
        assert late.recv(65536).startswith(b"HTTP/1.1 200 ")
        assert server.process.wait(PATIENCE) == 0
        stop.set()
        for thread in threads:
            thread.join(20)
    told = server.log.read_text()
    assert '"ended_by_force"' not in told and '"close_late"' not in told

    server.start()
    assert sorted(each["subject"] for each in server.ask("messages.list", limit=100)) == [
        "by http",
        "by smtp",
        "in time",
    ]
