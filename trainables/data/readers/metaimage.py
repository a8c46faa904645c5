"""MetaImage files: a text header `.mhd` beside its raw pixels, or both in one `.mha`.

Source: the MetaIO documentation of the Insight Toolkit (https://itk.org/Wiki/MetaIO/Documentation). Arrays have the
header's axis order: `array[x, y, z]` where x runs fastest in the file, as SimpleITK's `image[x, y, z]`.
"""

from __future__ import annotations

import math
import os
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from trainables.common.errors import DataError, did_you_mean
from trainables.data.readers.limits import require_size

ELEMENT_TYPES: Mapping[str, str] = {
    "MET_CHAR": "i1",
    "MET_UCHAR": "u1",
    "MET_SHORT": "i2",
    "MET_USHORT": "u2",
    "MET_INT": "i4",
    "MET_UINT": "u4",
    "MET_LONG": "i4",  # MetaIO fixes it at four bytes on every machine
    "MET_ULONG": "u4",
    "MET_LONG_LONG": "i8",
    "MET_ULONG_LONG": "u8",
    "MET_FLOAT": "f4",
    "MET_DOUBLE": "f8",
}
_LONGEST_HEADER, _MOST_AXES = 1 << 16, 10  # bytes; axes as MetaIO
_BEST_DEFLATION = 1100  # zlib cannot shrink data more than about 1030 times


class MetaImage(NamedTuple):
    """A decoded file.

    Attributes:
        array: `DimSize`, with the channels as a last axis where there are several; in the machine's byte order.
        spacing: distance of samples along each axis, in mm as a rule; None when the header gives none.
        offset: position of the first sample, or None.
        direction: direction cosines of each axis, one row an axis, or None.
    """

    array: np.ndarray
    spacing: tuple[float, ...] | None
    offset: tuple[float, ...] | None
    direction: tuple[tuple[float, ...], ...] | None


class MetaImageHeader(NamedTuple):
    """Description of the pixels in a MetaImage header.

    Attributes:
        size: samples along each axis, the fastest first.
        channels: values at each sample.
        dtype: data type of a value, with the file's byte order.
        compressed: True where the pixels are zlib (or gzip) compressed.
        spacing: distance of samples along each axis, in mm as a rule, or None.
        offset: position of the first sample, or None.
        direction: direction cosines, one row per axis, or None.
        file: name of the pixels' file, "LOCAL" when they follow the header.
        skip: bytes before the pixels in that file; -1 when they are its last bytes.
    """

    size: tuple[int, ...]
    channels: int
    dtype: np.dtype[np.generic]
    compressed: bool
    spacing: tuple[float, ...] | None
    offset: tuple[float, ...] | None
    direction: tuple[tuple[float, ...], ...] | None
    file: str
    skip: int

    @property
    def nbytes(self) -> int:
        """Size of the uncompressed pixels in bytes."""
        return math.prod(self.size) * self.channels * self.dtype.itemsize


def read_metaimage_header(path: Path) -> MetaImageHeader:
    """Read a `.mhd` or `.mha` header alone.

    Raises:
        DataError: the file is missing, is no MetaImage, or says something that cannot be; the message names the tag.
    """
    return _header(path)[0]


def read_metaimage(path: Path) -> MetaImage:
    """Read a MetaImage and its pixels.

    Raises:
        DataError: as `read_header`, or the pixels are missing, cut short, too many, damaged, or outside the header's
            folder.
    """
    header, length = _header(path)
    if header.file == "LOCAL":
        pixels, skip = path, length
    else:
        pixels, skip = _beside(path, header.file), header.skip
    data = _contents(path, pixels, header, skip)
    if header.compressed:
        data = _inflated(path, pixels, header, data)
    values = np.frombuffer(data, header.dtype).astype(header.dtype.newbyteorder("="))
    if header.channels == 1:
        array = values.reshape(header.size, order="F")
    else:
        array = np.moveaxis(values.reshape((header.channels, *header.size), order="F"), 0, -1)
    return MetaImage(array, header.spacing, header.offset, header.direction)


def _header(path: Path) -> tuple[MetaImageHeader, int]:
    """Return the header and its length in bytes."""
    try:
        with path.open("rb") as file:
            start = file.read(_LONGEST_HEADER)
    except OSError as error:
        raise DataError(f"{path}: not readable ({error.strerror or error})") from None
    tags, length = _tags(path, start)
    if (kind := tags.get("ObjectType", "Image")) != "Image":
        raise DataError(f"{path}: ObjectType {kind[:40]}, expected Image")
    if not _flag(path, tags, "BinaryData", True):
        raise DataError(f"{path}: BinaryData = False: pixels written as text, expected binary ones")
    axes = _counts(path, tags, "NDims", 1, 1)[0]
    if axes > _MOST_AXES:
        raise DataError(f"{path}: NDims {axes}, expected 1 to {_MOST_AXES}")
    spacing = _numbers(path, tags, ("ElementSpacing", "ElementSize"), axes)
    if spacing is not None and min(spacing) <= 0:
        raise DataError(f"{path}: ElementSpacing {spacing}, expected numbers above 0")
    matrix = _numbers(path, tags, ("TransformMatrix", "Rotation", "Orientation"), axes * axes)
    header = MetaImageHeader(
        size=_counts(path, tags, "DimSize", axes, 1),
        channels=_counts(path, tags, "ElementNumberOfChannels", 1, 1)[0] if "ElementNumberOfChannels" in tags else 1,
        dtype=_dtype(path, tags),
        compressed=_flag(path, tags, "CompressedData", False),
        spacing=spacing,
        offset=_numbers(path, tags, ("Offset", "Position", "Origin"), axes),
        direction=tuple(matrix[axis * axes : (axis + 1) * axes] for axis in range(axes)) if matrix else None,
        file=tags["ElementDataFile"],
        skip=_counts(path, tags, "HeaderSize", 1, -1)[0] if "HeaderSize" in tags else 0,
    )
    return header, length


