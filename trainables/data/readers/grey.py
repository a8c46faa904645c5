"""Conversion of scanners' intensities to the 256 grey levels that a frame store keeps."""

from __future__ import annotations

import numpy as np

DARK, BRIGHT = 0.5, 99.5  # percentiles; a few voxels of fat or flow must not take the full range


def to_uint8(images: np.ndarray) -> np.ndarray:
    """Round values within 0..255, as ultrasound is published; stretch others from their minimum and maximum.

    Example:
        >>> to_uint8(np.array([0.4, 254.6])).tolist(), to_uint8(np.array([0, 1000])).tolist()
        ([0, 255], [0, 255])
    """
    values = images.astype(np.float32)
    low, high = float(values.min()), float(values.max())
    if low < 0 or high > 255:
        values = (values - low) * (255.0 / max(high - low, 1e-12))
    return np.rint(values).astype(np.uint8)


def percentile_window(volume: np.ndarray) -> np.ndarray:
    """Stretch a volume of arbitrary units (MR) between its percentiles 0.5 and 99.5 to uint8.

    Args:
        volume: array of any shape and numeric type; a constant one becomes black.
    """
    low, high = np.percentile(volume, (DARK, BRIGHT))
    if high <= low:
        low, high = float(volume.min()), float(volume.max())
    scaled = (volume.astype(np.float32) - np.float32(low)) * np.float32(255.0 / max(high - low, 1e-12))
    return np.asarray(np.rint(np.clip(scaled, 0, 255)), np.uint8)
