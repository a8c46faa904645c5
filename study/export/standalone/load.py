"""Segmentation of images by the networks in this folder; needs PyTorch only.

`from load import Model; masks = Model("FOLDER")(images)` returns uint8 class indices (B, H, W) of images (B, C, H, W).
"""

from __future__ import annotations

import json
from pathlib import Path

import torch
from torch import Tensor

FORMAT = 1
FILES = ("preprocessing.json", "models/model.pt2")


class Model:
    """Exported networks; `about` has the content of preprocessing.json, such as `classes`."""

    def __init__(self, folder: str | Path = Path(__file__).parent, device: str = "cpu") -> None:
        folder, self._device = Path(folder), device
        lacking = [name for name in FILES if not (folder / name).is_file()]
        if lacking:
            raise FileNotFoundError(f"{folder}: not a complete export (lacks {', '.join(lacking)}). Fix: export again")
        self.about = json.loads((folder / FILES[0]).read_text())
        if self.about.get("format") != FORMAT:
            raise ValueError(f"{folder}: format {self.about.get('format')}, expected {FORMAT}. Fix: export again")
        self._program = torch.export.load(folder / FILES[1]).module().to(device)

    def __call__(self, images: Tensor, spacing: tuple[float, float] | None = None) -> Tensor:
        """Return masks, uint8 `(B, H, W)`; for the arguments see `probabilities`."""
        return self.probabilities(images, spacing).argmax(1).to(torch.uint8)

    @torch.no_grad()
    def probabilities(self, images: Tensor, spacing: tuple[float, float] | None = None) -> Tensor:
        """Return class probabilities `(B, K, H, W)` of images `(B, C, H, W)`, a tensor or NumPy array of any type.

        Pass all frames of a file together, as they are stretched together; `spacing` is that of (rows, columns) in mm.
        """
        images, channels, width = torch.as_tensor(images), self.about["channels"], self.about["pixel_mm"]
        if images.ndim != 4 or images.shape[1] != len(channels):
            raise ValueError(f"images are {tuple(images.shape)}, expected (B, C, H, W) with channels {channels}")
        if (spacing is None) != (width is None):
            raise ValueError(f"spacing is {spacing}, expected {'none' if width is None else 'mm of rows and columns'}")
        if self.about["grey"] == "uint8" and images.dtype != torch.uint8:
            images = stretched(images)
        given = [images, *([] if spacing is None else [torch.tensor(spacing)])]
        found: Tensor = self._program(*(each.to(self._device, torch.float32) for each in given))
        return found


def stretched(images: Tensor) -> Tensor:
    """Return images with their percentiles 0.5 and 99.5 at 0 and 255, rounded."""
    values = images.double().flatten().sort().values
    places = torch.tensor([0.005, 0.995], dtype=torch.float64) * (len(values) - 1)
    low, high = values[places.floor().long()].lerp(values[places.ceil().long()], places.frac())
    low, high = (low, high) if high > low else (values[0], values[-1])
    return ((images.double() - low) * (255 / (high - low).clamp_min(1e-12))).clamp(0, 255).round()
