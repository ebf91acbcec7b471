"""Chromium without a window, told what to do over the DevTools protocol (chromedevtools.github.io/devtools-protocol).

Commands go through a pipe that it inherits, so no port is open. It asks nobody for anything by itself: names are found by
no DNS, updates and reports are off. Calls block; what a page tells meanwhile is kept.
"""

from __future__ import annotations

import base64
import contextlib
import fcntl
import itertools
import json
import os
import select
import subprocess
import time
from collections.abc import Iterator
from types import TracebackType
from typing import Any, Self

from .parts import CHROMIUM, home
from .process import DidNotStart, scratch

LIMIT = 60.0
"""Seconds for one call."""

_OPTIONS = (
    "--headless=new",
    "--remote-debugging-pipe",
    # Its sandbox needs namespaces that root in a container has not; the pages are the tests' own.
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-extensions",
    "--disable-sync",
    "--no-first-run",
    "--no-proxy-server",
    "--hide-scrollbars",
    "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1 , EXCLUDE localhost",
)


class Failed(Exception):
    """The browser refused a command; the text is its own."""


class Chromium:
    """One browser; `page()` opens a tab of its own each time. Raises DidNotStart."""

    def __init__(self) -> None:
        self._stack = contextlib.ExitStack()
        self._numbers = itertools.count(1)
        self._answers: dict[int, dict[str, Any]] = {}
        self._arrived = b""
        self.events: list[dict[str, Any]] = []

    def __enter__(self) -> Self:
        found = home(CHROMIUM)
        program = found and (found.program(CHROMIUM.programs[0]) or found.program(CHROMIUM.instead))
        if not found or not program:
            raise DidNotStart("Chromium is not there")
        with self._stack:
            folder = self._stack.enter_context(scratch("mf-browser"))
            commands, self._to = _pipe()
            self._from, answers = _pipe()
            shell = f'exec "$@" 3<&{commands} 4>&{answers} {commands}<&- {answers}>&-'
            process = subprocess.Popen(
                ["/bin/bash", "-c", shell, "bash", str(program), *_OPTIONS, f"--user-data-dir={folder}", "about:blank"],
                pass_fds=(commands, answers),
                env=found.environment(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            os.close(commands)
            os.close(answers)
            self._stack.callback(self._end, process)
            self.call("Browser.getVersion")
            self._stack = self._stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def _end(self, process: subprocess.Popen[bytes]) -> None:
        with contextlib.suppress(OSError, Failed, DidNotStart):
            self.call("Browser.close")
        os.close(self._to)
        os.close(self._from)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)

    @contextlib.contextmanager
    def page(self) -> Iterator[Page]:
        """A tab. Not in a context of its own: in those a browser opens no connection before it needs one."""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        try:
            yield Page(self, session)
        finally:
            self.call("Target.closeTarget", targetId=target)

    def targets(self) -> list[dict[str, Any]]:
        """Tabs and frames of other processes that there are."""
        found: list[dict[str, Any]] = self.call("Target.getTargets")["targetInfos"]
        return found

    def call(self, method: str, session: str = "", **parameters: Any) -> Any:
        """The result of a command."""
        number = next(self._numbers)
        command = {"id": number, "method": method, "params": parameters} | ({"sessionId": session} if session else {})
        _write(self._to, json.dumps(command).encode() + b"\0")
        until = time.monotonic() + LIMIT
        while number not in self._answers:
            self.read(until, method)
        answer = self._answers.pop(number)
        if "error" in answer:
            raise Failed(f"{method}: {answer['error']['message']}")
        return answer["result"]

    def read(self, until: float, what: str) -> None:
        """Takes in what the browser says next, an answer or an event."""
        ready, _, _ = select.select([self._from], [], [], max(until - time.monotonic(), 0))
        if not ready:
            raise DidNotStart(f"the browser did not answer in time: {what}")
        octets = os.read(self._from, 1 << 20)
        if not octets:
            raise DidNotStart(f"the browser has ended: {what}")
        *whole, self._arrived = (self._arrived + octets).split(b"\0")
        for each in map(json.loads, whole):
            if "id" in each:
                self._answers[each["id"]] = each
            else:
                self.events.append(each)


class Page:
    """A tab."""

    def __init__(self, browser: Chromium, session: str) -> None:
        self.browser = browser
        self.session = session
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> Any:
        return self.browser.call(method, self.session, **parameters)

    def open(self, url: str) -> None:
        """Returns when the page and all that it loads is there."""
        del self.browser.events[:]
        found = self.call("Page.navigate", url=url)
        if error := found.get("errorText"):
            raise Failed(f"{url}: {error}")
        self.wait_for("Page.loadEventFired")

    def wait_for(self, event: str) -> dict[str, Any]:
        until = time.monotonic() + LIMIT
        while True:
            for each in self.browser.events:
                if each["method"] == event and each.get("sessionId") == self.session:
                    found: dict[str, Any] = each["params"]
                    return found
            self.browser.read(until, event)

    def evaluate(self, expression: str) -> Any:
        """The value of an expression of JavaScript, also where the page itself may run none."""
        found = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in found:
            raise Failed(found["exceptionDetails"]["exception"].get("description", "it threw"))
        return found["result"].get("value")

    def frame(self, url: str) -> Page:
        """The frame of a sandbox, a process of its own, whose URL begins so."""
        for each in self.browser.targets():
            if each["type"] == "iframe" and each["url"].startswith(url):
                made = self.browser.call("Target.attachToTarget", targetId=each["targetId"], flatten=True)
                return Page(self.browser, made["sessionId"])
        raise Failed(f"no frame shows {url}")

    def size(self, width: int, height: int, dark: bool = False) -> None:
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < 600,
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])

    def picture(self, whole: bool = True) -> bytes:
        """A PNG, of the whole page or of what is seen of it."""
        taken = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        return base64.b64decode(taken["data"])

    def click(self, x: float, y: float) -> None:
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)


def _pipe() -> tuple[int, int]:
    """With high numbers: the browser reads from descriptor 3 and writes to 4, which the shell makes of them."""
    pair = os.pipe()
    high = (fcntl.fcntl(pair[0], fcntl.F_DUPFD_CLOEXEC, 10), fcntl.fcntl(pair[1], fcntl.F_DUPFD_CLOEXEC, 10))
    for each in pair:
        os.close(each)
    return high


def _write(to: int, octets: bytes) -> None:
    while octets:
        octets = octets[os.write(to, octets) :]
