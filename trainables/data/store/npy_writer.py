"""Writer of a `.npy` file that is extended item by item and can be resumed after its process was killed."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import IO

import numpy as np


class NpyWriter:
    """Writer of uint8 items `(n, *item)` to a `.npy` file, hashed as they are added.

    Args:
        path: the file; content beyond `kept` items is cut off.
        item: shape of one item.
        kept: number of items that the file holds already; pass each to `add_existing` before others are appended.

    Attributes:
        count: number of items added, including the kept ones.
        digest: SHA-256 of the items' bytes.
    """

    def __init__(self, path: Path, item: tuple[int, ...], kept: int = 0) -> None:
        self.path, self._item = path, item
        self.count = 0
        self.digest = hashlib.sha256()
        self._file: IO[bytes] = path.open("r+b" if kept else "wb")
        self._header()
        if kept:
            self._file.truncate(self._file.tell() + kept * int(np.prod(item)))
            self._file.seek(0, os.SEEK_END)

    def append(self, items: np.ndarray) -> None:
        """Add items to the file."""
        self._file.write(np.ascontiguousarray(items).data)
        self.add_existing(items)

    def add_existing(self, items: np.ndarray) -> None:
        """Count and hash items that the file holds already."""
        self.digest.update(np.ascontiguousarray(items).data)
        self.count += len(items)

    def sync(self) -> None:
        """Flush the added items to disk."""
        self._file.flush()
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Write the final header."""
        self._file.seek(0)
        self._header()
        self.sync()
        self._file.close()

    def _header(self) -> None:
        # The format pads the header so that the first axis can grow: the final header is as long as the first one.
        header = {"descr": "|u1", "fortran_order": False, "shape": (self.count, *self._item)}
        np.lib.format.write_array_header_1_0(self._file, header)


def map_items(path: Path, item: tuple[int, ...], count: int) -> np.ndarray | None:
    """Map the first `count` items of a file that was not closed; return None where it holds fewer."""
    size = int(np.prod(item))
    try:
        with path.open("rb") as file:
            np.lib.format.read_magic(file)
            np.lib.format.read_array_header_1_0(file)
            start = file.tell()
        if path.stat().st_size < start + count * size:
            return None
    except (OSError, ValueError):
        return None
    if count == 0:
        return np.zeros((0, *item), np.uint8)
    return np.memmap(path, np.uint8, "r", start, (count, *item))
