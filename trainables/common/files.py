"""Atomic file writes: a reader sees the old content or the new content, never a part of it."""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

_PART = re.compile(r"\.(?:.*\.)?([0-9]+)-[0-9a-f]{8}\.part(?:\..*)?")


@contextlib.contextmanager
def atomic_writer(path: Path) -> Iterator[IO[bytes]]:
    """Open a temporary file in the folder of `path`; on success, flush it to disk and rename it to `path`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{part_tag()}")
    try:
        with part.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
        raise
    sync_directory(path.parent)


def part_tag() -> str:
    """Return the distinguishing part of a temporary file's name, which names this process."""
    return f"{os.getpid()}-{secrets.token_hex(4)}.part"


def remove_stale_parts(folder: Path) -> None:
    """Remove the temporary files that killed processes left in a folder, and below it.

    Those of other processes that run on this machine stay.
    """
    for path in folder.rglob(".*.part*"):
        found = _PART.fullmatch(path.name)
        if found is not None and (int(found[1]) == os.getpid() or not _runs(int(found[1]))):
            path.unlink(missing_ok=True)


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass
    return True


def sync_directory(folder: Path) -> None:
    """Flush a folder's entries to disk, so that a rename inside it survives a power failure."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_text(path: Path, text: str) -> None:
    """Write `text` to `path` atomically, as UTF-8."""
    with atomic_writer(path) as file:
        file.write(text.encode())


def write_json(path: Path, value: Any) -> None:
    """Write `value` to `path` atomically, as indented JSON with sorted keys."""
    write_text(path, json.dumps(value, indent=2, sort_keys=True) + "\n")
