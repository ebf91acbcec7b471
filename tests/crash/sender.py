"""An application that sends by HTTP and by SMTP for as long as it is let, and remembers every yes.

Messages are numbered. By its number a message goes to one address or to three, and some of the addresses are ones that
the receiving host refuses or puts off (see story.py).
"""

import http.client
import itertools
import json
import smtplib
import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from tests.server import DOMAIN, Mailferry

#: Between two tries while nobody listens.
PAUSE = 0.02
TIMEOUT = 30


@dataclass(frozen=True, slots=True)
class Yes:
    """Answered 200 or 250: from here on it is the server's."""

    number: int
    way: str
    recipients: tuple[str, ...]


class Sender:
    """`with Sender(server): ...` sends with some connections of each kind, through every restart of the server."""

    def __init__(self, server: Mailferry, *, connections: int = 3, pause: float = 0.0) -> None:
        found = server.credentials
        self._token, self._authority = found["api_token"], found["ca_file"]
        self._server = server
        self._numbers = itertools.count(1)
        self._stopped = threading.Event()
        self._pause = pause
        self.answered: list[Yes] = []
        #: Answers other than yes. A kill or a database that is away explains a 5xx, nothing explains another.
        self.refused: list[tuple[str, int, str]] = []
        self._threads = [
            threading.Thread(target=self._run, args=(way,), daemon=True)
            for way in (self._by_http, self._by_smtp)
            for _ in range(connections)
        ]

    def __enter__(self) -> "Sender":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Returns when the last answer has come."""
        self._stopped.set()
        for thread in self._threads:
            thread.join(TIMEOUT)
            assert not thread.is_alive(), "a client hangs: the server neither answers nor closes"

    def _run(self, connect_and_send: Callable[[], None]) -> None:
        while not self._stopped.is_set():
            try:
                connect_and_send()
            except (OSError, http.client.HTTPException, smtplib.SMTPException):
                time.sleep(PAUSE)

    def _by_http(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._server.http, timeout=TIMEOUT)
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"}
        try:
            while not self._stopped.wait(self._pause):
                number = next(self._numbers)
                addresses = recipients(number)
                body = {
                    "from": {"email": f"app@{DOMAIN}"},
                    "to": [{"email": address} for address in addresses],
                    "subject": subject(number),
                    "text": text(number),
                }
                connection.request("POST", "/api/send", json.dumps(body), headers)
                answer = connection.getresponse()
                said = answer.read().decode()
                if answer.status == 200:
                    assert len(json.loads(said)["message_ids"]) == len(addresses)
                    self.answered.append(Yes(number, "http", addresses))
                else:
                    self.refused.append(("http", answer.status, said))
        finally:
            connection.close()

    def _by_smtp(self) -> None:
        with smtplib.SMTP("127.0.0.1", self._server.smtp, timeout=TIMEOUT) as client:
            if not self._server.settings.get("smtp.plain_auth"):
                client.starttls(context=ssl.create_default_context(cafile=self._authority))
            client.login("api", self._token)
            while not self._stopped.wait(self._pause):
                number = next(self._numbers)
                addresses = recipients(number)
                head = f"From: app@{DOMAIN}\r\nTo: {', '.join(addresses)}\r\nSubject: {subject(number)}\r\n\r\n"
                try:
                    client.sendmail(f"app@{DOMAIN}", addresses, head + text(number))
                except smtplib.SMTPServerDisconnected:
                    raise
                except smtplib.SMTPResponseException as error:
                    self.refused.append(("smtp", error.smtp_code, str(error.smtp_error)))
                    raise
                self.answered.append(Yes(number, "smtp", addresses))


def subject(number: int) -> str:
    return f"Crossing number {number}"


def text(number: int) -> str:
    """Between a line and some kilobytes."""
    return f"Cargo of crossing {number}.\n" + "One more line of it.\n" * (number % 7 * 40)


def recipients(number: int) -> tuple[str, ...]:
    kinds = ("plain",) if number % 5 else ("plain", "unknown", "later")
    return tuple(f"{kind}-{number}@dest.test" for kind in kinds)
