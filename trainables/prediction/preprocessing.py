"""Preprocessing of a trained network's input: from a decoded image to the numbers that it was trained on."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from trainables.data.readers.grey import GreyRule
from trainables.data.settings import DataSettings
from trainables.data.store.frames import FrameStore
from trainables.data.store.resize import PixelGrid


@dataclass(frozen=True)
class Preprocessing:
    """Input and output of a segmentation network, as the frame store that it was trained on had them.

    Attributes:
        image_size: side of the square input in pixels.
        channels: names of the input's channels, in order.
        mean: mean of each channel over the training frames, for images in [0, 1].
        std: standard deviation of each channel over the training frames, for images in [0, 1].
        classes: names of the output's class indices; the first is "background".
        grey: rule that turned the values of the image files into 256 gray levels, see `GreyRule`; percentiles are
            those of all frames of a file together.
        pixel_mm: width of the input's pixels in mm, the image being cropped or padded about its centre; None where the
            full image is stretched to the square.

    Example:
        >>> given = Preprocessing(112, ("grey",), (0.2,), (0.1,), ("background", "lv"))
        >>> Preprocessing.from_plain(given.plain()) == given
        True
    """

    image_size: int
    channels: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    classes: tuple[str, ...]
    grey: GreyRule = "uint8"
    pixel_mm: float | None = None

    @classmethod
    def of_store(cls, settings: DataSettings, store: FrameStore) -> Preprocessing:
        """Return the preprocessing of the networks that were trained on a frame store.

        Args:
            settings: settings that the store was made with.
            store: the store, whose mean and standard deviation the networks were trained with.
        """
        return cls(
            store.image_size,
            store.channel_names,
            store.mean,
            store.std,
            store.classes,
            settings.layout.grey,
            settings.pixel_mm,
        )

    def plain(self) -> dict[str, Any]:
        """Return the fields as JSON-able values."""
        return {name: list(v) if isinstance(v, tuple) else v for name, v in dataclasses.asdict(self).items()}

    @staticmethod
    def from_plain(values: Mapping[str, Any]) -> Preprocessing:
        """Return the preprocessing from the values of `plain`."""
        fields: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in values.items()}
        return Preprocessing(**fields)

    def grid(self, shape: tuple[int, int], spacing: tuple[float, float] | None) -> PixelGrid | None:
        """Return the position of the network's square on an image; None if it needs a spacing that is unknown.

        Args:
            shape: (rows, columns) of the image.
            spacing: (row, column) spacing of its pixels in mm, or None.
        """
        return PixelGrid.fitted(shape, self.image_size, spacing, self.pixel_mm)
