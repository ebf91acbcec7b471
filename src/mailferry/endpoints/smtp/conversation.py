"""What every SMTP conversation of a server has, whatever its commands: greeting, replies, mistakes, ends, log (RFC 5321)."""

from __future__ import annotations

import traceback
from pathlib import Path

from mailferry.endpoints.connection import Connection, Step
from mailferry.endpoints.line_server import Crowd
from mailferry.endpoints.smtp import replies
from mailferry.endpoints.smtp.backend import Peer
from mailferry.endpoints.smtp.host import Host
from mailferry.endpoints.smtp.limits import Limits
from mailferry.endpoints.smtp.replies import Reply

# Codes that say that the client is wrong about the protocol (RFC 5321 4.2.2), and 530, 538 for one that will not
# authenticate. A bad address (5.1.x) is a user's mistake: a list of a thousand recipients may hold twenty.
MISTAKES = frozenset({500, 501, 502, 503, 504, 530, 538, 555})
CROWDED = {Crowd.ALL: replies.TOO_MANY_CONNECTIONS, Crowd.FROM_ADDRESS: replies.TOO_MANY_FROM_ADDRESS}


class Conversation(Connection):
    """Between the octets and the commands. `number` is the session's in the log."""

    limits: Limits

    def __init__(self, host: Host, number: int) -> None:
        super().__init__(host.loop, host.limits)
        self.number = number
        self.peer = Peer("", 0)
        self.host = host
        self.messages = 0
        self.mistakes = 0

    # The life of the connection.

    def opened(self) -> None:
        ip, port = self.peer_name("peername")
        local, local_port = self.peer_name("sockname")
        self.peer = Peer(ip, port, self.tls_name(), f"{local}:{local_port}")
        crowd = self.host.arrived(self, ip)
        refusal = CROWDED[crowd] if crowd else None
        self.note("smtp_connected", tls=self.peer.tls, local=self.peer.local, refused=refusal is not None)
        self.say(refusal or Reply(220, "", f"{self.host.backend.greeting_name} ESMTP"))

    def stop(self) -> None:
        """Say 421 as soon as no message is arriving and no call to the backend runs."""
        self.stopping = True
        self.go_on()

    def expired(self) -> None:
        self.note("smtp_timeout", receiving=self.receiving)
        self.say(replies.TIMEOUT)

    def failed(self, error: Exception) -> None:
        self.error(error)
        self.say(replies.BROKEN)

    def closed(self) -> None:
        self.host.left(self)
        self.note("smtp_closed", messages=self.messages, mistakes=self.mistakes)

    # What is said, and what is noted.

    def say(self, reply: Reply) -> Step:
        if reply is replies.HANG_UP:
            self.abort()
            return True
        self.send(reply.wire())
        if reply.code == 421:  # RFC 5321 3.8: after 421 the server closes, whoever said it
            self.leave()
        return True

    def refuse(self, reply: Reply) -> Step:
        """Say `reply`, and count it when the client should have known better."""
        self.say(reply)
        if reply.code in MISTAKES and not reply.enhanced.startswith("5.1."):
            self.mistakes += 1
            self.note("smtp_mistake", code=reply.code, enhanced=reply.enhanced, mistakes=self.mistakes)
            if self.mistakes >= self.limits.bad_commands:
                self.say(replies.TOO_MANY_ERRORS)
        return True

    def note(self, event: str, **facts: object) -> None:
        self.host.log({"event": event, "session": self.number, "ip": self.peer.ip, **facts})

    def error(self, error: Exception) -> Reply:
        """Note a bug of the backend or of ours; what the client hears of it."""
        # Where, and never what: messages of exceptions quote parameters, and those of `authenticate` are secrets.
        frame = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{Path(frame.filename).name}:{frame.lineno} {frame.name}"
        self.note("smtp_error", error=type(error).__name__, where=where)
        return replies.LOCAL_ERROR
