"""Resampling of an image of any size to the stored square, with its position in the patient."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np


@dataclass(frozen=True)
class PixelGrid:
    """Position of a stored square on its source image.

    Attributes:
        size: side of the square in stored pixels.
        resized: (rows, columns) of the full image at the stored resolution.
        scale: number of source pixels per stored pixel, (rows, columns).
        offset: (row, column) of the square's corner in the resized image; negative where the image is padded.
    """

    size: int
    resized: tuple[int, int]
    scale: tuple[float, float]
    offset: tuple[int, int]

    @classmethod
    def fitted(
        cls, shape: tuple[int, int], size: int, spacing: tuple[float, float] | None, pixel_mm: float | None
    ) -> PixelGrid | None:
        """Return the grid for a dataset's `pixel_mm`, stretched where it is None; None where the spacing is missing.

        Args:
            shape: (rows, columns) of the image.
            size: side of the square in stored pixels.
            spacing: (row, column) spacing of the image's pixels in mm; None when unknown.
            pixel_mm: width of the stored pixels in mm, or None.
        """
        if pixel_mm is None:
            return cls.stretched(shape, size)
        return cls.centered(shape, size, spacing, pixel_mm) if spacing is not None else None

    @classmethod
    def stretched(cls, shape: tuple[int, int], size: int) -> PixelGrid:
        """Return the grid that stretches the full image to the square; the aspect ratio is not kept."""
        return cls(size, (size, size), (shape[0] / size, shape[1] / size), (0, 0))

    @classmethod
    def centered(cls, shape: tuple[int, int], size: int, spacing: tuple[float, float], pixel_mm: float) -> PixelGrid:
        """Return the grid with pixels `pixel_mm` wide, the image cropped or padded about its centre.

        Args:
            shape: (rows, columns) of the image.
            size: side of the square in stored pixels.
            spacing: (row, column) spacing of the image's pixels in mm.
            pixel_mm: width of the stored pixels in mm.
        """
        rows, columns = (max(1, round(n * mm / pixel_mm)) for n, mm in zip(shape, spacing, strict=True))
        offset = ((rows - size) // 2, (columns - size) // 2)
        return cls(size, (rows, columns), (shape[0] / rows, shape[1] / columns), offset)

    def images(self, images: np.ndarray) -> np.ndarray:
        """Resize uint8 `(n, C, H, W)` to `(n, C, size, size)`: area averaging where a side shrinks, else bilinear."""
        height, width = images.shape[2:]
        rows, columns = self.resized
        if (height, width) == self.resized == (self.size, self.size):
            return images
        method = cv2.INTER_AREA if height > rows or width > columns else cv2.INTER_LINEAR
        stored = np.zeros((*images.shape[:2], self.size, self.size), np.uint8)
        inner, outer = self.overlap()
        for target, source in zip(
            stored.reshape(-1, self.size, self.size), images.reshape(-1, height, width), strict=True
        ):
            target[inner] = cv2.resize(source, (columns, rows), interpolation=method)[outer]
        return stored

    def mask(self, mask: np.ndarray) -> np.ndarray:
        """Resize a uint8 mask `(H, W)` to `(size, size)` by the nearest pixel centre; padding is background."""
        rows, columns = self.resized
        if mask.shape == self.resized == (self.size, self.size):
            return mask
        stored = np.zeros((self.size, self.size), np.uint8)
        inner, outer = self.overlap()
        stored[inner] = cv2.resize(mask, (columns, rows), interpolation=cv2.INTER_NEAREST_EXACT)[outer]
        return stored

    def planes(self, planes: np.ndarray) -> np.ndarray:
        """Convert planes `(n, 3, 3)` of the source images to those of the stored ones."""
        origin, down, right = planes[:, 0], planes[:, 1], planes[:, 2]
        first = [scale * (offset + 0.5) - 0.5 for scale, offset in zip(self.scale, self.offset, strict=True)]
        moved = origin + first[0] * down + first[1] * right
        return np.stack([moved, self.scale[0] * down, self.scale[1] * right], axis=1)

    def spacing(self, spacing: tuple[float, float]) -> tuple[float, float]:
        """Convert the (row, column) spacing in mm of the source pixels to that of the stored ones."""
        return spacing[0] * self.scale[0], spacing[1] * self.scale[1]

    def overlap(self) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
        """Return the overlap of the resized image and the square as slices of the square, and of the image."""
        inner, outer = [], []
        for offset, length in zip(self.offset, self.resized, strict=True):
            low, high = max(offset, 0), min(offset + self.size, length)
            outer.append(slice(low, high))
            inner.append(slice(low - offset, high - offset))
        return (inner[0], inner[1]), (outer[0], outer[1])
