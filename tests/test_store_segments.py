"""Segments on a disk that is full or fails: refused is refused, what was kept stays, and no file is left behind."""

import contextlib
import errno
import os
import resource
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mailferry.store import segments
from mailferry.store.content import TROUBLE_MS, Place
from mailferry.store.segments import SegmentContent

NOW = 1_800_000_000_000
DAY = 86_400_000


@pytest.fixture
def content(tmp_path: Path) -> Iterator[SegmentContent]:
    made = SegmentContent(tmp_path / "segments")
    yield made
    made.close()


def keep(content: SegmentContent, *bodies: bytes, now: int = NOW) -> list[Place]:
    named = [(str(number), body) for number, body in enumerate(bodies)]
    return content.keep(None, named, now)  # type: ignore[arg-type]  # segments need no connection


def read(content: SegmentContent, place: Place) -> bytes:
    return content.read(None, place)  # type: ignore[arg-type]


@contextlib.contextmanager
def no_file_beyond(octets: int) -> Iterator[None]:
    """Writes beyond it fail in the middle, as on a full disk: a part is written, and the rest raises."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (octets, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_group_may_have_more_messages_than_one_system_call_takes(content: SegmentContent) -> None:
    bodies = [b"%d" % number for number in range(3000)]
    assert [read(content, place) for place in keep(content, *bodies)] == bodies


def test_a_full_disk_makes_no_files_and_loses_nothing(content: SegmentContent, tmp_path: Path) -> None:
    (first,) = keep(content, b"first")
    with no_file_beyond(1000):
        for _ in range(10):
            with pytest.raises(OSError, match="too large"):
                keep(content, b"x" * 600, b"y" * 600)
        (small,) = keep(content, b"small")
    later = keep(content, b"later", b"and more")
    (file,) = (tmp_path / "segments").iterdir()
    assert file.read_bytes() == b"firstsmalllaterand more"
    assert [read(content, place) for place in (first, small, *later)] == [b"first", b"small", b"later", b"and more"]


def test_a_new_day_on_a_full_disk_makes_one_file(content: SegmentContent, tmp_path: Path) -> None:
    keep(content, b"yesterday")
    with no_file_beyond(100):
        for _ in range(3):
            with pytest.raises(OSError, match="too large"):
                keep(content, b"x" * 101, now=NOW + DAY)
    (place,) = keep(content, b"today", now=NOW + DAY)
    assert (place.offset, read(content, place)) == (0, b"today")
    assert len(list((tmp_path / "segments").iterdir())) == 2


def test_a_segment_that_is_just_made_is_not_sealed(content: SegmentContent, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sealing runs beside the writer, and its file would be gone before the first message is in it."""
    (yesterday,) = keep(content, b"yesterday")
    synced = segments.sync_folder

    def sync_folder(folder: Path) -> None:
        monkeypatch.setattr(segments, "sync_folder", synced)
        assert content.seal() == []
        synced(folder)

    monkeypatch.setattr(segments, "sync_folder", sync_folder)
    (today,) = keep(content, b"today", now=NOW + DAY)
    assert read(content, today) == b"today"
    assert content.seal() == [yesterday.segment]


def test_where_a_file_cannot_be_cut_back_another_is_begun(
    content: SegmentContent, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (first,) = keep(content, b"first")
    with monkeypatch.context() as broken, no_file_beyond(1000):

        def fail(*_: Any) -> None:
            raise OSError(errno.EIO, "Input/output error")

        broken.setattr(os, "ftruncate", fail)
        with pytest.raises(OSError, match="too large"):
            keep(content, b"x" * 1200)
    (second,) = keep(content, b"second")
    assert second.segment != first.segment and second.offset == 0
    assert (read(content, first), read(content, second)) == (b"first", b"second")
    assert (tmp_path / "segments" / f"{first.segment}.seg").read_bytes()[:5] == b"first"


def test_a_failure_is_told_until_bytes_are_kept_again(content: SegmentContent) -> None:
    assert content.trouble(NOW) == ""
    with no_file_beyond(10), pytest.raises(OSError, match="too large"):
        keep(content, b"x" * 11)
    assert content.trouble(NOW) == "bytes could not be kept: File too large"
    keep(content, b"x")
    assert content.trouble(NOW) == ""


def test_a_failure_is_forgotten_so_that_somebody_tries_again(content: SegmentContent) -> None:
    """A load balancer that sends us no mail would never hear that the disk is mended."""
    with no_file_beyond(10), pytest.raises(OSError, match="too large"):
        keep(content, b"x" * 11)
    assert content.trouble(NOW + TROUBLE_MS - 1)
    assert content.trouble(NOW + TROUBLE_MS) == ""


def test_below_the_floor_nothing_is_taken(
    content: SegmentContent, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = os.statvfs(tmp_path)
    monkeypatch.setattr(segments, "FLOOR_PART", 1)
    monkeypatch.setattr(segments, "FLOOR_OCTETS", found.f_bavail * found.f_frsize * 2)
    trouble = content.trouble(NOW)
    assert "MiB are free where" in trouble
    with pytest.raises(OSError, match="MiB are free where") as caught:
        keep(content, b"x")
    assert caught.value.errno == errno.ENOSPC
    assert list((tmp_path / "segments").iterdir()) == []
    assert str(tmp_path) not in trouble


# --- sealing ----------------------------------------------------------------------------------------------------------


def test_a_seal_that_finds_no_room_leaves_the_segment_alone(content: SegmentContent, tmp_path: Path) -> None:
    (old,) = keep(content, os.urandom(3000))
    body = read(content, old)
    keep(content, b"new", now=NOW + DAY)
    with no_file_beyond(1000), pytest.raises(OSError, match="too large"):
        content.seal()
    assert {path.suffix for path in (tmp_path / "segments").iterdir()} == {".seg"}
    assert read(content, old) == body
    assert content.seal() == [old.segment]
    assert read(content, old) == body


def test_a_seal_ends_when_the_process_does(content: SegmentContent, tmp_path: Path) -> None:
    """256 MiB take seconds to compress, and SIGTERM does not wait for them."""
    (old,) = keep(content, b"x" * 3_000_000)
    keep(content, b"new", now=NOW + DAY)
    content.close()
    assert content.seal() == []
    assert {path.suffix for path in (tmp_path / "segments").iterdir()} == {".seg"}
    assert len(read(content, old)) == 3_000_000


def test_what_a_dead_process_left_half_compressed_is_removed(content: SegmentContent, tmp_path: Path) -> None:
    keep(content, b"x")
    (tmp_path / "segments" / "2026-11-24-000001.tmp").write_bytes(b"half")
    again = SegmentContent(tmp_path / "segments")
    assert {path.suffix for path in (tmp_path / "segments").iterdir()} == {".seg"}
    again.close()
