"""The message that arrives after DATA: scanned octet by octet, and counted against what all sessions may hold together."""

from __future__ import annotations

from dataclasses import dataclass

from mailferry.endpoints.smtp.data import Fault, Kind, Scanner
from mailferry.endpoints.smtp.limits import Budget, Limits


@dataclass(frozen=True, slots=True)
class Faulty:
    """`ambiguous`: the client, or a relay before it, may think that the message ended earlier and that the rest was
    commands.
    """

    fault: Fault
    ambiguous: bool


class Incoming:
    """One message after the other of one session. What it takes from the budget is held until `release`."""

    __slots__ = ("_budget", "_held", "_limits", "_scanner")

    def __init__(self, limits: Limits, budget: Budget) -> None:
        self._limits = limits
        self._budget = budget
        self._scanner: Scanner | None = None
        self._held = 0

    @property
    def arriving(self) -> bool:
        return self._scanner is not None

    @property
    def fault(self) -> Fault | None:
        """Of the message that is arriving, as far as it is known."""
        return self._scanner.fault if self._scanner is not None else None

    def has_room(self, octets: int) -> bool:
        return self._budget.left > octets

    def begin(self) -> None:
        self._scanner = Scanner(self._limits.message, self._limits.text_line)

    def take(self, buffer: bytearray) -> bytes | Faulty | None:
        """Look at what is new in `buffer`. None: it goes on; else the message, which has left there, or why it is none."""
        scanner = self._scanner
        assert scanner is not None
        if not scanner.scan(buffer):
            if not self._hold(0 if scanner.fault else scanner.moved + len(buffer)):
                scanner.drop(buffer, Kind.NO_MEMORY)
                self.release()
            return None
        self._scanner = None
        message, fault = scanner.take(buffer), scanner.fault
        if fault is None and not self._hold(len(message)):
            fault = Fault(Kind.NO_MEMORY)
        if fault is None:
            return message
        self.release()
        return Faulty(fault, scanner.ambiguous)

    def release(self) -> None:
        """The octets are no longer in memory."""
        self._hold(0)

    def _hold(self, octets: int) -> bool:
        """Take from the budget, or give back, until it is `octets`; False when there are not so many."""
        more = octets - self._held
        if more > 0 and not self._budget.take(more):
            return False
        if more < 0:
            self._budget.give(-more)
        self._held = octets
        return True
