"""Postfix with a configuration, queue and ports of its own: as a receiving MX and as the base of other roles.

`master` is started directly in the foreground, not by the `postfix` script: it is our child, SIGTERM ends it with all
its services, and neither /etc/postfix nor the system's Postfix is touched. Needs root, as Postfix itself does.
"""

from __future__ import annotations

import contextlib
import grp
import os
import pwd
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from .certificates import Certificate
from .parts import POSTFIX, Home, home
from .process import DidNotStart, Process, free_port, greets, scratch

ATTEMPTS = 3  # another program may take the free port before Postfix does
SENDMAIL_LIMIT = 60  # seconds
WAIT_STEP = 0.02  # seconds between looks into the maildir

# Postfix wants an owner of its queue and a group for its set-gid programs that nobody else shares. Its own accounts
# where its package is installed, else idle ones that every Debian has.
OWNERS = ("postfix", "news", "uucp", "games")
GROUPS = ("postdrop", "voice", "video", "audio")
DELIVERS_AS = "nobody"

SERVICES = """
pickup    unix  n - n 60   1 pickup
cleanup   unix  n - n -    0 cleanup
qmgr      unix  n - n 300  1 qmgr
tlsmgr    unix  - - n 1000? 1 tlsmgr
rewrite   unix  - - n -    - trivial-rewrite
bounce    unix  - - n -    0 bounce
defer     unix  - - n -    0 bounce
trace     unix  - - n -    0 bounce
flush     unix  n - n 1000? 0 flush
showq     unix  n - n -    - showq
proxymap  unix  - - n -    - proxymap
smtp      unix  - - n -    - smtp
relay     unix  - - n -    - smtp
error     unix  - - n -    - error
retry     unix  - - n -    - error
discard   unix  - - n -    - discard
virtual   unix  - n n -    - virtual
anvil     unix  - - n -    1 anvil
scache    unix  - - n -    1 scache
postlog   unix-dgram n - n - 1 postlogd
"""


