"""Writes files that are whole: a half of one, left by a server that ended meanwhile, would be taken for all there is."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from mailferry.cli.reach import Failure


@contextlib.contextmanager
def whole(file: str) -> Iterator[TextIO]:
    """To be written. What stood there before stays until everything is; whatever ends it earlier leaves nothing new.

    Raises :class:`Failure` where it cannot be written. What is no plain file, such as a pipe, is written to as it goes.
    """
    target = Path(file).resolve()
    is_plain = target.is_file() or not target.exists()
    part = target.with_name(f"{target.name}.{os.getpid()}.part") if is_plain else target
    try:
        with part.open("w", encoding="utf-8", newline="") as opened:
            yield opened
        if is_plain:
            part.replace(target)
    except OSError as error:
        raise Failure(f"{file} cannot be written: {error.strerror}") from error
    finally:
        if is_plain:
            part.unlink(missing_ok=True)
