"""Writer of MetaImage files."""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from trainables.data.readers.metaimage import ELEMENT_TYPES

_WRITTEN = {code: name for name, code in reversed(list(ELEMENT_TYPES.items()))}


def write_metaimage(
    path: Path,
    array: np.ndarray,
    spacing: tuple[float, ...],
    *,
    compress: bool = False,
    offset: tuple[float, ...] | None = None,
    direction: tuple[tuple[float, ...], ...] | None = None,
) -> None:
    """Write an array of one channel, its first axis fastest.

    Args:
        path: ends in ".mha" to hold the pixels itself; else they go beside it as ".raw" (".zraw" when compressed).
        array: integers of 8 to 64 bits or floats of 32 or 64 bits.
        spacing: distance of samples along each axis in mm.
        compress: True to compress the pixels with zlib.
        offset: position of the first sample; None for the origin.
        direction: direction cosines, one row an axis; None for those of the coordinates.

    Raises:
        ValueError: `spacing` does not fit the array, or MetaImage has no such element type.
    """
    if len(spacing) != array.ndim:
        raise ValueError(f"spacing {spacing}: expected {array.ndim} numbers, one for each axis")
    element = _WRITTEN.get(array.dtype.str[1:])
    if element is None:
        raise ValueError(f"array of {array.dtype}: MetaImage stores {', '.join(sorted(_WRITTEN))}")
    raw = np.asarray(array, array.dtype.newbyteorder("<")).tobytes(order="F")
    data = zlib.compress(raw) if compress else raw
    local = path.suffix == ".mha"
    pixels = path.with_suffix(".zraw" if compress else ".raw")
    tags = {
        "ObjectType": "Image",
        "NDims": array.ndim,
        "BinaryData": True,
        "BinaryDataByteOrderMSB": False,
        "CompressedData": compress,
        **({"CompressedDataSize": len(data)} if compress else {}),
        "TransformMatrix": _text(np.eye(array.ndim).ravel() if direction is None else np.ravel(direction)),
        "Offset": _text([0.0] * array.ndim if offset is None else offset),
        "ElementSpacing": " ".join(f"{value:.9g}" for value in spacing),
        "DimSize": " ".join(map(str, array.shape)),
        "ElementType": element,
        "ElementDataFile": "LOCAL" if local else pixels.name,
    }
    text = "".join(f"{tag} = {value}\n" for tag, value in tags.items()).encode()
    path.write_bytes(text + data if local else text)
    if not local:
        pixels.write_bytes(data)


def _text(values: Iterable[float]) -> str:
    """Return numbers as a tag has them, exactly."""
    return " ".join(f"{value:.17g}" for value in values)
