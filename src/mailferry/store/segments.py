"""Message bytes in append-only files: one fdatasync a group of messages, whole days forgotten by unlink.

A segment is ``DATA/segments/2026-11-24-000001.seg``: bodies one after the other, nothing between them (the rows know
offset and length). A new segment and its folder are synced before the first use. A sealed one (its day is over, or it
is full) is rewritten compressed as ``.zseg``: blocks of 1 MiB, each deflated by itself, then the table of their offsets,
so that any range can be read without the rest.

A disk that is full, or fails, refuses the group that it could not take: the file is cut back to what was synced, and
the next group goes there again.
"""

import errno
import os
import struct
import zlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import date
from itertools import pairwise
from pathlib import Path
from typing import BinaryIO

from sqlalchemy import Connection

from mailferry.faults import reach
from mailferry.store.content import ContentGone, LastFailure, Place, day_of

#: A segment is sealed beyond this: large enough to be rare, small enough to compress in seconds.
SEGMENT_OCTETS = 256 * 1024 * 1024
BLOCK = 1024 * 1024
#: Nothing is accepted where less is free: what was accepted before must still be settled, and SQLite's log needs 16 MiB for
#: that. On a small file system it is one part in FLOOR_PART.
FLOOR_OCTETS = 64 * 1024 * 1024
FLOOR_PART = 20
#: Buffers that one call writes (IOV_MAX of writev(2): 1024 on Linux, 16 by POSIX at least).
_MOST_BUFFERS = max(os.sysconf("SC_IOV_MAX"), 16)
_TAIL = struct.Struct(">8sQQ")  # magic, number of blocks, octets before compression
_MAGIC = b"MFZSEG01"


