"""What a process wrote, synced and sent, in order: recorded by strace(1) and read back.

Only what matters for durability is traced. A call that another thread interrupted in strace's output stands in two
lines; its effect is counted where that is safe: a write when it has returned, a sync as of its beginning for what it
covers and as of its return for when it holds.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

CALLS = "openat,mkdir,rename,unlink,ftruncate,write,writev,pwrite64,fsync,fdatasync,sendto,sendmsg"
#: Longer than any single write of these tests; strace cuts the rest off.
LONGEST = 1 << 20


def command(strace: Path, output: Path) -> list[str]:
    """To be put before the command that is traced: follow threads, name files by descriptor, print every byte in hex."""
    return [str(strace), "-f", "-y", "-xx", "-s", str(LONGEST), "-e", f"trace={CALLS}", "-o", str(output)]


@dataclass(frozen=True, slots=True)
class Opened:
    path: str
    created: bool
    emptied: bool


@dataclass(frozen=True, slots=True)
class Made:
    """A folder."""

    path: str


@dataclass(frozen=True, slots=True)
class Renamed:
    path: str
    target: str


@dataclass(frozen=True, slots=True)
class Removed:
    path: str


@dataclass(frozen=True, slots=True)
class Cut:
    path: str
    size: int


@dataclass(frozen=True, slots=True)
class Wrote:
    path: str
    #: None = at the end.
    offset: int | None
    data: bytes


@dataclass(frozen=True, slots=True)
class SyncBegun:
    path: str
    thread: int


@dataclass(frozen=True, slots=True)
class Synced:
    path: str
    thread: int


@dataclass(frozen=True, slots=True)
class Sent:
    """Into a socket; counted from the beginning of the call, since a peer may hear it before the call returns."""

    data: bytes


Step = Opened | Made | Renamed | Removed | Cut | Wrote | SyncBegun | Synced | Sent

_LINE = re.compile(r"(?P<thread>\d+) +(?:<\.\.\. (?P<resumed>\w+) resumed>|(?P<call>\w+)\()(?P<rest>.*)", re.DOTALL)
_DESCRIPTOR = re.compile(r"(?:AT_FDCWD|\d+)<(?P<path>[^>]*)>")
_STRING = re.compile(r'"((?:\\x[0-9a-f]{2})*)"(\.\.\.)?')
_RESULT = re.compile(r"= (-?\d+)(?:<|$| )")
_UNFINISHED = " <unfinished ...>"


def read(output: Path) -> Iterator[Step]:
    """Raises ValueError for a line that cannot be read: a trace with holes proves nothing."""
    begun: dict[int, str] = {}
    with output.open() as lines:
        for line in lines:
            found = _LINE.match(line.rstrip("\n"))
            if found is None:  # a signal, an exit
                continue
            thread, call, rest = int(found["thread"]), found["call"] or found["resumed"], found["rest"]
            unfinished = rest.endswith(_UNFINISHED)
            rest = rest.removesuffix(_UNFINISHED)
            if found["call"]:
                yield from _begin(call, rest, thread)
            if unfinished:
                begun[thread] = rest
                continue
            if found["resumed"]:
                rest = begun.pop(thread) + rest
            yield from _end(call, rest, thread)


def _begin(call: str, rest: str, thread: int) -> Iterator[Step]:
    if call in ("fsync", "fdatasync"):
        yield SyncBegun(_path(rest), thread)
    elif call in ("write", "writev", "sendto", "sendmsg") and _is_socket(rest):
        yield Sent(b"".join(_strings(rest)))


def _end(call: str, rest: str, thread: int) -> Iterator[Step]:
    result = _RESULT.search(rest.rpartition(")")[2])
    if result is None:  # ended with the process: nobody knows, so it counts for nothing
        return
    if int(result[1]) < 0:
        return
    size = int(result[1])
    if call in ("fsync", "fdatasync"):
        yield Synced(_path(rest), thread)
    elif call == "openat":
        name = _path(rest.rpartition("=")[2])
        yield Opened(name, "O_CREAT" in rest, "O_TRUNC" in rest)
    elif call == "mkdir":
        yield Made(_names(rest)[0])
    elif call == "rename":
        yield Renamed(*_names(rest))
    elif call == "unlink":
        yield Removed(_names(rest)[0])
    elif call == "ftruncate":
        yield Cut(_path(rest), int(rest.partition(", ")[2].partition(")")[0]))
    elif call == "pwrite64":
        yield Wrote(_path(rest), int(rest.rpartition(")")[0].rpartition(", ")[2]), b"".join(_strings(rest))[:size])
    elif call in ("write", "writev") and not _is_socket(rest):
        yield Wrote(_path(rest), None, b"".join(_strings(rest))[:size])


def _path(rest: str) -> str:
    found = _DESCRIPTOR.search(rest)
    if found is None:
        raise ValueError(f"no file in {rest[:200]!r}")
    return _unescape(found["path"])


def _is_socket(rest: str) -> bool:
    return _path(rest).startswith(("socket:", "TCP:", "UNIX:", "pipe:", "anon_inode:"))


def _names(rest: str) -> list[str]:
    return [name.decode() for name in _strings(rest)]


def _strings(rest: str) -> list[bytes]:
    found = _STRING.findall(rest)
    if any(cut for _, cut in found):
        raise ValueError("a write is longer than what strace recorded of it")
    return [bytes.fromhex(text.replace("\\x", "")) for text, _ in found]


def _unescape(path: str) -> str:
    return bytes.fromhex(path.replace("\\x", "")).decode() if path.startswith("\\x") else path
