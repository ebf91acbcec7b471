"""Signs digests in processes of their own: RSA is half of all the CPU that a message costs.

A signing process (:mod:`mailferry.delivery.signer`) is given 32-octet digests over a pipe and knows nothing of mail.
Requests that come while it is busy go to it together. A process that dies is started anew and its work done again; with
no processes at all, a thread signs (RSA lets go of the interpreter's lock).
"""

import asyncio
import sys
from collections.abc import Sequence
from itertools import count

import msgspec
import structlog

from mailferry.delivery.signer import FRAME, Signing, frame
from mailferry.mail import dkim

log = structlog.get_logger(__name__)

#: A signing process that cannot be started this often in a row is given up, and threads take over.
STARTS = 5


class Signers:
    """Signatures by key; private keys are handed in with each call and sent to a process once."""

    def __init__(self, processes: int) -> None:
        self._pool = [_Process(number) for number in range(processes)]
        self._next = count()
        self._loaded: dict[int, dkim.PrivateKey] = {}

    async def start(self) -> None:
        await asyncio.gather(*(process.start() for process in self._pool))

    async def sign(self, work: Sequence[tuple[int, bytes, bytes]]) -> list[bytes]:
        """Signatures of (key id, private key PEM, digest). All of one message go to one process."""
        usable = [process for process in self._pool if not process.given_up]
        if not usable:
            return await asyncio.to_thread(self._sign_here, work)
        return await usable[next(self._next) % len(usable)].sign(work)

    async def close(self) -> None:
        await asyncio.gather(*(process.close() for process in self._pool))

    def _sign_here(self, work: Sequence[tuple[int, bytes, bytes]]) -> list[bytes]:
        signatures = []
        for key_id, pem, digest in work:
            if key_id not in self._loaded:
                self._loaded[key_id] = dkim.load(pem)
            signatures.append(dkim.sign(self._loaded[key_id], digest))
        return signatures


class _Process:
    def __init__(self, number: int) -> None:
        self._number = number
        self._process: asyncio.subprocess.Process | None = None
        self._reader: asyncio.Task[None] | None = None
        self._waiting: dict[int, tuple[Sequence[tuple[int, bytes, bytes]], asyncio.Future[list[bytes]]]] = {}
        self._sent_keys: set[int] = set()
        self._ids = count()
        self._failures = 0
        self._closing = False

    @property
    def given_up(self) -> bool:
        return self._failures >= STARTS

    async def start(self) -> None:
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "mailferry.delivery.signer",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            # Ctrl-C in a terminal goes to the whole group; we end it ourselves, after the last message.
            start_new_session=True,
        )
        self._sent_keys.clear()
        self._reader = asyncio.create_task(self._read())
        for request, (work, _) in list(self._waiting.items()):
            self._send(request, work)

    async def sign(self, work: Sequence[tuple[int, bytes, bytes]]) -> list[bytes]:
        request = next(self._ids)
        future: asyncio.Future[list[bytes]] = asyncio.get_running_loop().create_future()
        self._waiting[request] = (work, future)
        self._send(request, work)
        return await future

    async def close(self) -> None:
        self._closing = True
        while self._reader is not None:
            process, reader, self._reader = self._process, self._reader, None
            assert process is not None and process.stdin is not None
            process.stdin.close()  # it ends at the end of its input
            await process.wait()
            await reader  # which may have begun to start another one before

    def _send(self, request: int, work: Sequence[tuple[int, bytes, bytes]]) -> None:
        assert self._process is not None and self._process.stdin is not None
        if self._process.stdin.is_closing():
            return  # it has ended, and uvloop would raise: the reader starts a new one and sends all that waits
        new = {key_id: pem for key_id, pem, _ in work if key_id not in self._sent_keys}
        self._sent_keys.update(new)
        signing = Signing(request, new, [(key_id, digest) for key_id, _, digest in work])
        # A broken pipe shows in the reader, which starts a new process and sends all that waits again.
        self._process.stdin.write(frame(msgspec.msgpack.encode(signing)))

    async def _read(self) -> None:
        assert self._process is not None and self._process.stdout is not None
        stream = self._process.stdout
        try:
            while True:
                (length,) = FRAME.unpack(await stream.readexactly(FRAME.size))
                request, signatures = msgspec.msgpack.decode(
                    await stream.readexactly(length), type=tuple[int, list[bytes]]
                )
                _, future = self._waiting.pop(request)
                self._failures = 0
                if not future.done():
                    future.set_result(signatures)
        except asyncio.IncompleteReadError:
            pass
        if not self._closing:
            await self._again()

    async def _again(self) -> None:
        """Start anew. A process that ended and one that could not be started count alike."""
        assert self._process is not None
        self._failures += 1
        log.warning("signer_ended", number=self._number, status=await self._process.wait(), failures=self._failures)
        while not self.given_up:
            try:
                await self.start()
            except OSError as error:  # no memory, no processes left: what waits must not wait for ever
                self._failures += 1
                log.warning("signer_not_started", number=self._number, error=repr(error), failures=self._failures)
            else:
                return
        for _, future in self._waiting.values():
            if not future.done():
                future.set_exception(RuntimeError("signing processes keep ending"))
        self._waiting.clear()
