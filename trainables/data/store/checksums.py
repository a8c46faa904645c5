"""Checksums of a frame store's files, one for each block, by which damage on the disk is noticed."""

from __future__ import annotations

import contextlib
import json
import zlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from trainables.common.errors import DataError
from trainables.common.files import write_json

CHECKSUMS, STAMP = "checksums.json", "verified.json"
BLOCK = 1 << 20
"""Bytes of a file that one checksum covers."""

_SHOWN = 3
_FIX = "Fix: check the disk, remove the folder and prepare the dataset again; results made with it are in doubt"


def write_checksums(folder: Path, names: Iterable[str], contents: Mapping[str, bytes]) -> None:
    """Write the checksums of a store's files into its folder.

    Args:
        folder: the store's folder.
        names: files in the folder, which are read once.
        contents: bytes by name of the files that are not written yet.
    """
    files = {name: _of_file(folder / name) for name in names}
    for name, data in contents.items():
        files[name] = [zlib.crc32(data[start : start + BLOCK]) for start in range(0, len(data), BLOCK)]
    write_json(folder / CHECKSUMS, {"block": BLOCK, "files": files})


def verify_checksums(folder: Path, *, stamped: bool = False) -> bool:
    """Read all files of a store and compare them with their checksums; a gigabyte takes about a second.

    What was verified is noted beside the files, by their sizes and modification times.

    Args:
        folder: the store's folder.
        stamped: True to read nothing where no file has another size or time than when all were verified.

    Returns:
        True; False for a store of an earlier version, which has no checksums.

    Raises:
        DataError: a file is missing, damaged, or of another length than when it was written.
    """
    try:
        files: Mapping[str, Sequence[int]] = json.loads((folder / CHECKSUMS).read_text())["files"]
    except FileNotFoundError:
        return False
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise DataError(f"{folder}: {CHECKSUMS} is damaged ({error}). {_FIX}") from None
    stamp = _stamp(folder, (CHECKSUMS, *files))
    if stamped and stamp is not None and stamp == _last_stamp(folder):
        return True
    damaged = [f"{name} {place}" for name, expected in files.items() for place in _damage(folder / name, expected)]
    if damaged:
        with contextlib.suppress(OSError):
            (folder / STAMP).unlink()
        shown = ", ".join(damaged[:_SHOWN]) + (f" and {len(damaged) - _SHOWN} more" if len(damaged) > _SHOWN else "")
        raise DataError(f"{folder}: the stored frames have changed since they were written (found {shown}). {_FIX}")
    with contextlib.suppress(OSError):  # a folder that cannot be written is read again
        write_json(folder / STAMP, stamp)
    return True


def _stamp(folder: Path, names: Iterable[str]) -> dict[str, list[int]] | None:
    """Return the size in bytes and the modification time in ns of each file; None where one is missing."""
    try:
        states = {name: (folder / name).stat() for name in names}
    except OSError:
        return None
    return {name: [state.st_size, state.st_mtime_ns] for name, state in states.items()}


def _last_stamp(folder: Path) -> object:
    try:
        return json.loads((folder / STAMP).read_text())
    except (OSError, ValueError):
        return None


def _damage(path: Path, expected: Sequence[int]) -> list[str]:
    """Return the places of a file that are not as they were written."""
    try:
        found = _of_file(path)
    except OSError as error:
        return [f"cannot be read: {error.strerror or error}"]
    if len(found) != len(expected):
        return [f"has {len(found)} blocks of {BLOCK} bytes, expected {len(expected)}"]
    pairs = enumerate(zip(found, expected, strict=True))
    return [f"from byte {number * BLOCK}" for number, (one, other) in pairs if one != other]


def _of_file(path: Path) -> list[int]:
    with path.open("rb", buffering=0) as file:
        return [zlib.crc32(block) for block in iter(lambda: file.read(BLOCK), b"")]
