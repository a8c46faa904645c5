"""DICOM files: how they are recognized and opened, and how single header entries are read."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from pydicom.dataset import FileMetaDataset
from pydicom.errors import InvalidDicomError
from pydicom.uid import UID, ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from trainables.common.errors import DataError

_BEGINNING = 4096  # bytes that tell a file without a preamble from others
_FIRST_GROUPS = (0x0002, 0x0008)  # of header entries: a data set is sorted, and both hold what every file has
_LONG_LENGTH = (b"OB", b"OW", b"OF", b"OD", b"OL", b"OV", b"SQ", b"UC", b"UN", b"UR", b"UT", b"SV", b"UV")


class NotAnImageError(DataError):
    """A DICOM file that holds another object than an image: a directory, a presentation state, a report."""


def is_dicom(path: Path) -> bool:
    """Return True for a file that begins as DICOM does: a preamble and "DICM", or the first entries of a header."""
    try:
        with path.open("rb") as file:
            head = file.read(_BEGINNING)
    except OSError:
        return False
    return head[128:132] == b"DICM" or _begins_with_entries(head)


def open_dicom(path: Path, *, pixels: bool) -> Any:
    """Return the data set of a DICOM image file, its transfer syntax always set.

    Args:
        path: the file, with or without a preamble.
        pixels: False to leave out the pixels, which is much faster.

    Raises:
        NotAnImageError: the object is not an image.
        DataError: the file is missing, damaged or not DICOM.
    """
    try:
        with path.open("rb") as file:
            head = file.read(_BEGINNING)
        bare = head[128:132] != b"DICM" and _begins_with_entries(head)
        dataset: Any = pydicom.dcmread(path, stop_before_pixels=not pixels, force=bare)
        _set_transfer_syntax(dataset)
        kind = _other_object(dataset)
    except (OSError, InvalidDicomError) as error:
        raise DataError(f"{path}: not a readable DICOM file ({one_line(error)})") from None
    except Exception as error:  # values are decoded on access, and each kind raises other exceptions
        raise DataError(f"{path}: damaged DICOM file ({one_line(error)})") from None
    if kind:
        raise NotAnImageError(f"{path}: no image (found a DICOM object of the kind '{kind}')")
    return dataset


def read_count(dataset: Any, name: str) -> int:
    """Return a header entry as a whole number; 0 where it is missing or not one."""
    try:
        return int(dataset.get(name, 0) or 0)
    except (TypeError, ValueError, OverflowError):
        return 0


def read_numbers(dataset: Any, name: str, count: int) -> tuple[float, ...] | None:
    """Return a header entry of `count` finite numbers; None where it is missing or something else."""
    value = dataset.get(name)
    try:
        numbers = tuple(float(item) for item in (value if count > 1 else [value]))
    except (TypeError, ValueError):
        return None
    return numbers if len(numbers) == count and bool(np.isfinite(numbers).all()) else None


def frame_groups(dataset: Any, frame: int) -> list[Any]:
    """Return the data sets that describe a frame, the most specific first.

    An enhanced multi-frame object describes its frames in functional groups, a frame's own and those that all share
    (PS3.3, C.7.6.16); other objects have all entries in the data set itself.
    """
    own = dataset.get("PerFrameFunctionalGroupsSequence") or []
    shared = dataset.get("SharedFunctionalGroupsSequence") or []
    sequences = [element for group in (*own[frame : frame + 1], *shared[:1]) for element in group]
    return [*(element.value[0] for element in sequences if element.VR == "SQ" and element.value), dataset]


def find_numbers(groups: list[Any], name: str, count: int) -> tuple[float, ...] | None:
    """Return the first of the data sets' entries that is `count` finite numbers, or None."""
    return next((found for group in groups if (found := read_numbers(group, name, count)) is not None), None)


def one_line(error: Exception) -> str:
    """Return an error's message on one line, for a message of our own."""
    return " ".join((str(error) or type(error).__name__).split())[:240]


def _begins_with_entries(head: bytes) -> bool:
    """Return True where two header entries follow each other at the very beginning, in either byte order."""
    for order in "<>":
        first = _entry(head, 0, order)
        second = _entry(head, first[1], order) if first is not None else None
        if first is not None and second is not None and first[0] < second[0]:
            return True
    return False


def _entry(head: bytes, place: int, order: str) -> tuple[tuple[int, int], int] | None:
    """Return the tag of the entry at `place` and the place after it; None where none of the first groups is there."""
    if place + 12 > len(head):
        return None
    group, element = struct.unpack_from(f"{order}HH", head, place)
    if group not in _FIRST_GROUPS:
        return None
    kind = head[place + 4 : place + 6]
    if kind in _LONG_LENGTH:
        return (group, element), place + 12 + int(struct.unpack_from(f"{order}I", head, place + 8)[0])
    if kind.isalpha() and kind.isupper():
        return (group, element), place + 8 + int(struct.unpack_from(f"{order}H", head, place + 6)[0])
    return (group, element), place + 8 + int(struct.unpack_from(f"{order}I", head, place + 4)[0])


def _set_transfer_syntax(dataset: Any) -> None:
    """Add the transfer syntax that a file without meta information was read with."""
    if getattr(dataset, "file_meta", None) is None:
        dataset.file_meta = FileMetaDataset()
    if "TransferSyntaxUID" not in dataset.file_meta:
        implicit, little = dataset.original_encoding
        explicit = ExplicitVRLittleEndian if little else ExplicitVRBigEndian
        dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else explicit


def _other_object(dataset: Any) -> str:
    """Return the kind of an object that is not an image; "" for an image and where the file does not say."""
    uid = dataset.get("SOPClassUID") or dataset.file_meta.get("MediaStorageSOPClassUID")
    if not uid:
        return ""
    kind = UID(str(uid)).name
    return "" if "Rows" in dataset or "Columns" in dataset or "Image Storage" in kind else kind