def _tags(path: Path, start: bytes) -> tuple[dict[str, str], int]:
    """Return the `key = value` lines up to ElementDataFile, which ends a header, and their length in bytes."""
    tags, position = dict[str, str](), 0
    while position < len(start) and "ElementDataFile" not in tags:
        end = start.find(b"\n", position)
        end = len(start) if end < 0 else end
        key, equals, value = start[position:end].decode("latin-1").partition("=")
        if equals:
            tags[key.strip()] = value.strip()
        elif key.strip():
            raise DataError(f"{path}: not a MetaImage header: {key[:40]!r}, expected 'key = value' lines")
        position = end + 1
    for needed in ("ElementDataFile", "NDims", "DimSize", "ElementType"):
        if not tags.get(needed):
            raise DataError(f"{path}: not a MetaImage header: no {needed}")
    return tags, position


def _flag(path: Path, tags: Mapping[str, str], tag: str, default: bool) -> bool:
    text = tags.get(tag, str(default))
    if text.lower() not in ("true", "false", "1", "0"):
        raise DataError(f"{path}: {tag} {text[:40]!r}, expected True or False")
    return text.lower() in ("true", "1")


def _counts(path: Path, tags: Mapping[str, str], tag: str, number: int, least: int) -> tuple[int, ...]:
    text = tags[tag]
    try:
        values = tuple(int(part) for part in text.split())
    except ValueError:
        values = ()
    if len(values) != number or min(values) < least:
        many = "a whole number" if number == 1 else f"{number} whole numbers"
        raise DataError(f"{path}: {tag} {text[:80]!r}, expected {many} from {least} up")
    return values


def _numbers(path: Path, tags: Mapping[str, str], names: tuple[str, ...], number: int) -> tuple[float, ...] | None:
    """Return the numbers of the first of these tags that exists, or None."""
    tag = next((name for name in names if name in tags), None)
    if tag is None:
        return None
    try:
        values = tuple(float(part) for part in tags[tag].split())
    except ValueError:
        values = ()
    if len(values) != number or not all(map(math.isfinite, values)):
        raise DataError(f"{path}: {tag} {tags[tag][:80]!r}, expected {number} finite numbers")
    return values


def _dtype(path: Path, tags: Mapping[str, str]) -> np.dtype[np.generic]:
    found = tags["ElementType"]
    code = ELEMENT_TYPES.get(found.removesuffix("_ARRAY"))
    if code is None:
        raise DataError(f"{path}: ElementType {found[:40]!r} is not supported{did_you_mean(found, ELEMENT_TYPES)}")
    order = "BinaryDataByteOrderMSB" if "BinaryDataByteOrderMSB" in tags else "ElementByteOrderMSB"
    return np.dtype((">" if _flag(path, tags, order, False) else "<") + code)


def _beside(path: Path, name: str) -> Path:
    """Return the pixels' file, which must lie in the header's folder or below it."""
    parts = name.split()
    if parts[0] == "LIST" or ("%" in name and len(parts) > 1):
        raise DataError(f"{path}: ElementDataFile {name[:80]!r}: a file for each slice, expected one file of pixels")
    inside = os.path.normpath(name)
    if "\0" in name or Path(inside).is_absolute() or Path(inside).parts[:1] == ("..",):
        raise DataError(f"{path}: ElementDataFile {name[:80]!r} leaves the header's folder, expected a file in it")
    return path.parent / inside


def _contents(path: Path, pixels: Path, header: MetaImageHeader, skip: int) -> bytes:
    """Return the bytes of the pixels as stored."""
    try:
        with pixels.open("rb") as file:
            found = os.fstat(file.fileno()).st_size
            if skip < 0:
                skip = 0 if header.compressed else max(found - header.nbytes, 0)
            if not header.compressed and found - skip != header.nbytes:
                raise DataError(_mismatch(path, pixels, header, str(max(found - skip, 0))))
            require_size(path, (found,) if header.compressed else (header.nbytes,))
            file.seek(min(skip, found))
            return file.read()
    except OSError as error:
        raise DataError(f"{path}: its pixels {pixels.name} are not readable ({error.strerror or error})") from None


def _inflated(path: Path, pixels: Path, header: MetaImageHeader, stored: bytes) -> bytes:
    """Uncompressed pixels; nothing much larger than what the header announces is ever made."""
    if header.nbytes > _BEST_DEFLATION * (len(stored) + 1):
        raise DataError(_mismatch(path, pixels, header, f"{len(stored)} compressed"))
    require_size(path, (*header.size, header.channels), header.dtype)
    inflater = zlib.decompressobj(zlib.MAX_WBITS | 32)  # zlib or gzip, as the data begins
    try:
        data = inflater.decompress(stored, header.nbytes + 1)
    except zlib.error as error:
        raise DataError(f"{path}: its compressed pixels in {pixels.name} are damaged ({error})") from None
    if len(data) != header.nbytes:
        more = "more than " if len(data) > header.nbytes else ""
        raise DataError(_mismatch(path, pixels, header, f"{more}{min(len(data), header.nbytes)} uncompressed"))
    if not inflater.eof:
        raise DataError(f"{path}: its compressed pixels in {pixels.name} are cut short")
    return data


def _mismatch(path: Path, pixels: Path, header: MetaImageHeader, found: str) -> str:
    size = " x ".join(map(str, header.size)) + (f" x {header.channels} channels" if header.channels > 1 else "")
    return f"{path}: {pixels.name} holds {found} bytes of pixels, expected {header.nbytes} ({size} of {header.dtype})"
