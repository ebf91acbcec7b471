"""How long one client is waited for (RFC 5321 4.5.3.2, RFC 1939 3): one timer, set anew only when it would ring too late."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from enum import Enum, auto

from mailferry.endpoints.connection_limits import ConnectionLimits


class Doing(Enum):
    """What a connection is about, as far as time goes."""

    TALKING = auto()
    #: A message arrives: every octet is progress, while octets of an unfinished command line are not, so that a slow
    #: loris does not hold the connection.
    RECEIVING = auto()
    #: One goes to the client, which must read it.
    SENDING = auto()
    #: The client waits for us, not we for it.
    WORKING = auto()
    #: The same, and the client has said all it will say, or is gone.
    WORKING_FOR_NONE = auto()
    LEAVING = auto()


class Deadlines:
    """Times are the loop's seconds. `rung` is called when what is being done has lasted too long."""

    __slots__ = ("_at", "_death", "_doing", "_limits", "_loop", "_message_end", "_progress", "_rung", "_timer")

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        limits: ConnectionLimits,
        doing: Callable[[], Doing],
        rung: Callable[[], None],
    ) -> None:
        self._loop = loop
        self._limits = limits
        self._doing = doing
        self._rung = rung
        self._progress = 0.0  # when the client last did something that counts
        self._death = 0.0
        self._message_end = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._at = math.inf

    def begin(self) -> None:
        """The connection is there."""
        self.progress()
        self._death = self._progress + self._limits.connection

    def begin_message(self) -> None:
        """It has `limits.data` seconds in all."""
        self.progress()
        self._message_end = self._progress + self._limits.data
        if self._message_end < self._at:
            self.set()

    def progress(self) -> None:
        """The client did something that counts."""
        self._progress = self._loop.time()

    @property
    def lived_too_long(self) -> bool:
        """The connection, at the last progress."""
        return self._progress > self._death

    def set(self) -> None:
        """To be called when what is done now may come to its end earlier than what was done before."""
        due = self._due()
        if due >= self._at:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._at = due
        self._timer = self._loop.call_at(due, self._ring)

    def keep(self) -> None:
        """A timer that is set is early enough: time moved on, and what makes an end come nearer sets it anew."""
        if self._timer is None:
            self.set()

    def end(self) -> None:
        """The connection is gone: nothing rings any more."""
        if self._timer is not None:
            self._timer.cancel()
        self._at = -math.inf

    def _due(self) -> float:
        """When that will have lasted too long."""
        limits = self._limits
        match self._doing():
            case Doing.LEAVING:
                return self._progress + limits.linger
            case Doing.WORKING:
                return math.inf
            case Doing.WORKING_FOR_NONE:
                return self._progress + limits.eof_grace
            case Doing.RECEIVING | Doing.SENDING:
                return min(self._progress + limits.idle, self._message_end)
            case Doing.TALKING:
                return min(self._progress + limits.idle, self._death)

    def _ring(self) -> None:
        self._timer, self._at = None, math.inf
        if self._due() > self._loop.time():
            self.set()
        else:
            self._rung()
