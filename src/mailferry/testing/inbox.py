"""An inbox of a test: where to send to, and what it caught."""

import json
import smtplib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypedDict, Unpack
from urllib.parse import quote, urlencode

from mailferry.testing.http import Failed, Http
from mailferry.testing.messages import Message, NoMessage, told

if TYPE_CHECKING:
    from mailferry.testing.server import Server

#: Messages that :meth:`Inbox.messages` lists.
MOST = 1_000


class Query(TypedDict, total=False):
    """Conditions that must all hold (docs/testing.md). Small and capital letters are alike."""

    #: An address, ``@example.com`` for any there, or a part of an address or name.
    to: str
    sender: str
    #: Parts of these.
    subject: str
    text: str
    html: str
    #: Names of fields, and a part of each one's value; empty: it is there.
    header: Mapping[str, str]
    has_attachment: bool
    #: Caught behind this message, or its id.
    after: Message | int
    since: datetime


class Inbox:
    """Made by :meth:`Server.new_inbox`; nobody else sends to it."""

    def __init__(self, server: "Server", http: Http, shown: Mapping[str, Any]) -> None:
        self.server = server
        self.id: int = shown["id"]
        self.name: str = shown["name"]
        #: Of SMTP, without TLS or with STARTTLS.
        self.host, self.port = server.smtp_host, server.smtp_port
        self.username: str = shown["username"]
        self.password: str = shown["password"]
        #: What Mailtrap's send API is posted to.
        self.send_url = f"{server.http_url}/api/send/{self.id}"
        self._http = http
        self._path = f"inboxes/{self.id}"
        self._messages = f"{self._path}/messages"

    def __repr__(self) -> str:
        return f"<Inbox {self.id} {self.name!r}>"

    def wait_for(self, *, timeout: float = 5.0, **query: Unpack[Query]) -> Message:
        """The newest message that answers, waited for ``timeout`` seconds; with ``after``, the first behind that one.

        Raises :class:`NoMessage`, which says what came instead.
        """
        path = f"{self._messages}/wait?{_string(query, timeout=timeout)}"
        return self._message(_expected(*self._http.ask("GET", path, wait=timeout)))

    def latest(self, **query: Unpack[Query]) -> Message:
        """The newest that is there. Raises :class:`NoMessage`."""
        return self.wait_for(timeout=0, **query)

    def messages(self, **query: Unpack[Query]) -> list[Message]:
        """Those that are there, the oldest first; of many the last 1,000."""
        found = self._http.json("GET", f"{self._messages}/search?{_string(query, limit=MOST)}")
        return [self._message(each) for each in reversed(found)]

    def expect(
        self,
        count: int | None = None,
        *,
        at_least: int | None = None,
        at_most: int | None = None,
        timeout: float = 0.0,
        **query: Unpack[Query],
    ) -> None:
        """Exactly ``count`` messages answer, or a number in the range, within ``timeout`` seconds; at least one where nothing is said.

        Raises :class:`NoMessage`.
        """
        wanted: Any = count
        if at_least is not None or at_most is not None:
            named = {"exactly": count, "at_least": at_least, "at_most": at_most}
            wanted = {name: value for name, value in named.items() if value is not None}
        body = {"query": _members(query), "count": wanted, "timeout": timeout}
        _expected(*self._http.ask("POST", f"{self._messages}/assert", body, wait=timeout))

    def delete(self, **query: Unpack[Query]) -> int:
        """Those that answer; returns how many there were."""
        return int(self._http.json("DELETE", f"{self._messages}?{_string(query)}")["deleted"])

    def clear(self) -> None:
        """Deletes all messages."""
        self._http.json("PATCH", f"{self._path}/clean")

    @contextmanager
    def smtp(self) -> Iterator[smtplib.SMTP]:
        """A connection that is logged in."""
        with smtplib.SMTP(self.host, self.port) as client:
            client.login(self.username, self.password)
            yield client

    def _message(self, shown: Mapping[str, Any]) -> Message:
        return Message(self._http, self._messages, shown)


def _members(query: Query) -> dict[str, Any]:
    """As the API names them."""
    found: dict[str, Any] = dict(query)
    if "sender" in found:
        found["from"] = found.pop("sender")
    if isinstance(after := found.get("after"), Message):
        found["after"] = after.id
    if isinstance(since := found.get("since"), datetime):
        # Without a zone it is the test's own time, as everywhere in Python.
        found["since"] = since.astimezone(UTC).isoformat()
    return found


def _string(query: Query, **beside: Any) -> str:
    given = _members(query)
    header = given.pop("header", {})
    flags = {True: "true", False: "false"}
    pairs = [(name, flags[value] if isinstance(value, bool) else value) for name, value in (given | beside).items()]
    return urlencode([*pairs, *((f"header[{name}]", value) for name, value in header.items())], quote_via=quote)


def _expected(status: int, answer: bytes) -> Any:
    if status == 422:
        raise NoMessage(told(answer))
    if status != 200:
        raise Failed(f"the server answered {status}: {answer.decode(errors='replace')[:1000]}")
    return json.loads(answer)
