"""Asks the server. The standard library alone, since this runs in other people's test-suites."""

import json
from http.client import HTTPConnection
from typing import Any

#: Seconds beyond those that a request asks the server to wait.
PATIENCE = 30.0


class Failed(RuntimeError):
    """The server answered what was not expected; the text has its words."""


class Http:
    """``root``: the path that all others stand behind."""

    def __init__(self, host: str, port: int, token: str, root: str) -> None:
        self._address = host, port
        self._headers = {"Authorization": f"Bearer {token}"}
        self._root = root

    def ask(self, method: str, path: str, body: Any = None, *, wait: float = 0.0) -> tuple[int, bytes]:
        """A connection a request: tests are threads, processes and forks of all kinds."""
        connection = HTTPConnection(*self._address, timeout=wait + PATIENCE)
        try:
            sent = None if body is None else json.dumps(body)
            given = self._headers if sent is None else self._headers | {"Content-Type": "application/json"}
            connection.request(method, self._root + path, sent, given)
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def json(self, method: str, path: str, body: Any = None) -> Any:
        """Raises :class:`Failed` for all but 2xx."""
        status, answer = self.ask(method, path, body)
        if not 200 <= status < 300:
            raise Failed(f"{method} {path} was answered {status}: {answer.decode(errors='replace')[:1000]}")
        return json.loads(answer)