class SegmentContent:
    """``keep`` is called by the writer thread only; ``read`` by any thread."""

    def __init__(self, folder: Path, most: int = SEGMENT_OCTETS) -> None:
        """``most``: octets beyond which a segment is sealed."""
        self._folder = folder
        self._most = most
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        sync_folder(folder.parent)
        self._file: int | None = None
        self._name = ""
        #: The one that is made now, and after that the one that is written to.
        self._next = ""
        self._day: date | None = None
        self._size = 0
        self._failure = LastFailure()
        self._ending = False
        for draft in folder.glob("*.tmp"):  # of a process that died while it compressed
            draft.unlink()

    def keep(self, connection: Connection, bodies: Sequence[tuple[str, bytes]], now_ms: int) -> list[Place]:
        try:
            if lack := self._lack():
                raise OSError(errno.ENOSPC, lack)
            places = self._append(bodies, day_of(now_ms))
        except OSError as error:
            self._failure.note(error.strerror or str(error), now_ms)
            raise
        self._failure.forget()
        reach("after_sync")
        return places

    def trouble(self, now_ms: int) -> str:
        return self._lack() or self._failure.since(now_ms)

    def read(self, connection: Connection, place: Place) -> bytes:
        plain = self._folder / f"{place.segment}.seg"
        try:
            with plain.open("rb", buffering=0) as file:
                body = os.pread(file.fileno(), place.size, place.offset)
        except FileNotFoundError:
            body = _read_sealed(self._folder / f"{place.segment}.zseg", place)
        if len(body) != place.size:
            raise ContentGone(place.message_id)
        return body

    def head(self, connection: Connection, place: Place, octets: int) -> bytes:
        return self.read(connection, replace(place, size=min(place.size, octets)))

    def kept(self, connection: Connection, place: Place) -> bool:
        return any((self._folder / f"{place.segment}.{kind}").exists() for kind in ("seg", "zseg"))

    def forget(self, connection: Connection, before: date, needed: frozenset[str]) -> list[str]:
        dropped = []
        for path in sorted(self._folder.glob("*.*seg")):
            if path.stem != self._name and date.fromisoformat(path.stem[:10]) < before and path.stem not in needed:
                path.unlink()
                dropped.append(path.stem)
        return dropped

    def seal(self) -> list[str]:
        """Compress every segment that is not written to any more; returns their names. May run beside ``keep``."""
        sealed = []
        for path in sorted(self._folder.glob("*.seg")):
            # One that is made has its file for as long as two syncs take before it has our name, and must not lose it.
            if self._name and path.stem not in (self._name, self._next):
                if not _compress(path, lambda: self._ending):
                    break
                sealed.append(path.stem)
        return sealed

    def close(self) -> None:
        """Of what :meth:`seal` is at, nothing is left."""
        self._ending = True
        self._leave_file()

    def _append(self, bodies: Sequence[tuple[str, bytes]], day: date) -> list[Place]:
        if self._file is None or day != self._day or self._size >= self._most:
            self._begin(day)
        assert self._file is not None
        places = []
        offset = self._size
        for key, body in bodies:
            places.append(Place(self._name, offset, len(body), key))
            offset += len(body)
        try:
            _write_all(self._file, [body for _, body in bodies])
            os.fdatasync(self._file)
        except OSError:
            self._cut_back(self._file)
            raise
        self._size = offset
        return places

    def _cut_back(self, file: int) -> None:
        """A part may lie behind what was synced, and O_APPEND writes behind that: its offsets would be wrong."""
        try:
            os.ftruncate(file, self._size)
            os.fdatasync(file)
        except OSError:
            self._leave_file()  # nobody knows where it ends: the next group begins another

    def _leave_file(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _lack(self) -> str:
        """What is missing for more to be taken."""
        found = os.statvfs(self._folder)
        free, floor = found.f_bavail * found.f_frsize, min(FLOOR_OCTETS, found.f_blocks * found.f_frsize // FLOOR_PART)
        if free >= floor:
            return ""
        return f"{free / 2**20:.1f} MiB are free where {floor / 2**20:.1f} MiB are needed"

    def _begin(self, day: date) -> None:
        self._leave_file()
        number = 1 + max((int(p.stem[11:]) for p in self._folder.glob(f"{day}-*.*seg")), default=0)
        name = f"{day}-{number:06d}"
        path = self._folder / f"{name}.seg"
        self._next = name
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            os.fsync(file)
            sync_folder(self._folder)
        except OSError:
            os.close(file)
            path.unlink(missing_ok=True)
            raise
        # Together and last: a file that is not ready must not be written to at the offsets of the one before.
        self._file, self._name, self._day, self._size = file, name, day, 0


def sync_folder(folder: Path) -> None:
    """A new name in a folder is durable only when the folder is synced."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def plain_size(path: Path) -> int:
    """Octets of a segment's bodies, whether it is compressed or not."""
    if path.suffix == ".seg":
        return path.stat().st_size
    with path.open("rb") as file:
        file.seek(-_TAIL.size, os.SEEK_END)
        size: int = _TAIL.unpack(file.read(_TAIL.size))[2]
    return size


def _write_all(file: int, bodies: list[bytes]) -> None:
    # An item of a group may be a whole batch of messages, so that a group has more of them than one call takes.
    for first in range(0, len(bodies), _MOST_BUFFERS):
        _write_some(file, bodies[first : first + _MOST_BUFFERS])


def _write_some(file: int, bodies: list[bytes]) -> None:
    total = sum(map(len, bodies))
    written = os.writev(file, bodies)
    if written != total:  # a full disk writes a part: say so by trying the rest
        rest = b"".join(bodies)[written:]
        while rest:
            rest = rest[os.write(file, rest) :]


def _compress(path: Path, given_up: Callable[[], bool]) -> bool:
    """False, and nothing has changed, when it was given up in the middle."""
    target, draft = path.with_suffix(".zseg"), path.with_suffix(".tmp")
    try:
        with path.open("rb") as plain, draft.open("wb") as out:
            if not _write_compressed(plain, out, given_up):
                return False
            out.flush()
            os.fsync(out.fileno())
        draft.rename(target)
    finally:
        draft.unlink(missing_ok=True)  # most of all on a full disk
    sync_folder(path.parent)
    path.unlink()
    return True


def _write_compressed(plain: BinaryIO, out: BinaryIO, given_up: Callable[[], bool]) -> bool:
    offsets, size = [0], 0
    while block := plain.read(BLOCK):
        if given_up():
            return False
        size += len(block)
        out.write(zlib.compress(block, 6))
        offsets.append(out.tell())
    out.write(struct.pack(f">{len(offsets)}Q", *offsets))
    out.write(_TAIL.pack(_MAGIC, len(offsets) - 1, size))
    return True


def _read_sealed(path: Path, place: Place) -> bytes:
    try:
        with path.open("rb") as file:
            file.seek(-_TAIL.size, os.SEEK_END)
            magic, blocks, _ = _TAIL.unpack(file.read(_TAIL.size))
            if magic != _MAGIC:
                raise ContentGone(f"{path.name} is damaged")
            first, last = place.offset // BLOCK, (place.offset + max(place.size, 1) - 1) // BLOCK
            file.seek(-_TAIL.size - 8 * (blocks + 1) + 8 * first, os.SEEK_END)
            offsets = struct.unpack(f">{last - first + 2}Q", file.read(8 * (last - first + 2)))
            file.seek(offsets[0])
            plain = b"".join(zlib.decompress(file.read(b - a)) for a, b in pairwise(offsets))
    except (FileNotFoundError, struct.error) as error:
        raise ContentGone(place.message_id) from error
    start = place.offset - first * BLOCK
    return plain[start : start + place.size]
