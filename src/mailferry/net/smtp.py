"""An SMTP client: one connection to one host, used for one transaction after another (RFC 5321 3.3).

With it PIPELINING (RFC 2920), SIZE (RFC 1870), 8BITMIME (RFC 6152), SMTPUTF8 (RFC 6531), and what `smtp_session` adds.
Whatever happens comes back as an Answer; nothing is raised.
"""

import asyncio
import re
from collections.abc import Callable, Sequence

from mailferry.mail.reply import Answer
from mailferry.net.smtp_habits import Habits
from mailferry.net.smtp_session import Approach, Credentials, Session, Timeouts, TlsMode, opportunistic_context
from mailferry.net.smtp_wire import PIECE, Fault, Reply, pieces, stuff

__all__ = ["Approach", "Client", "Credentials", "Habits", "Timeouts", "TlsMode", "connect", "opportunistic_context"]

_LEASE_LOST = Fault("4.4.2", "lease lost: the recipient is in other hands now")
_UNSENDABLE = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")


async def connect(host: str, ip: str, port: int, approach: Approach, habits: Habits) -> "Client | Answer":
    """A connection that is ready for its first transaction, or why there is none. What the host does goes to `habits`.

    After an Answer of stage "tls" to an opportunistic approach, another try with `tls` "none" may succeed.
    """
    client = Client(host, ip, port, approach, habits)
    try:
        failure = await client.open()
    except BaseException:
        client.abort()
        raise
    if failure is None:
        return client
    client.leave()
    return failure


