"""Grey values of scanners to the 256 levels that a store keeps."""

from __future__ import annotations

import numpy as np

DARK, BRIGHT = 0.5, 99.5  # percentiles; a few voxels of fat or flow must not take the whole range


def published(images: np.ndarray) -> np.ndarray:
    """Values that lie within 0..255, as ultrasound is published, rounded; others are stretched from their extremes."""
    values = images.astype(np.float32)
    low, high = float(values.min()), float(values.max())
    if low < 0 or high > 255:
        values = (values - low) * (255.0 / max(high - low, 1e-12))
    return np.rint(values).astype(np.uint8)


def windowed(volume: np.ndarray) -> np.ndarray:
    """A volume whose unit has no meaning (MR), stretched between its percentiles 0.5 and 99.5; any shape.

    A constant volume becomes black.
    """
    low, high = np.percentile(volume, (DARK, BRIGHT))
    if high <= low:
        low, high = float(volume.min()), float(volume.max())
    scaled = (volume.astype(np.float32) - np.float32(low)) * np.float32(255.0 / max(high - low, 1e-12))
    return np.asarray(np.rint(np.clip(scaled, 0, 255)), np.uint8)
