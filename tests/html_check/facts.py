"""The tables of this folder, read."""

from dataclasses import dataclass
from pathlib import Path

from mailferry.sandbox.checks.html.support import Client

HERE = Path(__file__).parent
CLIENTS = {
    "ow": Client("outlook", "windows"),
    "ai": Client("apple-mail", "ios"),
    "am": Client("apple-mail", "macos"),
    "gw": Client("gmail", "desktop-webmail"),
    "gm": Client("gmail", "mobile-webmail"),
}


@dataclass(frozen=True)
class Fact:
    slug: str
    snippet: str
    near_miss: str
    #: Clients, and whether they have it, at least partly.
    clients: dict[Client, bool]

    def __str__(self) -> str:
        return f"{self.slug}: {self.snippet}"


def facts(table: str) -> list[Fact]:
    lines = (HERE / f"{table}.txt").read_text().splitlines()
    return [_fact(line) for line in lines if not line.startswith("#")]


def _fact(line: str) -> Fact:
    slug, snippet, near_miss, clients = (cell.strip() for cell in line.split(" | "))
    return Fact(
        slug, snippet, near_miss or f"-x-{snippet}", {CLIENTS[word[:2]]: word[2] == "+" for word in clients.split()}
    )
