"""Reader of arrays in `.npy` and `.npz` files, which never unpickles and knows the size before it reads values."""

from __future__ import annotations

import contextlib
import io
import math
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal

import numpy as np
from numpy.lib import format as npy_format

from trainables.common.errors import DataError
from trainables.data.readers.array_path import NPY, choose_array, split_key
from trainables.data.readers.limits import require_size

_REAL = "biuf"  # numpy's kinds of one real number
_WIDEST = 8  # bytes of a number
_LONGEST = 1 << 16  # bytes of a header


@dataclass(frozen=True)
class ArrayHeader:
    """Header of an array file.

    Attributes:
        shape: sizes of the array's axes, each from 1 up.
        dtype: type of its real numbers.
        order: "F" where the first axis is the fastest, else "C".
        offset: bytes before the values.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    order: Literal["C", "F"]
    offset: int

    @property
    def nbytes(self) -> int:
        """Size of the values in bytes."""
        return math.prod(self.shape) * self.dtype.itemsize


def read_array_header(path: Path) -> ArrayHeader:
    """Read the header of an array without its values.

    Args:
        path: a `.npy` file, or a `.npz` file; where that has several arrays, with `KEY` and the name of one.

    Raises:
        DataError: the file is missing, damaged, truncated, or holds anything else than one array of real numbers.
    """
    with _opened(path) as (stream, size):
        return _header(path, stream, size)


def read_array(path: Path) -> np.ndarray:
    """Return an array of real, finite numbers; that of a `.npy` file is memory-mapped.

    Args:
        path: path of the array, see `read_array_header`.

    Raises:
        DataError: as `read_array_header`, or the array is too large or has values that are not finite.
    """
    array: np.ndarray
    with _opened(path) as (stream, size):
        header = _header(path, stream, size)
        require_size(path, header.shape, header.dtype)
        if isinstance(stream, zipfile.ZipExtFile):
            array = _values(stream, header).reshape(header.shape, order=header.order)
        else:
            array = np.memmap(path, header.dtype, "r", header.offset, header.shape, header.order)
    require_finite(path, array)
    return array


def require_numbers(path: Path, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
    """Refuse an array by its header, unless it holds real numbers of at most 64 bits.

    Raises:
        DataError: it holds other values, or none.
    """
    if dtype.kind not in _REAL or dtype.itemsize > _WIDEST:
        found = "structured values" if dtype.names else str(dtype)
        raise DataError(f"{path}: unsupported type of values (found {found}, expected real numbers of at most 64 bits)")
    if not shape or min(shape) < 1:
        raise DataError(f"{path}: no values (found the shape {shape})")


def require_finite(path: Path, array: np.ndarray) -> None:
    """Refuse an array with values that are not finite.

    Raises:
        DataError: there are some.
    """
    if not np.isfinite(array).all():
        raise DataError(f"{path}: values that are not finite")


def npz_names(path: Path) -> list[str]:
    """Return the names of the arrays in a `.npz` file.

    Raises:
        DataError: the file is missing or damaged.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            return _names(archive)
    except Exception as error:
        raise DataError(f"{path}: not a readable array ({' '.join(str(error).split())[:120]})") from None


def _names(archive: zipfile.ZipFile) -> list[str]:
    return [name.removesuffix(".npy") for name in archive.namelist() if name.endswith(".npy")]


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[tuple[IO[bytes], int]]:
    """Open the bytes of an array in `.npy` format; yield them with their number."""
    file = Path(split_key(str(path))[0])
    try:
        if file.suffix.lower() in NPY:
            with file.open("rb") as stream:
                yield stream, file.stat().st_size
        else:
            with zipfile.ZipFile(file) as archive:
                member = archive.getinfo(f"{choose_array(path, _names(archive))}.npy")
                with archive.open(member) as stream:
                    yield stream, member.file_size
    except (DataError, MemoryError):
        raise
    except Exception as error:  # the libraries raise errors of any type, depending on the byte that is damaged
        raise DataError(f"{path}: not a readable array ({' '.join(str(error).split())[:120]})") from None


def _header(path: Path, stream: IO[bytes], size: int) -> ArrayHeader:
    """Read a header from the start of a stream of `size` bytes."""
    start = stream.read(npy_format.MAGIC_LEN)
    version = npy_format.read_magic(io.BytesIO(start))
    read = {(1, 0): npy_format.read_array_header_1_0, (2, 0): npy_format.read_array_header_2_0}.get(version)
    if read is None:
        found, expected = (".".join(map(str, each)) for each in (version, (2, 0)))
        raise DataError(f"{path}: unsupported version of the format (found {found}, expected at most {expected})")
    length = stream.read(2 if version == (1, 0) else 4)
    text = int.from_bytes(length, "little")
    if text > _LONGEST:
        raise DataError(f"{path}: header too long (found {text} bytes, expected at most {_LONGEST})")
    shape, fortran, dtype = read(io.BytesIO(length + stream.read(text)))
    require_numbers(path, shape, dtype)
    header = ArrayHeader(shape, dtype, "F" if fortran else "C", len(start) + len(length) + text)
    if header.offset + header.nbytes != size:
        problem = "truncated" if size < header.offset + header.nbytes else "more bytes than its header says"
        raise DataError(f"{path}: {problem} (found {size} bytes, expected {header.offset + header.nbytes})")
    return header


def _values(stream: zipfile.ZipExtFile, header: ArrayHeader) -> np.ndarray:
    """Read the values that follow a header in an archive; its checksum is verified at the end.

    Raises:
        EOFError: the archive holds fewer bytes than it says.
    """
    values = np.empty(header.nbytes, np.uint8)
    place = 0
    while place < header.nbytes:
        count = stream.readinto(values.data[place:])
        if not count:
            raise EOFError(f"truncated: found {place} bytes of values, expected {header.nbytes}")
        place += count
    stream.read(1)
    return values.view(header.dtype)
