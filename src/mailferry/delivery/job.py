"""One recipient on its way: what the worker holds while it has the lease."""

import threading
from dataclasses import dataclass

import msgspec

from mailferry.store.content import Place

#: A lease lasts this long and is renewed while the attempt runs; after a crash the work is free again by then.
LEASE_MS = 30_000


@dataclass(frozen=True, slots=True)
class Terms:
    """What a message itself asks for on its way, beside what its domain says (intake/submission.Publishing.facts)."""

    #: It travels under TLS or not at all.
    needs_tls: bool = False
    #: Followed although its domain's mail is not.
    opens: bool = False
    clicks: bool = False
    #: Names in place of those of its domain: of its return path, and of its links, where those can be reached as is asked.
    return_path: str = ""
    links_host: str = ""
    links_https: bool = False
    #: Types of suppressions that stop it; None: all do.
    suppressing: frozenset[str] | None = None
    #: The topic that its recipient, the only one, may say no to; 0: the whole contact list. None: it is sent to none.
    topic_id: int | None = None


_NONE = Terms()


def terms(publishing: str) -> Terms:
    """Out of what is kept with the message; names of others are passed over."""
    return msgspec.json.decode(publishing, type=Terms) if publishing else _NONE


@dataclass(slots=True)
class Job:
    """Immutable but for the lease, which is renewed, and the body, which goes when the attempt has ended."""

    recipient_id: str
    message_id: str
    account_id: int
    domain_id: int
    lane_id: int
    stream: str
    address: str
    destination: str
    fence: int
    #: Attempts that ended before this one.
    tries: int
    created_at: int
    expires_at: int
    endpoint: str
    rfc_message_id: str
    place: Place
    lease_until: int
    category: str = ""
    terms: Terms = _NONE
    #: Its lane is held: this one attempt shows whether the destination answers again.
    probe: bool = False
    #: Only of what was handed over from memory.
    body: bytes | None = None
    #: A host was there, and the message was prepared for it.
    begun: bool = False
    #: Octets taken from the hand-off's budget, to be given back.
    borrowed: int = 0

    def renew(self, taken: "Job") -> None:
        """The same recipient, taken again by the same process."""
        self.fence, self.lease_until, self.tries, self.probe = taken.fence, taken.lease_until, taken.tries, taken.probe


class HandoffBudget:
    """How much accepted mail may be on its way from memory. The writer thread takes, the event loop gives back."""

    def __init__(self, messages: int, octets: int) -> None:
        self._messages = messages
        self._octets = octets
        self._lock = threading.Lock()

    def take(self, octets: int) -> bool:
        with self._lock:
            if self._messages < 1 or self._octets < octets:
                return False
            self._messages -= 1
            self._octets -= octets
            return True

    def give_back(self, octets: int, messages: int = 1) -> None:
        with self._lock:
            self._messages += messages
            self._octets += octets
