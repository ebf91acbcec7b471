"""Signing processes: what one that is killed had to do is done by the next, and nothing waits for ever."""

import asyncio
import contextlib
import os
import shutil
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any

import pytest
import uvloop
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, utils
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from mailferry.delivery import signing
from mailferry.delivery.signing import Signers
from mailferry.mail import dkim
from tests.conftest import eventually

RSA, ED25519 = 1, 2
PEMS = {RSA: dkim.generate("rsa-sha256")[0], ED25519: dkim.generate("ed25519-sha256")[0]}
Work = tuple[int, bytes, bytes]


def work(number: int, key: int = ED25519) -> Work:
    return key, PEMS[key], number.to_bytes(32, "big")


def is_good(asked: Work, signature: bytes) -> bool:
    key, _, digest = asked
    private = dkim.load(PEMS[key])
    try:
        if isinstance(private, Ed25519PrivateKey):
            private.public_key().verify(signature, digest)
        else:
            private.public_key().verify(signature, digest, padding.PKCS1v15(), utils.Prehashed(hashes.SHA256()))
    except InvalidSignature:
        return False
    return True


@contextlib.asynccontextmanager
async def running(processes: int) -> AsyncIterator[Signers]:
    signers = Signers(processes)
    await signers.start()
    try:
        yield signers
    finally:
        await asyncio.wait_for(signers.close(), 60)


async def signed(signers: Signers, *asked: Work) -> bool:
    async with asyncio.timeout(30):
        signatures = await signers.sign(asked)
    return all(is_good(each, signature) for each, signature in zip(asked, signatures, strict=True))


def send(signers: Signers, number: signal.Signals, process: int = 0) -> None:
    running = signers._pool[process]._process
    assert running is not None
    os.kill(running.pid, number)


def begun(signers: Signers, number: int) -> list["asyncio.Task[bool]"]:
    return [asyncio.ensure_future(signed(signers, work(n))) for n in range(number)]


async def waiting(signers: Signers, number: int) -> None:
    await eventually(lambda: len(signers._pool[0]._waiting) == number, 30)


def programs_end_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is started from now on ends with status 1."""
    false = shutil.which("false")
    assert false
    monkeypatch.setattr(sys, "executable", false)


def programs_cannot_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")


# --- as it should be -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("processes", [0, 1, 2])
async def test_signatures_come_back_in_order(processes: int) -> None:
    async with running(processes) as signers:
        asked = [(work(n, RSA), work(n + 1000)) for n in range(20)]
        assert await asyncio.gather(*(signed(signers, *both) for both in asked)) == [True] * 20


async def test_a_key_is_sent_once_and_once_more_to_the_next_process() -> None:
    async with running(1) as signers:
        assert await signed(signers, work(1))
        key, _, digest = work(2)
        # The process would end at a key that it cannot read.
        assert await signed(signers, (key, b"no key at all", digest))
        send(signers, signal.SIGKILL)
        assert await signed(signers, work(3))


async def test_closing_lets_what_was_asked_be_done() -> None:
    signers = Signers(1)
    await signers.start()
    tasks = begun(signers, 50)
    await waiting(signers, 50)
    await signers.close()
    assert await asyncio.gather(*tasks) == [True] * 50


# --- trouble -------------------------------------------------------------------------------------------------------


async def test_a_killed_process_is_started_anew_and_its_work_done() -> None:
    async with running(1) as signers:
        send(signers, signal.SIGSTOP)
        tasks = begun(signers, 40)
        await waiting(signers, 40)
        send(signers, signal.SIGKILL)
        assert await asyncio.gather(*tasks) == [True] * 40


async def test_one_that_works_again_is_never_given_up() -> None:
    async with running(1) as signers:
        for _ in range(signing.STARTS + 1):
            send(signers, signal.SIGKILL)
            assert await signed(signers, work(1))
        assert not signers._pool[0].given_up


@pytest.mark.parametrize("trouble", [programs_end_at_once, programs_cannot_start])
async def test_where_no_process_lives_threads_sign(
    monkeypatch: pytest.MonkeyPatch, trouble: Callable[[pytest.MonkeyPatch], None]
) -> None:
    async with running(1) as signers:
        send(signers, signal.SIGSTOP)
        tasks = begun(signers, 3)
        await waiting(signers, 3)
        trouble(monkeypatch)
        send(signers, signal.SIGKILL)
        # Who waits is told, so that the attempt ends and is made again ...
        for result in await asyncio.gather(*tasks, return_exceptions=True):
            assert isinstance(result, RuntimeError)
        # ... and is then signed.
        assert signers._pool[0].given_up
        assert await signed(signers, work(1, RSA), work(2))


async def test_the_other_processes_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    async with running(2) as signers:
        programs_end_at_once(monkeypatch)
        send(signers, signal.SIGKILL)
        await eventually(lambda: signers._pool[0].given_up, 30)
        assert await asyncio.gather(*begun(signers, 10)) == [True] * 10
        assert not signers._loaded, "no thread had to sign"


# --- between one process and the next ------------------------------------------------------------------------------


class SlowStart:
    """Stands in for the start of a process, and waits before it really starts one."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked, self.go = asyncio.Event(), asyncio.Event()
        self.started: list[asyncio.subprocess.Process] = []
        self._start: Callable[..., Awaitable[asyncio.subprocess.Process]] = asyncio.create_subprocess_exec
        monkeypatch.setattr(asyncio, "create_subprocess_exec", self)

    async def __call__(self, *arguments: Any, **options: Any) -> asyncio.subprocess.Process:
        self.asked.set()
        await self.go.wait()
        self.started.append(await self._start(*arguments, **options))
        return self.started[-1]

    def end(self) -> None:
        """What is left of it, if the test failed: a loop that is closed waits for its processes."""
        for process in self.started:
            with contextlib.suppress(ProcessLookupError):
                process.kill()


async def ask_meanwhile(monkeypatch: pytest.MonkeyPatch) -> Sequence[bool]:
    slow = SlowStart(monkeypatch)
    slow.go.set()
    async with contextlib.AsyncExitStack() as stack:
        stack.callback(slow.end)
        signers = await stack.enter_async_context(running(1))
        slow.asked.clear()
        slow.go.clear()
        send(signers, signal.SIGKILL)
        await slow.asked.wait()
        tasks = begun(signers, 5)
        await waiting(signers, 5)
        slow.go.set()
        return await asyncio.gather(*tasks)


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def test_what_is_asked_between_two_processes_is_done_by_the_second(
    monkeypatch: pytest.MonkeyPatch, loop: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    with asyncio.Runner(loop_factory=loop) as runner:
        assert runner.run(ask_meanwhile(monkeypatch)) == [True] * 5


async def test_closing_ends_a_process_that_is_just_being_started(monkeypatch: pytest.MonkeyPatch) -> None:
    signers = Signers(1)
    await signers.start()
    slow = SlowStart(monkeypatch)
    send(signers, signal.SIGKILL)
    await slow.asked.wait()
    closing = asyncio.ensure_future(signers.close())
    await asyncio.sleep(0)
    slow.go.set()
    await asyncio.wait_for(closing, 60)
    ends = [process.returncode for process in slow.started]
    slow.end()
    assert ends == [0]