class Client(Session):
    """A connection to a host, as it is used by one delivery at a time."""

    def __init__(self, host: str, ip: str, port: int, approach: Approach, habits: Habits) -> None:
        super().__init__(host, ip, port, approach, habits)
        self.transactions = 0
        self._unclean = False  # the last transaction was refused half-way

    @property
    def for_one(self) -> bool:
        """Whether the connection is for one message: of a next one the host might speak of this one still."""
        return self.ip in self._habits.surplus

    async def send(
        self,
        sender: str,
        recipient: str,
        message_chunks: Sequence[bytes],
        *,
        eight_bit: bool,
        utf8: bool,
        may_commit: Callable[[], bool],
    ) -> Answer:
        """One transaction. `sender` "" is the null return path; `eight_bit` and `utf8` say what the message needs.

        `may_commit` is asked right before the final dot. When it says no the connection is cut, so that the host throws
        the message away.
        """
        if self.transactions:
            self._began = self._loop.time()
        self.transactions += 1
        octets = sum(map(len, message_chunks))
        utf8 = utf8 or not (sender + recipient).isascii()
        return (
            self._beyond(sender + recipient, octets, eight_bit, utf8)
            or await self._envelope(sender, recipient, octets, eight_bit, utf8)
            or await self._content(message_chunks, octets, may_commit)
        )

    def _beyond(self, addresses: str, octets: int, eight_bit: bool, utf8: bool) -> Answer | None:
        """What this host cannot take, known without asking it."""
        if not addresses.isprintable() and _UNSENDABLE.search(addresses):
            return self._failed("prepare", Fault("5.1.3", "an address contains what cannot be sent"))
        if utf8 and not self.utf8:
            return self._failed("prepare", Fault("5.6.7", "the host does not support SMTPUTF8"))
        if eight_bit and not self.eight_bit:
            return self._failed("prepare", Fault("5.6.3", "the host does not support 8BITMIME"))
        if self.size and octets > self.size:
            # RFC 1870 6.1. Not left to the host: some cut the connection at the octet that is too many.
            text = f"the message has {octets} octets, the host takes {self.size}"
            return self._failed("mail", Fault("5.3.4", text))
        return None

    async def _envelope(self, sender: str, recipient: str, octets: int, eight_bit: bool, utf8: bool) -> Answer | None:
        """MAIL, RCPT and DATA. None: the host waits for the message."""
        options = f" SIZE={octets}" if b"SIZE" in self._extensions else ""
        options += " BODY=8BITMIME" if eight_bit else ""
        options += " SMTPUTF8" if utf8 else ""
        commands = [f"MAIL FROM:<{sender}>{options}", f"RCPT TO:<{recipient}>", "DATA"]
        steps = [("mail", 250), ("rcpt", 250), ("data", 354)]
        if self._unclean:
            commands.insert(0, "RSET")
            steps.insert(0, ("rset", 250))
        replies = await self._ask(commands)
        for (stage, wanted), reply in zip(steps, replies, strict=False):
            if reply.code // 100 != wanted // 100:
                return await self._refused(replies, reply, stage)
        if len(replies) < len(steps):
            return self._refusal(None, steps[len(replies)][0].replace("rset", "mail"))
        self._unclean = False
        return None if self.usable else self._refusal(None, "data")

    async def _ask(self, commands: list[str]) -> list[Reply]:
        """Commands in one write where the host allows it (RFC 2920), else one by one up to the first refusal."""
        timeouts = self._timeouts
        if b"PIPELINING" in self._extensions and self.ip not in self._habits.one_by_one:
            return await self._ask_at_once(commands, timeouts.mail + timeouts.rcpt + timeouts.data)
        replies: list[Reply] = []
        for command in commands:
            reply = await self._command(command, max(timeouts.mail, timeouts.rcpt, timeouts.data))
            if reply is None:
                break
            replies.append(reply)
            if reply.code >= 400:
                break
        return replies

    async def _ask_at_once(self, commands: list[str], seconds: float) -> list[Reply]:
        self._wire.write("\r\n".join([*commands, ""]).encode(), replies=len(commands))
        replies = await self._wire.replies(len(commands), seconds)
        if 0 < len(replies) < len(commands) and replies[-1].code != 421:
            # Some that offer it read the first line of a packet and throw the rest away.
            self._habits.one_by_one.note(self.ip)
        return replies

    async def _refused(self, replies: list[Reply], reply: Reply, stage: str) -> Answer:
        self._unclean = True
        if stage == "rset":
            # Says nothing about the recipient: as if the connection had been lost before MAIL.
            self._wire.fail(Fault("4.5.0", f"protocol error: RSET was answered {reply.code}"))
            return self._refusal(None, "mail")
        if replies[-1].code == 354 and self.usable:
            # RFC 2920 3.1: DATA was taken although nobody is to receive: nothing but the final dot may follow.
            await self._command(".", self._timeouts.dot)
        # There is doubt whose refusal it is where a message went before, and where RCPT was taken in spite of it: that yes
        # may be MAIL's. Some hosts do take recipients without a sender, so the yes alone proves nothing.
        doubtful = self.transactions > 1 or any(other.code < 300 for other in replies[replies.index(reply) + 1 :])
        if stage == "mail" and doubtful and reply.code != 421 and not await self._is_in_step():
            return self._refusal(None, "mail")
        return self._refusal(reply, stage)

    async def _is_in_step(self) -> bool:
        """Whether MAIL's refusal was about this message, and no late word about the one before. Ends the connection.

        221 answers QUIT and nothing else; behind late words the reply to MAIL or DATA would stand in its place.
        """
        reply = await self._command("QUIT", self._timeouts.mail)
        if reply is None:
            return False
        if reply.code != 221:
            self._lose_thread(f"QUIT was answered {reply.code}")
            return False
        self.abort()
        return True

    async def _content(self, chunks: Sequence[bytes], octets: int, may_commit: Callable[[], bool]) -> Answer:
        last, owed = b".\r\n", 0
        if octets <= PIECE:
            last, owed = b"".join([*stuff(chunks), last]), 1
        elif early := await self._stream(chunks):
            return early
        if not may_commit():
            self._wire.fail(_LEASE_LOST)
            return self._failed("dot", _LEASE_LOST)
        self._wire.write(last, replies=owed)
        reply = await self._reply(self._timeouts.dot)
        return self._heard(reply, "dot") if reply and reply.code // 100 == 2 else self._refusal(reply, "dot")

    async def _stream(self, chunks: Sequence[bytes]) -> Answer | None:
        """A large message without its final dot, at the host's pace. An Answer: it spoke or left before the end."""
        self._wire.write(b"", replies=1)  # what the host says from here on is about the message
        written = 0
        for piece in stuff(pieces(chunks)):
            self._wire.write(piece, replies=0)
            written += len(piece)
            if written >= PIECE:
                written = 0
                await asyncio.sleep(0)  # a host that takes it as fast as we give it must not keep the others waiting
            if not await self._wire.drained(self._timeouts.block):
                early = await self._wire.replies(0, 0)
                answer = self._refusal(early[0] if early else None, "data")
                self.abort()
                return answer
        return None
