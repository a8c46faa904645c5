"""Geometry: crop, flip, rotation, shift and scale of a batch, composed into one map and one resampling."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from trainables.augment.draw import Draw


@dataclass(frozen=True)
class Crop:
    """Random resized crop (SimCLR, appendix A): a box of random area and aspect, stretched back to the image's size.

    Attributes:
        area: range of the box's share of the image, in (0, 1].
        aspect: range of width / height, above 0; drawn evenly in its logarithm.
    """

    area: tuple[float, float] = (0.08, 1.0)
    aspect: tuple[float, float] = (3 / 4, 4 / 3)

    def __post_init__(self) -> None:
        if not 0 < self.area[0] <= self.area[1] <= 1:
            raise ValueError(f"area {self.area}: expected 0 < low <= high <= 1")
        if not 0 < self.aspect[0] <= self.aspect[1]:
            raise ValueError(f"aspect {self.aspect}: expected 0 < low <= high")

    def boxes(self, draw: Draw, strength: float) -> Tensor:
        """Boxes `(B, 4)` as centre x, centre y, half width, half height, in [-1, 1] coordinates of a square image.

        Boxes that do not fit are drawn again, up to ten times, as torchvision does; then the whole image is taken.
        """
        low = 1 - (1 - self.area[0]) * min(strength, 1.0)
        high = max(low, self.area[1])
        area = draw.uniform(low, high, 10)
        ratio = torch.exp(draw.uniform(math.log(self.aspect[0]), math.log(self.aspect[1]), 10))
        width, height = torch.sqrt(area * ratio), torch.sqrt(area / ratio)
        fits = (width <= 1) & (height <= 1)
        first = fits.float().argmax(1, keepdim=True)
        any_fits = fits.any(1)
        width = torch.where(any_fits, width.gather(1, first).squeeze(1), torch.ones_like(width[:, 0]))
        height = torch.where(any_fits, height.gather(1, first).squeeze(1), torch.ones_like(height[:, 0]))
        place = draw.uniform(-1, 1, 2)
        return torch.stack([place[:, 0] * (1 - width), place[:, 1] * (1 - height), width, height], 1)


@dataclass(frozen=True)
class Flip:
    """Mirror left and right.

    Attributes:
        p: probability, in [0, 1].
    """

    p: float = 0.5

    def __post_init__(self) -> None:
        if not 0 <= self.p <= 1:
            raise ValueError(f"p is {self.p}, expected a probability in [0, 1]")


@dataclass(frozen=True)
class Rotate:
    """Turn about the centre.

    Attributes:
        degrees: largest angle either way, in [0, 180].
    """

    degrees: float = 15.0

    def __post_init__(self) -> None:
        if not 0 <= self.degrees <= 180:
            raise ValueError(f"degrees is {self.degrees}, expected an angle in [0, 180]")


@dataclass(frozen=True)
class Translate:
    """Shift.

    Attributes:
        fraction: largest shift either way, as a share of the image's side, in [0, 1].
    """

    fraction: float = 0.1

    def __post_init__(self) -> None:
        if not 0 <= self.fraction <= 1:
            raise ValueError(f"fraction is {self.fraction}, expected a share in [0, 1]")


@dataclass(frozen=True)
class Scale:
    """Enlarge or shrink about the centre.

    Attributes:
        range: of the factor, above 0; drawn evenly in its logarithm.
    """

    range: tuple[float, float] = (0.8, 1.25)

    def __post_init__(self) -> None:
        if not 0 < self.range[0] <= self.range[1]:
            raise ValueError(f"range {self.range}: expected 0 < low <= high")


@dataclass(frozen=True)
class Elastic:
    """Smooth random displacement.

    Attributes:
        amplitude: typical displacement, as a share of the image's side, in [0, 0.2].
        knots: of the displacement along each side, between which it is interpolated, from 4 up.
    """

    amplitude: float = 0.03
    knots: int = 5

    def __post_init__(self) -> None:
        if not 0 <= self.amplitude <= 0.2 or self.knots < 4:
            raise ValueError(f"amplitude {self.amplitude}, knots {self.knots}: expected in [0, 0.2] and at least 4")

    def field(self, draw: Draw, strength: float, size: tuple[int, int]) -> Tensor:
        """Displacements (x, y) `(B, *size, 2)` in [-1, 1] coordinates, bicubic between normal values at the knots."""
        knots = 2 * strength * self.amplitude * draw.normal(2, self.knots, self.knots)
        field = F.interpolate(knots, size, mode="bicubic", align_corners=True)
        return field.permute(0, 2, 3, 1)


def transforms(
    draw: Draw,
    strength: float,
    crop: Crop | None,
    flip: Flip | None,
    rotate: Rotate | None,
    translate: Translate | None,
    scale: Scale | None,
) -> Tensor | None:
    """For each sample the affine map `(2, 3)` from output to input coordinates in [-1, 1]; None for the identity.

    `strength` multiplies how far each operation goes from doing nothing; a flip is a flip at any strength above 0.
    """
    if strength == 0 or not any((crop, flip, rotate, translate, scale)):
        return None
    ones = torch.ones(draw.count, device=draw.device)
    matrix = torch.diag_embed(torch.stack([ones, ones], 1))
    offset = torch.zeros(draw.count, 2, device=draw.device)
    if crop is not None:
        box = crop.boxes(draw.fork("crop"), strength)
        matrix, offset = torch.diag_embed(box[:, 2:]), box[:, :2].clone()
    if scale is not None:
        low, high = (strength * math.log(limit) for limit in scale.range)
        matrix = matrix / torch.exp(draw.fork("scale").uniform(low, high)).view(-1, 1, 1)
    if rotate is not None:
        limit = strength * math.radians(rotate.degrees)
        angle = draw.fork("rotate").uniform(-limit, limit)
        cos, sin = torch.cos(angle), torch.sin(angle)
        matrix = matrix @ torch.stack([torch.stack([cos, -sin], 1), torch.stack([sin, cos], 1)], 1)
    if translate is not None:
        offset = offset + 2 * strength * translate.fraction * draw.fork("translate").uniform(-1, 1, 2)
    if flip is not None:
        sign = torch.where(draw.fork("flip").chance(flip.p), -1.0, 1.0)
        matrix = matrix * torch.stack([sign, ones], 1).view(-1, 1, 2)
    return torch.cat([matrix, offset.unsqueeze(2)], 2)


def resample(
    images: Tensor, masks: Tensor | None, maps: Tensor, field: Tensor | None = None
) -> tuple[Tensor, Tensor | None]:
    """Images bilinear and masks nearest under the same maps; what lies outside is black and background.

    Args:
        images: float `(B, C, H, W)`.
        masks: class indices `(B, H, W)` or None.
        maps: `(B, 2, 3)` from `transforms`.
        field: displacements `(B, H, W, 2)` that are added to where the maps lead.
    """
    height, width = images.shape[-2:]
    x = _centres(width, images.device).view(1, 1, width)
    y = _centres(height, images.device).view(1, height, 1)
    m = maps.view(-1, 2, 3, 1, 1)
    grid = torch.stack([m[:, i, 0] * x + m[:, i, 1] * y + m[:, i, 2] for i in (0, 1)], 3)
    grid = grid if field is None else grid + field
    moved = F.grid_sample(images, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
    if masks is None:
        return moved, None
    labels = F.grid_sample(masks.unsqueeze(1).float(), grid, mode="nearest", padding_mode="zeros", align_corners=False)
    return moved, labels.squeeze(1).to(masks.dtype)


def _centres(count: int, device: torch.device) -> Tensor:
    """Pixel centres in [-1, 1]."""
    return (torch.arange(count, device=device) + 0.5) * (2 / count) - 1
