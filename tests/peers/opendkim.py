"""OpenDKIM (RFC 6376) as a signing milter on a UNIX socket and as a judge of RSA signatures."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from .parts import OPENDKIM, home
from .process import DidNotStart, Process, scratch

VERIFY_LIMIT = 60  # seconds


class Signer:
    """A milter that signs with RSA-2048, relaxed/relaxed; `socket` is where it listens. Raises DidNotStart."""

    def __init__(self, domain: str, selector: str = "s"):
        self._domain, self._selector = domain, selector
        self._stack = contextlib.ExitStack()
        self.socket = Path()
        self.key = rsa.generate_private_key(public_exponent=65537, key_size=2048)

    def __enter__(self) -> Self:
        found = home(OPENDKIM)
        if not found:
            raise DidNotStart("OpenDKIM is not there")
        with self._stack:
            folder = self._stack.enter_context(scratch("mf-dk"))
            self.socket = folder / "milter"
            command = [str(found.program("opendkim")), "-f", "-x", str(self._configure(folder))]
            # libmilter looks for a polite signal every five seconds only, and OpenDKIM has nothing to lose.
            process = Process(command, folder / "output", environment=found.environment(), stop_signal=signal.SIGKILL)
            self._stack.callback(process.stop)
            process.wait_until(self._listens, "OpenDKIM")
            self._stack = self._stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        self._stack.close()

    def keys(self) -> dict[str, str]:
        """The DNS name and TXT value under which the public key would be published."""
        public = self.key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        text = "".join(public.decode().splitlines()[1:-1])
        return {f"{self._selector}._domainkey.{self._domain}": f"v=DKIM1; k=rsa; p={text}"}

    def _configure(self, folder: Path) -> Path:
        key = folder / "key.pem"
        form = serialization.PrivateFormat.TraditionalOpenSSL
        key.write_bytes(self.key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()))
        settings = {
            "Domain": self._domain,
            "Selector": self._selector,
            "KeyFile": str(key),
            "RequireSafeKeys": "no",
            "Canonicalization": "relaxed/relaxed",
            "Mode": "s",
            "SignatureAlgorithm": "rsa-sha256",
            "Socket": f"local:{self.socket}",
            "InternalHosts": "127.0.0.1",
            "Syslog": "no",
            "PidFile": str(folder / "pid"),
            "BaseDirectory": str(folder),
            # Postfix's smtpd, which is another user, connects to the socket.
            "UMask": "000",
        }
        return _write(folder / "opendkim.conf", settings)

    def _listens(self) -> bool:
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as probe:
            probe.connect(str(self.socket))
            return True
        return False


def verify_with_opendkim(message: bytes, keys: Mapping[str, str]) -> bool:
    """Whether OpenDKIM finds a good RSA signature on a message (CRLF line ends).

    `keys` maps DNS names to TXT values. It knows no Ed25519 (RFC 8463) and judges the message, not each signature.
    """
    found = home(OPENDKIM)
    assert found, "ask parts.missing(OPENDKIM) first"
    with scratch("mf-dk") as folder:
        data = folder / "keys"
        data.write_text("".join(f"{name} {value}\n" for name, value in keys.items()))
        settings = {"Mode": "v", "TestDNSData": str(data), "Syslog": "no"}
        configuration = _write(folder / "opendkim.conf", settings)
        mail = folder / "message"
        mail.write_bytes(message)
        done = subprocess.run(
            [str(found.program("opendkim")), "-x", str(configuration), "-t", str(mail), "-vv"],
            env=found.environment(),
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=VERIFY_LIMIT,
        )
    # What it would insert as Authentication-Results (RFC 8601) is its verdict; the exit code is 0 either way.
    return bool(re.search(r"\bdkim=pass\b", done.stdout))


def _write(path: Path, settings: Mapping[str, str]) -> Path:
    path.write_text("".join(f"{name} {value}\n" for name, value in settings.items()))
    os.chmod(path, 0o600)
    return path
