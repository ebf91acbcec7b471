"""What a transport is: it takes one recipient's message one step further and comes back with an Answer."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from mailferry.mail.reply import Answer


@dataclass(frozen=True, slots=True)
class Peer:
    """What the host at the other end can take. `size`: octets of a message, 0 when it did not say."""

    eight_bit: bool
    utf8: bool
    size: int


@dataclass(frozen=True, slots=True)
class Prepared:
    """A message in the bytes that will travel, in any number of chunks, and what these need of the host."""

    chunks: tuple[bytes, ...]
    eight_bit: bool = False
    utf8: bool = False


@dataclass(frozen=True, slots=True)
class Parcel:
    """One recipient's message, on its way.

    `prepare` makes the bytes for the host that was found; an Answer instead is the attempt's result (5.6.7 when the
    host lacks SMTPUTF8, and the like). It is asked again only for a host with other abilities. `may_commit` is asked
    right before the message would become the host's; no means that someone else has the recipient now.
    """

    sender: str  # envelope return path, "" for the null one
    recipient: str
    domain: str  # the destination
    prepare: Callable[[Peer], Awaitable[Prepared | Answer]]
    may_commit: Callable[[], bool]
    needs_tls: bool = False  # it is not sent in plain text, whatever the transport would do otherwise


class Transport(Protocol):
    """Delivers any number of parcels at once. Never raises for what a host, a network or a name server did."""

    name: str

    async def deliver(self, parcel: Parcel) -> Answer:
        """One attempt, from looking for a host to the host's last word."""
        ...

    async def close(self) -> None:
        """Ends the connections that are kept."""
        ...
