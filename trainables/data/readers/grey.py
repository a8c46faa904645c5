"""Conversion of stored intensities of any format to the 256 gray levels that a frame store keeps."""

from __future__ import annotations

from typing import Literal

import numpy as np

GreyRule = Literal["uint8", "display", "stretched"]
"""Rule by which a layout turns the values of an image file into 256 gray levels.

"uint8" keeps uint8 and stretches other types between their percentiles 0.5 and 99.5 (`to_gray`), "display" keeps other
types within 0..255 too, "stretched" stretches every type (`percentile_window`).
"""

DARK, BRIGHT = 0.5, 99.5  # percentiles; a few voxels of fat or flow must not take the full range
_EXACT = 2.0**24  # whole numbers beyond it are not exact as float32
FAINTEST = 25.5  # a tenth of 0..255


def to_gray(values: np.ndarray, *, display: bool = False) -> np.ndarray:
    """Return an image, a sequence or a volume as uint8; the one conversion of all formats.

    uint8 is kept, as it was made for display. Other types have no unit that can be relied on: they are stretched by
    `percentile_window`, all frames together.

    Example:
        >>> to_gray(np.array([0.0, 0.25, 1.0])).tolist(), to_gray(np.array([0.4, 254.6]), display=True).tolist()
        ([0, 64, 255], [0, 255])

    Args:
        values: numbers of any shape and type; NaN marks padding outside the image, which becomes black.
        display: True for a dataset published in 256 gray levels (ultrasound): values of other types are then rounded
            and kept where they lie within 0..255 and their percentile 99.5 is at least a tenth of it. Fainter ones are
            of another range, 0..1 as a rule, and stretched.
    """
    if values.dtype == np.uint8:
        return values
    if display and values.min() >= 0 and values.max() <= 255 and np.percentile(values, BRIGHT) >= FAINTEST:
        return np.asarray(np.rint(values), np.uint8)
    return percentile_window(values)


def percentile_window(volume: np.ndarray) -> np.ndarray:
    """Stretch a volume of arbitrary units (MR) between its percentiles 0.5 and 99.5 to uint8.

    Args:
        volume: array of any shape and numeric type; a constant one becomes black. NaN marks padding outside the image,
            which counts as the darkest value.
    """
    if volume.dtype.kind == "f" and (padding := np.isnan(volume)).any():
        volume = np.where(padding, 0 if padding.all() else np.nanmin(volume), volume)
    low, high = np.percentile(volume, (DARK, BRIGHT)).tolist()
    if high <= low:
        low, high = float(volume.min()), float(volume.max())
    values = volume.astype(np.float64 if max(abs(low), abs(high)) > _EXACT else np.float32)
    scaled = (values - low) * (255.0 / max(high - low, 1e-12))
    return np.asarray(np.rint(np.clip(scaled, 0, 255)), np.uint8)