class Postfix:
    """One instance; a role hands in its settings of main.cf. Use it with `with`. Raises DidNotStart."""

    def __init__(self, settings: Mapping[str, str], *, port: int | None = None):
        self._role = dict(settings)
        self._wanted_port = port
        self._stack = contextlib.ExitStack()
        self._process: Process | None = None
        self._home: Home | None = None
        self.port = 0
        self.folder = Path()

    def __enter__(self) -> Self:
        self._home = home(POSTFIX)
        if not self._home or os.geteuid() != 0:
            raise DidNotStart("Postfix is not there, or this is not root")
        with self._stack:
            self.folder = self._stack.enter_context(scratch("mf-pf"))
            self._lay_out()
            self._start(self._home)
            self._stack = self._stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Ends all of its processes and removes its folder with queue and mail."""
        self._stack.close()

    def sendmail(self, message: bytes, sender: str, recipients: Sequence[str]) -> None:
        """Hands a message over by Postfix's own `sendmail -C`, as a local program would."""
        self._run("sendmail", "-C", str(self.configuration), "-i", "-f", sender, "--", *recipients, stdin=message)

    def queue(self) -> str:
        """What `postqueue -p` says."""
        return self._run("postqueue", "-c", str(self.configuration), "-p")

    def flush(self) -> None:
        """Tries everything that waits again, now."""
        self._run("postqueue", "-c", str(self.configuration), "-f")

    def log(self) -> str:
        """What Postfix logged so far."""
        path = self.folder / "mail.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def wait_for_log(self, wanted: str, limit: float = 30.0) -> str:
        """Waits (at most `limit` seconds) until the log holds `wanted`; returns the log or raises TimeoutError."""
        deadline = time.monotonic() + limit
        while wanted not in (found := self.log()):
            if time.monotonic() > deadline:
                raise TimeoutError(f"the log does not say {wanted!r}:\n{found[-3000:]}")
            time.sleep(WAIT_STEP)
        return found

    @property
    def configuration(self) -> Path:
        return self.folder / "etc"

    def _start(self, found: Home) -> None:
        for attempt in range(1, ATTEMPTS + 1):
            self.port = self._wanted_port or free_port()
            self._configure(found)
            try:
                self._launch(found)
            except DidNotStart:
                if attempt == ATTEMPTS or self._wanted_port:
                    raise
            else:
                return

    def _launch(self, found: Home) -> None:
        master = found.folder("usr/lib*/postfix/sbin")
        assert master, "the package has its daemons in usr/lib/postfix/sbin"
        command = [str(master / "master"), "-c", str(self.configuration), "-d"]
        self._process = Process(command, self.folder / "output", environment=found.environment())
        self._stack.callback(self._process.stop)
        try:
            self._process.wait_until(lambda: greets(self.port), "Postfix")
        except DidNotStart as error:
            self._process.stop()
            raise DidNotStart(f"{error}\n{self.log()[-2000:]}") from error

    def _configure(self, found: Home) -> None:
        settings = {**self._places(found), **GENERAL, **self._role}
        lines = [f"{name} = {value}\n" for name, value in settings.items()]
        write_settled(self.configuration / "main.cf", "".join(lines))
        (self.configuration / "master.cf").write_text(
            f"127.0.0.1:{self.port} inet n - n - - smtpd\n{SERVICES.lstrip()}"
        )

    def _places(self, found: Home) -> dict[str, str]:
        daemons, libraries = found.folder("usr/lib*/postfix/sbin"), found.folder("usr/lib*/postfix")
        sendmail = found.program("sendmail")
        assert daemons and libraries and sendmail
        owner, group = accounts()
        # Postfix clears the environment of what it starts but for these; braces let a value hold a blank.
        carried = [f"{{ {name} = {value} }}" for name, value in found.environment({}).items() if value]
        environment = " ".join(["MAIL_CONFIG", "MAIL_LOGTAG", "TZ", "LANG=C", *carried])
        return {
            "compatibility_level": "3.6",
            "queue_directory": str(self.folder / "spool"),
            "data_directory": str(self.folder / "data"),
            "command_directory": str(sendmail.parent),
            "daemon_directory": str(daemons),
            "shlib_directory": str(libraries),
            "meta_directory": str(self.configuration),
            "mail_owner": owner,
            "setgid_group": group,
            "default_privs": DELIVERS_AS,
            "import_environment": environment,
            "export_environment": environment,
            "maillog_file": str(self.folder / "mail.log"),
            "maillog_file_prefixes": str(self.folder),
        }

    def _lay_out(self) -> None:
        """Makes the folders with the owners and modes that Postfix's post-install script gives them."""
        owner = pwd.getpwnam(accounts()[0]).pw_uid
        group = grp.getgrnam(accounts()[1]).gr_gid
        spool = self.folder / "spool"
        for name in ("etc", "spool", "spool/pid"):
            (self.folder / name).mkdir()
        for name in (
            "active",
            "bounce",
            "corrupt",
            "defer",
            "deferred",
            "flush",
            "hold",
            "incoming",
            "private",
            "saved",
            "trace",
        ):
            _make_folder(spool / name, owner, -1, 0o700)
        _make_folder(spool / "maildrop", owner, group, 0o730)
        _make_folder(spool / "public", owner, group, 0o710)
        _make_folder(self.folder / "data", owner, -1, 0o700)

    def _run(self, program: str, *arguments: str, stdin: bytes = b"") -> str:
        assert self._home
        command = [str(self._home.program(program)), *arguments]
        environment = {**self._home.environment(), "MAIL_CONFIG": str(self.configuration)}
        done = subprocess.run(command, input=stdin, env=environment, capture_output=True, timeout=SENDMAIL_LIMIT)
        if done.returncode != 0:
            raise RuntimeError(f"{program} failed: {done.stderr.decode(errors='replace')}\n{self.log()[-2000:]}")
        return done.stdout.decode(errors="replace")


# What every role has in common: loopback, no DNS, no limits that a load from one address would hit.
GENERAL = {
    "inet_interfaces": "127.0.0.1",
    "inet_protocols": "ipv4",
    "mydestination": "",
    "local_recipient_maps": "",
    "alias_maps": "",
    "alias_database": "",
    "mynetworks": "127.0.0.0/8",
    "disable_dns_lookups": "yes",
    "smtp_host_lookup": "native",
    "smtpd_peername_lookup": "no",
    "smtpd_client_connection_count_limit": "0",
    "smtpd_client_connection_rate_limit": "0",
    "biff": "no",
}


