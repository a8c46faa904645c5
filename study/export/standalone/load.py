"""Segmentation of images by the networks in this folder; it needs PyTorch only.

    from load import Model
    masks = Model(".")(images)  # uint8 class indices (B, H, W) of images (B, C, H, W)

README.md says what images these are. Run `python load.py` to segment a black image as a check.
"""

from __future__ import annotations

import json
from pathlib import Path

import torch
from torch import Tensor

FORMAT = 1
FILES = ("preprocessing.json", "models/model.pt2")


class Model:
    """Exported networks with their preprocessing.

    Attributes:
        about: content of preprocessing.json: `classes` names the masks' class indices.
    """

    def __init__(self, folder: str | Path = Path(__file__).parent, device: str = "cpu") -> None:
        folder = Path(folder)
        missing = [name for name in FILES if not (folder / name).is_file()]
        if missing:
            raise FileNotFoundError(f"{folder}: not a complete export (lacks {', '.join(missing)}). Fix: export again")
        self.about = json.loads((folder / FILES[0]).read_text())
        if self.about.get("format") != FORMAT:
            text = f"found {self.about.get('format')}, expected {FORMAT}"
            raise ValueError(f"{folder}: an export of another format ({text}). Fix: export again")
        self._program = torch.export.load(folder / FILES[1]).module().to(device)
        self._device = device

    def __call__(self, images: Tensor, spacing: tuple[float, float] | None = None) -> Tensor:
        """Return masks, uint8 `(B, H, W)`; for the arguments see `probabilities`."""
        return self.probabilities(images, spacing).argmax(1).to(torch.uint8)

    @torch.no_grad()
    def probabilities(self, images: Tensor, spacing: tuple[float, float] | None = None) -> Tensor:
        """Return class probabilities `(B, K, H, W)` of images `(B, C, H, W)`, uint8 or of any other type.

        The frames of a sequence or the slices of a volume belong together, as they are stretched to 256 gray levels
        together. `spacing` is the (row, column) spacing of the pixels in mm, needed if `pixel_mm` is not null.
        """
        channels = self.about["channels"]
        if images.ndim != 4 or images.shape[1] != len(channels):
            shape = f"(B, {len(channels)}, H, W)"
            raise ValueError(f"images of shape {tuple(images.shape)}, expected {shape} with channels {channels}")
        if (spacing is None) != (self.about["pixel_mm"] is None):
            raise ValueError(f"spacing is {spacing}, but pixel_mm is {self.about['pixel_mm']}")
        if self.about["grey"] == "uint8" and images.dtype != torch.uint8:
            images = stretched(images)
        given = (images.to(self._device, torch.float32),)
        found: Tensor = self._program(
            *given, *([] if spacing is None else [torch.tensor(spacing, device=self._device)])
        )
        return found


def stretched(images: Tensor) -> Tensor:
    """Return images with their percentiles 0.5 and 99.5 at 0 and 255, rounded."""
    values = images.double().flatten().sort().values
    places = torch.tensor([0.005, 0.995], dtype=torch.float64) * (len(values) - 1)
    low, high = values[places.floor().long()].lerp(values[places.ceil().long()], places.frac())
    low, high = (low, high) if high > low else (values[0], values[-1])
    return ((images.double() - low) * (255 / (high - low).clamp_min(1e-12))).clamp(0, 255).round()


if __name__ == "__main__":
    model = Model()
    width = model.about["pixel_mm"]
    image = torch.zeros(1, len(model.about["channels"]), 64, 64, dtype=torch.uint8)
    print(model.about["classes"], model(image, None if width is None else (width, width)).shape)
