"""What the strangers' tests need of other projects, and where each thing is found.

A part is looked for on the system first and only then among the packages that `debian.py` unpacked, so that a machine
with its own PostgreSQL uses that one. Looking costs a few file lookups and starts no program.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
CACHE = CHECKOUT / ".cache"
SYSTEM = Path("/")
OLDEST_POSTGRESQL = 13  # the oldest that its project supported when this was written


@dataclass(frozen=True, slots=True)
class Part:
    """One program of another project.

    `packages` are Debian's, `programs` the files without which the part is not there, `modules` Perl modules it needs,
    and `trial` the command line that shows that an unpacked copy runs, its shared libraries found.
    """

    name: str
    packages: tuple[str, ...]
    programs: tuple[str, ...]
    trial: tuple[str, ...]
    modules: tuple[str, ...] = ()
    needs_root: bool = False
    #: A program that serves as well, where the system has it.
    instead: str = ""


POSTGRESQL = Part("PostgreSQL", ("postgresql",), ("initdb", "pg_ctl", "postgres"), ("postgres", "--version"))
POSTFIX = Part(
    "Postfix",
    # SASL mechanisms are plug-ins of their own package: without it the smarthost client cannot say AUTH PLAIN.
    ("postfix", "libsasl2-modules"),
    ("postconf", "postdrop", "sendmail", "smtp-source", "smtp-sink"),
    ("postconf", "-d", "-h", "mail_version"),
    needs_root=True,
)
OPENDKIM = Part("OpenDKIM", ("opendkim",), ("opendkim",), ("opendkim", "-V"))
SWAKS = Part(
    "swaks",
    ("swaks", "libnet-ssleay-perl"),
    ("swaks", "perl"),
    ("perl", "-MNet::SSLeay", "-MMIME::Base64", "-MTime::HiRes", "-e", "1"),
    ("Net/SSLeay.pm", "Time/HiRes.pm"),
)
OPENSSL = Part("openssl", ("openssl",), ("openssl",), ("openssl", "version"))
STRACE = Part("strace", ("strace",), ("strace",), ("strace", "--version"))
SPAMASSASSIN = Part(
    "SpamAssassin",
    # The rules are in the package, so that nothing has to be fetched for them.
    ("spamassassin", "spamd"),
    ("spamd", "perl"),
    ("perl", "-MMail::SpamAssassin", "-MMail::SpamAssassin::SpamdForkScaling", "-e", "1"),
    ("Mail/SpamAssassin.pm", "HTML/Parser.pm", "NetAddr/IP.pm"),
)
CHROMIUM = Part(
    "Chromium",
    # Half of the browser with windows, and it needs no libraries of those.
    ("chromium-headless-shell",),
    ("chromium-headless-shell",),
    ("chromium-headless-shell", "--version"),
    instead="chromium",
)

PARTS = (POSTGRESQL, POSTFIX, OPENDKIM, SWAKS, OPENSSL, STRACE, SPAMASSASSIN, CHROMIUM)


@dataclass(frozen=True, slots=True)
class Home:
    """The root under which a part's files lie: `/` for a system copy, else a folder of unpacked packages.

    Such a folder lies over the system: apt chose only what the system lacks, so the rest is found there.
    """

    root: Path

    def program(self, name: str) -> Path | None:
        """The absolute path of a program, or None."""
        for root in (self.root, SYSTEM):
            for folder in _program_folders(root):
                if os.access(folder / name, os.X_OK):
                    return folder / name
        found = shutil.which(name)
        return Path(found) if found else None

    def has(self, part: Part) -> bool:
        """Whether every program and every Perl module of a part is here."""
        whole = self.root.is_dir() and all(self.program(name) for name in part.programs)
        if part.instead and self.program(part.instead):
            return True
        return whole and all(self._has_module(name) for name in part.modules)

    def environment(self, base: Mapping[str, str] | None = None) -> dict[str, str]:
        """The environment in which programs of this home find their libraries, modules and SASL plug-ins."""
        environment = dict(os.environ if base is None else base)
        if self.root == SYSTEM:
            return environment
        environment["LD_LIBRARY_PATH"] = ":".join(map(str, _library_folders(self.root)))
        environment["PERL5LIB"] = ":".join(map(str, _perl_folders(self.root)))
        environment["SASL_PATH"] = ":".join(str(found) for found in sorted(self.root.glob("usr/lib/*/sasl2")))
        return environment

    def folder(self, pattern: str) -> Path | None:
        """The first folder that matches a glob under this home."""
        return next((found for found in sorted(self.root.glob(pattern)) if found.is_dir()), None)

    def _has_module(self, name: str) -> bool:
        return any((folder / name).exists() for root in (self.root, SYSTEM) for folder in _perl_folders(root))


def tree(part: Part) -> Path:
    """Where a part's packages are unpacked."""
    return _unpacked() / part.name.lower()


def home(part: Part) -> Home | None:
    """Where a part is: the system's copy, else the unpacked one, else None."""
    for candidate in (Home(SYSTEM), Home(tree(part))):
        if candidate.has(part):
            return candidate
    return None


def missing(part: Part) -> str:
    """Why a part cannot be used here, as a sentence that names it; empty when it can."""
    if part.needs_root and os.geteuid() != 0:
        return f"{part.name} is not there: it runs only as root"
    return "" if home(part) else f"{part.name} is not there: see the output of tests/setup.py"


def strict() -> bool:
    """Whether a missing part is a failure: as root under CI, where everything can be had."""
    return os.environ.get("CI", "").lower() in ("1", "true") and os.geteuid() == 0


def _unpacked() -> Path:
    # As root, PostgreSQL runs as another user, who must be able to reach its own binaries: a checkout below a closed
    # home folder cannot hold them.
    if os.geteuid() != 0 or all(parent.stat().st_mode & 0o001 for parent in CHECKOUT.parents):
        return CACHE / "debian"
    return Path("/var/tmp") / f"mailferry-debian-{CHECKOUT.stat().st_ino}"


def _program_folders(root: Path) -> list[Path]:
    postgresql = root.glob("usr/lib/postgresql/*/bin")
    newest_first = sorted(postgresql, key=lambda folder: _version(folder.parent.name), reverse=True)
    fit = [folder for folder in newest_first if _version(folder.parent.name) >= OLDEST_POSTGRESQL]
    # Chromium's programs in usr/bin are scripts that know one place alone.
    return [*fit, *(root / name for name in ("usr/lib/chromium", "usr/bin", "usr/sbin"))]


def _library_folders(root: Path) -> list[Path]:
    # Postfix keeps its own libraries in a folder that its binaries name absolutely (RUNPATH); the rest is Debian's.
    patterns = ("usr/lib/postfix", "usr/lib/*-linux-gnu*", "lib/*-linux-gnu*", "usr/lib", "lib")
    return [found for pattern in patterns for found in sorted(root.glob(pattern)) if found.is_dir()]


def _perl_folders(root: Path) -> list[Path]:
    patterns = ("usr/share/perl5", "usr/lib/*/perl5/5.*", "usr/lib/*/perl/5.*", "usr/share/perl/5.*")
    return [found for pattern in patterns for found in sorted(root.glob(pattern))]


def _version(text: str) -> float:
    found = re.match(r"\d+(\.\d+)?", text)
    return float(found.group()) if found else 0.0
