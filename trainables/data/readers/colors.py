"""Colors of images: the channels that a dataset keeps, and the count of images that lose their colors."""

from __future__ import annotations

from typing import Literal

import numpy as np

Channels = Literal["grey", "rgb"]
"""Channels that images are read with: gray levels, or red, green and blue."""

LUMA = (0.299, 0.587, 0.114)
"""Weights of red, green and blue in a gray level."""

_VISIBLE = 3 / 255  # of the range of values; codecs and scanners leave fainter tints on gray images


class ColorCount:
    """Counter of images in color.

    Attributes:
        images: number of images in color that were added.
    """

    def __init__(self) -> None:
        self.images = 0

    def add(self, *, colored: bool) -> None:
        """Count an image if it is in color."""
        self.images += colored


def is_colored(image: np.ndarray) -> bool:
    """Return True where the channels of a pixel differ by more than 3 of 256 levels.

    Example:
        >>> is_colored(np.full((2, 2, 3), 90, np.uint8)), is_colored(np.array([[[90, 90, 120]]], np.uint8))
        (False, True)

    Args:
        image: numbers `(H, W, 3)`; a type other than uint8 has the range of its values.
    """
    values = image.astype(np.float32)
    span = 255.0 if image.dtype == np.uint8 else float(np.ptp(values))
    return bool((np.ptp(values, axis=-1) > _VISIBLE * span).any())


def luma(image: np.ndarray) -> np.ndarray:
    """Return the gray values `(..., H, W)`, float32, of red, green and blue `(..., H, W, 3)`."""
    return np.asarray(image.astype(np.float32) @ np.array(LUMA, np.float32))


def channels_first(images: np.ndarray, channels: Channels) -> np.ndarray:
    """Return frames `(T, H, W)` or `(T, H, W, 3)` as `(T, C, H, W)`; gray frames have three equal channels in color."""
    if images.ndim == 4:
        return np.moveaxis(images, -1, 1)
    count, *size = images.shape
    return np.broadcast_to(images[:, None], (count, 3 if channels == "rgb" else 1, *size))
