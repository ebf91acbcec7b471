"""What a disk holds when the power fails: only what was synced, and by chance some of the rest.

Stricter than any file system: the bytes of a file count when that file was synced, its name when its folder was.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tests.crash.trace import Cut, Made, Opened, Removed, Renamed, Step, SyncBegun, Synced, Wrote

#: A disk writes whole sectors, so a write that was under way is cut between two of them.
SECTOR = 512


@dataclass
class _File:
    durable: bytearray = field(default_factory=bytearray)
    #: What is written and not synced: offset and bytes, or a new size.
    pending: list[tuple[int, bytes] | int] = field(default_factory=list)
    size: int = 0
    #: How much of `pending` a sync that has begun covers, by thread.
    covered: dict[int, int] = field(default_factory=dict)

    def change(self, change: tuple[int, bytes] | int) -> None:
        self.pending.append(change)
        self.size = change if isinstance(change, int) else max(self.size, change[0] + len(change[1]))

    def sync(self, thread: int) -> None:
        number = self.covered.pop(thread, 0)
        for change in self.pending[:number]:
            _apply(self.durable, change)
        del self.pending[:number]
        self.covered = {other: max(0, covered - number) for other, covered in self.covered.items()}

    def after_failure(self, chance: random.Random | None) -> bytes:
        held = bytearray(self.durable)
        for change in self.pending if chance else ():
            if chance and chance.random() < 0.5:
                _apply(held, _torn(change, chance))
        return bytes(held)


class Disk:
    """Everything below `root`. Syncs of paths that `ignore` names are not believed: so a check shows that it can fail."""

    def __init__(self, root: Path, ignore: Callable[[str], bool] = lambda _: False) -> None:
        self._root = str(root)
        self._ignore = ignore
        self._live: dict[str, _File | None] = {self._root: None}  # None: a folder
        self._durable: dict[str, _File | None] = {self._root: None}
        self._names: list[tuple[str, str, _File | None, bool]] = []  # folder, path, what, added (else removed)

    def take(self, step: Step) -> None:
        path = getattr(step, "path", "")
        if path != self._root and not path.startswith(self._root + "/"):
            return
        match step:
            case Made():
                self._name(path, None)
            case Opened(created=True) if path not in self._live:
                self._name(path, _File())
            case Opened(emptied=True) | Cut():
                self._file(path).change(step.size if isinstance(step, Cut) else 0)
            case Wrote(offset=offset, data=data):
                file = self._file(path)
                file.change((file.size if offset is None else offset, data))
            case Renamed(target=target):
                moved = self._live[path]
                self._forget(path)
                self._name(target, moved)
            case Removed() if path in self._live:  # a socket has no bytes
                self._forget(path)
            case SyncBegun(thread=thread) if (begun := self._live.get(path)) is not None:
                begun.covered[thread] = len(begun.pending)
            case Synced() if not self._ignore(path):
                self._sync(path, step.thread)

    def write_to(self, folder: Path, chance: random.Random | None = None) -> None:
        """Lay out what is left; with `chance`, some of what was not synced as well, in any order and torn."""
        names = dict(self._durable)
        some = chance.randint(0, len(self._names)) if chance else 0
        for _, path, what, added in self._names[:some]:
            names[path] = what
            if not added:
                del names[path]
        folder.mkdir(mode=0o700)
        for path in sorted(names):
            target = folder / path[len(self._root) :].lstrip("/")
            if path == self._root or str(Path(path).parent) not in names or path.endswith("-shm"):
                continue  # SQLite makes its shared memory anew
            if (file := names[path]) is None:
                target.mkdir(mode=0o700)
            else:
                target.write_bytes(file.after_failure(chance))
                target.chmod(0o600)

    def _sync(self, path: str, thread: int) -> None:
        file = self._live[path]
        if file is not None:
            file.sync(thread)
            return
        for name in [name for name in self._names if name[0] == path]:
            self._names.remove(name)
            _, target, what, added = name
            if added:
                self._durable[target] = what
            else:
                self._durable.pop(target, None)

    def _name(self, path: str, what: _File | None) -> None:
        self._live[path] = what
        self._names.append((str(Path(path).parent), path, what, True))

    def _forget(self, path: str) -> None:
        self._names.append((str(Path(path).parent), path, self._live.pop(path), False))

    def _file(self, path: str) -> _File:
        file = self._live[path]
        assert file is not None, f"{path} is a folder"
        return file


def _apply(content: bytearray, change: tuple[int, bytes] | int) -> None:
    if isinstance(change, int):
        del content[change:]
        content.extend(bytes(change - len(content)))
        return
    offset, data = change
    content.extend(bytes(max(0, offset - len(content))))
    content[offset : offset + len(data)] = data


def _torn(change: tuple[int, bytes] | int, chance: random.Random) -> tuple[int, bytes] | int:
    if isinstance(change, int) or chance.random() < 0.7:
        return change
    offset, data = change
    sectors = chance.randint(0, len(data) // SECTOR)
    return offset, data[: sectors * SECTOR]
