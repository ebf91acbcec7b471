"""The pytest plug-in. pytest loads it in every project where Mailferry is installed, so it imports nothing until it is asked."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from mailferry.testing.inbox import Inbox
    from mailferry.testing.server import Server


@pytest.fixture(scope="session")
def mailferry_server() -> "Iterator[Server]":
    """A Mailferry of this test session, on free ports of 127.0.0.1. Nothing that it takes is delivered."""
    from mailferry.testing.server import Server

    with Server() as server:
        yield server


@pytest.fixture
def mailferry_inbox(mailferry_server: "Server", request: pytest.FixtureRequest) -> "Inbox":
    """A fresh inbox with credentials of its own."""
    return mailferry_server.new_inbox(request.node.name)
