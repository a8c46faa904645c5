"""From an image of any size to the stored square: which source pixels it covers, and where it lies in the patient."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np


@dataclass(frozen=True)
class PixelGrid:
    """How a stored square lies over the image that it was made from.

    Attributes:
        size: side of the square in stored pixels.
        resized: (rows, columns) of the whole image at the stored resolution.
        scale: source pixels in a stored one, (rows, columns).
        offset: (row, column) of the square's corner in the resized image; negative where the image is padded.
    """

    size: int
    resized: tuple[int, int]
    scale: tuple[float, float]
    offset: tuple[int, int]

    @classmethod
    def stretched(cls, shape: tuple[int, int], size: int) -> PixelGrid:
        """The square is the whole image; the aspect ratio is not kept."""
        return cls(size, (size, size), (shape[0] / size, shape[1] / size), (0, 0))

    @classmethod
    def centred(cls, shape: tuple[int, int], size: int, spacing: tuple[float, float], pixel_mm: float) -> PixelGrid:
        """The square's pixels are `pixel_mm` wide; what is too much is cut, what is missing padded, on all sides alike.

        Args:
            shape: (rows, columns) of the image.
            size: side of the square.
            spacing: (row, column) of the image's pixels in mm.
            pixel_mm: of the stored pixels.
        """
        rows, columns = (max(1, round(n * mm / pixel_mm)) for n, mm in zip(shape, spacing, strict=True))
        offset = ((rows - size) // 2, (columns - size) // 2)
        return cls(size, (rows, columns), (shape[0] / rows, shape[1] / columns), offset)

    def images(self, images: np.ndarray) -> np.ndarray:
        """Uint8 `(n, C, H, W)` to `(n, C, size, size)`: area averaging where a side shrinks, else bilinear."""
        height, width = images.shape[2:]
        rows, columns = self.resized
        if (height, width) == self.resized == (self.size, self.size):
            return images
        method = cv2.INTER_AREA if height > rows or width > columns else cv2.INTER_LINEAR
        stored = np.zeros((*images.shape[:2], self.size, self.size), np.uint8)
        inner, outer = self._overlap()
        for target, source in zip(
            stored.reshape(-1, self.size, self.size), images.reshape(-1, height, width), strict=True
        ):
            target[inner] = cv2.resize(source, (columns, rows), interpolation=method)[outer]
        return stored

    def mask(self, mask: np.ndarray) -> np.ndarray:
        """Uint8 `(H, W)` to `(size, size)`, each pixel from the nearest one by its centre; padding is background."""
        rows, columns = self.resized
        if mask.shape == self.resized == (self.size, self.size):
            return mask
        stored = np.zeros((self.size, self.size), np.uint8)
        inner, outer = self._overlap()
        stored[inner] = cv2.resize(mask, (columns, rows), interpolation=cv2.INTER_NEAREST_EXACT)[outer]
        return stored

    def planes(self, planes: np.ndarray) -> np.ndarray:
        """Planes `(n, 3, 3)` of the source images to those of the stored ones."""
        origin, down, right = planes[:, 0], planes[:, 1], planes[:, 2]
        first = [scale * (offset + 0.5) - 0.5 for scale, offset in zip(self.scale, self.offset, strict=True)]
        moved = origin + first[0] * down + first[1] * right
        return np.stack([moved, self.scale[0] * down, self.scale[1] * right], axis=1)

    def spacing(self, spacing: tuple[float, float]) -> tuple[float, float]:
        """(row, column) mm of a source pixel to that of a stored one."""
        return spacing[0] * self.scale[0], spacing[1] * self.scale[1]

    def _overlap(self) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
        """Where the resized image and the square meet: in the square, and in the resized image."""
        inner, outer = [], []
        for offset, length in zip(self.offset, self.resized, strict=True):
            low, high = max(offset, 0), min(offset + self.size, length)
            outer.append(slice(low, high))
            inner.append(slice(low - offset, high - offset))
        return (inner[0], inner[1]), (outer[0], outer[1])
