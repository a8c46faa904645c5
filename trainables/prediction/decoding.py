"""Decoding of images to segment, by the functions that decoded the training frames."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from trainables.common.errors import DataError
from trainables.data.readers.grey import percentile_window
from trainables.data.readers.grid import Grid
from trainables.data.readers.nifti import decoded_once
from trainables.data.records import Pixels
from trainables.data.store.guard import guarded
from trainables.data.store.resize import PixelGrid
from trainables.prediction.preprocessing import Preprocessing
from trainables.prediction.sources import ImageSource, without_suffix


@dataclass(frozen=True, eq=False)
class DecodedImage:
    """A decoded image: the network's input, and what puts masks back into the image's own geometry.

    Attributes:
        source: the image.
        images: uint8 `(T, C, H, W)` in the image's own size.
        inputs: uint8 `(T, C, S, S)`, the network's input.
        pixels: position of the input's square on the image.
        volumes: number of volumes that the T frames make up, one after the other; 1 for frames over time.
        stack: True where the frames are slices of volumes.
        spacing: (row, column) spacing in mm of the image's pixels, or None.
        slice_mm: distance of the slices in mm; None when unknown or without slices.
        grid: voxels of the image's file, or None.
        planes: positions of the frames as in `Pixels.planes`, or None.
        axis: axis along which an array's frames follow each other; None for other files.
    """

    source: ImageSource
    images: np.ndarray = field(repr=False)
    inputs: np.ndarray = field(repr=False)
    pixels: PixelGrid
    volumes: int
    stack: bool
    spacing: tuple[float, float] | None
    slice_mm: float | None
    grid: Grid | None
    planes: np.ndarray | None
    axis: int | None

    @property
    def shape(self) -> tuple[int, int]:
        """Size (H, W) of the image's frames."""
        return int(self.images.shape[2]), int(self.images.shape[3])

    def of_files(self) -> list[DecodedImage]:
        """Return the image as one for each of its frames' files, or itself where it is a single file.

        Raises:
            DataError: a file has no readable header.
        """
        source = self.source
        files = [file for record in source.records for file in source.layout.frame_files(record)]
        return [self._of_file(number, file) for number, file in enumerate(files)] or [self]

    def _of_file(self, frame: int, file: str) -> DecodedImage:
        path = self.source.root / file
        (record,) = self.source.layout.records_of(path)
        return replace(
            self,
            source=replace(self.source, output=without_suffix(file), path=path),
            images=self.images[frame : frame + 1],
            grid=self.source.layout.grid(path.parent, record),
            planes=self.planes[frame : frame + 1] if self.planes is not None else None,
        )


def decode(source: ImageSource, preprocessing: Preprocessing, max_gigabytes: float) -> DecodedImage:
    """Decode an image.

    Args:
        source: the image.
        preprocessing: the networks' input.
        max_gigabytes: largest size in GB of one decoded file.

    Raises:
        DataError: the file is unreadable, has other channels than the networks' input, or no known spacing where that
            is resampled by it; the message names the file.
    """
    with guarded(source.root, max_gigabytes), decoded_once():
        records = source.records or tuple(source.layout.records_of(source.path))
        parts = [source.layout.read(source.root, record) for record in records]
        grid = source.layout.grid(source.root, records[0])
    images = np.concatenate([part.images for part in parts]) if len(parts) > 1 else parts[0].images
    record, expected = records[0], len(preprocessing.channels)
    if images.shape[1] != expected:
        text = f"found {images.shape[1]} channels, expected {expected} ({', '.join(preprocessing.channels)})"
        raise DataError(f"{source.path}: other channels than the network was trained on ({text})")
    if preprocessing.grey == "stretched" and source.layout.grey != "stretched":
        images = percentile_window(images)
    pixels = preprocessing.grid((images.shape[2], images.shape[3]), record.spacing)
    if pixels is None:
        text = f"found none, expected one to resample it to {preprocessing.pixel_mm:g} mm"
        raise DataError(f"{source.path}: unknown pixel spacing ({text})")
    return DecodedImage(
        source,
        images,
        pixels.images(images),
        pixels,
        len(parts),
        record.stack,
        record.spacing,
        _slice_mm(grid, parts[0]) if record.stack else None,
        grid,
        _planes(parts),
        record.slice_axis if grid is None else None,
    )


def _planes(parts: list[Pixels]) -> np.ndarray | None:
    known = [part.planes for part in parts if part.planes is not None]
    return np.concatenate(known) if len(known) == len(parts) else None


def _slice_mm(grid: Grid | None, pixels: Pixels) -> float | None:
    """Return the distance of a volume's slices in mm, or None."""
    if grid is not None and grid.zooms is not None:
        return grid.zooms[grid.slice_axis]
    if pixels.planes is None or len(pixels.planes) < 2:
        return None
    origins = pixels.planes[:, 0]
    return float(np.linalg.norm(origins[-1] - origins[0]) / (len(origins) - 1))
