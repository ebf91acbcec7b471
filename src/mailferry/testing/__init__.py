"""For test-suites: a server of their own, and inboxes to send to (docs/testing.md). Imports nothing before it is used."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mailferry.testing.inbox import Inbox
    from mailferry.testing.messages import Message, NoMessage
    from mailferry.testing.server import Server, StartFailed

__all__ = ["Inbox", "Message", "NoMessage", "Server", "StartFailed"]

_ROOMS = {"Inbox": "inbox", "Message": "messages", "NoMessage": "messages", "Server": "server", "StartFailed": "server"}


def __getattr__(name: str) -> Any:
    if name not in _ROOMS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_ROOMS[name]}"), name)