class Mx(Postfix):
    """The MX of some domains: takes every address there into one maildir, relays nothing, changes nothing.

    A `certificate` switches STARTTLS on. `message_size_limit` is in octets.
    """

    def __init__(
        self,
        domains: Sequence[str],
        *,
        certificate: Certificate | None = None,
        message_size_limit: int = 20_000_000,
        hostname: str = "mx.peer.test",
        extra: Mapping[str, str] | None = None,
    ):
        settings = {
            "myhostname": hostname,
            "virtual_mailbox_domains": " ".join(domains),
            "virtual_mailbox_maps": "static:inbox/",
            "virtual_transport": "virtual",
            "virtual_minimum_uid": "1",
            "mailbox_size_limit": "0",
            "virtual_mailbox_limit": "0",
            "smtpd_relay_restrictions": "reject_unauth_destination",
            "smtpd_recipient_restrictions": "reject_unauth_destination",
            "message_size_limit": str(message_size_limit),
            # What arrives is compared byte for byte, so nothing is rewritten, completed or dropped.
            "local_header_rewrite_clients": "",
            "message_drop_headers": "",
            "header_size_limit": "1024000",
        }
        if certificate:
            settings |= starttls(certificate)
        super().__init__(settings | dict(extra or {}))

    def messages(self) -> list[bytes]:
        """All mail that has arrived, oldest first, as Postfix stored it: LF line ends, its own fields on top."""
        # Maildir: a file in new/ is whole, since it was renamed there.
        files = [*self._new.iterdir()] if self._new.exists() else []
        return [path.read_bytes() for path in sorted(files, key=lambda path: path.stat().st_mtime_ns)]

    def wait_for(self, count: int, limit: float = 30.0) -> list[bytes]:
        """Waits (at most `limit` seconds) until `count` messages are there; returns them or raises TimeoutError."""
        deadline = time.monotonic() + limit
        while len(found := self.messages()) < count:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{len(found)} of {count} messages arrived; Postfix says:\n{self.log()[-3000:]}")
            time.sleep(WAIT_STEP)
        return found

    def clear(self) -> None:
        """Throws away what has arrived."""
        for path in self._new.iterdir() if self._new.exists() else ():
            path.unlink()

    @property
    def _new(self) -> Path:
        return self.folder / "mail" / "inbox" / "new"

    def _lay_out(self) -> None:
        super()._lay_out()
        keeper = pwd.getpwnam(DELIVERS_AS)
        _make_folder(self.folder / "mail", keeper.pw_uid, keeper.pw_gid, 0o700)
        self._role |= {
            "virtual_mailbox_base": str(self.folder / "mail"),
            "virtual_uid_maps": f"static:{keeper.pw_uid}",
            "virtual_gid_maps": f"static:{keeper.pw_gid}",
        }


def accounts() -> tuple[str, str]:
    """The owner of the queue and the set-gid group that Postfix runs with here."""
    owner = next((name for name in OWNERS if _exists(pwd.getpwnam, name)), None)
    group = next((name for name in GROUPS if _exists(grp.getgrnam, name)), None)
    if not owner or not group:
        raise DidNotStart(f"Postfix needs one of the users {OWNERS} and one of the groups {GROUPS}")
    return owner, group


def starttls(certificate: Certificate) -> dict[str, str]:
    """The settings that offer STARTTLS to whoever connects."""
    return {
        "smtpd_tls_security_level": "may",
        "smtpd_tls_cert_file": str(certificate.certificate),
        "smtpd_tls_key_file": str(certificate.key),
        "smtpd_tls_received_header": "yes",
        "smtpd_tls_loglevel": "1",
    }


def write_settled(path: Path, content: str) -> None:
    """Writes a file that Postfix reads, and makes it look old.

    Lest it read a file half written, every service dozes until the file is some seconds old: 2 s at each start.
    """
    path.write_text(content)
    path.chmod(0o600)
    os.utime(path, (time.time() - 60,) * 2)


def without_trace(message: bytes) -> bytes:
    """A message out of the maildir without the fields that the MX put on top, with CRLF line ends again.

    Postfix adds Return-Path, X-Original-To, Delivered-To and one Received field; an earlier hop's Received stays.
    """
    lines = message.split(b"\n")
    received = 0
    for index, line in enumerate(lines):
        continued = line[:1] in (b" ", b"\t")
        received += line.startswith(b"Received:")
        ours = line.startswith((b"Return-Path:", b"X-Original-To:", b"Delivered-To:", b"Received:"))
        if (not ours and not continued) or received > 1:
            return b"\r\n".join(lines[index:])
    return b""


def _exists(look: object, name: str) -> bool:
    assert callable(look)
    try:
        look(name)
    except KeyError:
        return False
    return True


def _make_folder(path: Path, owner: int, group: int, mode: int) -> None:
    path.mkdir()
    os.chown(path, owner, group)
    path.chmod(mode)
