"""Geometry: crop, flip, rotation, shift and scale of a batch, composed into one map and one resampling."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from trainables.augment.batch_rng import BatchRNG


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

    def boxes(self, rng: BatchRNG, strength: float, size: tuple[int, int]) -> Tensor:
        """Boxes of whole pixels `(B, 4)` as left, top, width and height, in an image of `size` (height, width).

        Boxes that do not fit are drawn again, up to ten times, as torchvision does; then the whole image is taken.
        """
        low = 1 - (1 - self.area[0]) * min(strength, 1.0)
        high = max(low, self.area[1])
        area = rng.uniform(low, high, 10) * (size[0] * size[1])
        ratio = torch.exp(rng.uniform(math.log(self.aspect[0]), math.log(self.aspect[1]), 10))
        sides = torch.stack([torch.sqrt(area * ratio), torch.sqrt(area / ratio)], 2).round()
        limits = torch.tensor(size[::-1], dtype=sides.dtype, device=sides.device)
        fits = ((sides >= 1) & (sides <= limits)).all(2)
        first = fits.float().argmax(1).view(-1, 1, 1).expand(-1, 1, 2)
        sides = torch.where(fits.any(1, keepdim=True), sides.gather(1, first).squeeze(1), limits)
        corner = torch.floor(rng.uniform(0, 1, 2) * (limits - sides + 1))
        return torch.cat([torch.minimum(corner, limits - sides), sides], 1)


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

    def field(self, rng: BatchRNG, strength: float, size: tuple[int, int]) -> Tensor:
        """Displacements (x, y) `(B, 2, *size)` in [-1, 1] coordinates, bicubic between normal values at the knots."""
        knots = 2 * strength * self.amplitude * rng.normal(2, self.knots, self.knots)
        return bicubic(knots, size, align_corners=True)


def bicubic(knots: Tensor, size: tuple[int, int], *, align_corners: bool) -> Tensor:
    """What `F.interpolate` makes of a few knots `(B, C, K, K)`, faster: two products with small matrices."""
    weights = []
    for count in size:
        each = torch.eye(knots.shape[-1], device=knots.device).view(1, knots.shape[-1], knots.shape[-1], 1)
        weights.append(F.interpolate(each, (count, 1), mode="bicubic", align_corners=align_corners)[0, :, :, 0])
    return weights[0].T @ knots @ weights[1]


def transforms(
    rng: BatchRNG,
    strength: float,
    size: tuple[int, int],
    crop: Crop | None,
    flip: Flip | None,
    rotate: Rotate | None,
    translate: Translate | None,
    scale: Scale | None,
) -> Tensor | None:
    """For each sample the affine map `(2, 3)` from output to input coordinates in [-1, 1]; None for the identity.

    `strength` multiplies how far each operation goes from doing nothing; a flip is a flip at any strength above 0.
    `size` is the (height, width) of the images, whose pixels a crop does not split.
    """
    if strength == 0 or not any((crop, flip, rotate, translate, scale)):
        return None
    ones = torch.ones(rng.count, device=rng.device)
    matrix = torch.diag_embed(torch.stack([ones, ones], 1))
    offset = torch.zeros(rng.count, 2, device=rng.device)
    if crop is not None:
        corner, sides = crop.boxes(rng.fork("crop"), strength, size).split(2, 1)
        limits = torch.tensor(size[::-1], dtype=sides.dtype, device=sides.device)
        matrix, offset = torch.diag_embed(sides / limits), (2 * corner + sides) / limits - 1
    if scale is not None:
        low, high = (strength * math.log(limit) for limit in scale.range)
        matrix = matrix / torch.exp(rng.fork("scale").uniform(low, high)).view(-1, 1, 1)
    if rotate is not None:
        limit = strength * math.radians(rotate.degrees)
        angle = rng.fork("rotate").uniform(-limit, limit)
        cos, sin = torch.cos(angle), torch.sin(angle)
        matrix = matrix @ torch.stack([torch.stack([cos, -sin], 1), torch.stack([sin, cos], 1)], 1)
    if translate is not None:
        offset = offset + 2 * strength * translate.fraction * rng.fork("translate").uniform(-1, 1, 2)
    if flip is not None:
        sign = torch.where(rng.fork("flip").chance(flip.p), -1.0, 1.0)
        matrix = matrix * torch.stack([sign, ones], 1).view(-1, 1, 2)
    return torch.cat([matrix, offset.unsqueeze(2)], 2)


def resample(
    images: Tensor, masks: Tensor | None, maps: Tensor, size: tuple[int, int], field: Tensor | None = None
) -> tuple[Tensor, Tensor | None]:
    """Images bilinear and masks nearest under the same maps; what lies outside is black and background.

    Args:
        images: float `(B, C, H, W)`.
        masks: class indices `(B, H, W)` or None.
        maps: `(B, 2, 3)` from `transforms`.
        size: (height, width) of what comes out.
        field: displacements `(B, 2, *size)` that are added to where the maps lead.
    """
    grid = sources(maps, size, field).permute(0, 2, 3, 1)
    moved = F.grid_sample(images, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
    if masks is None:
        return moved, None
    labels = F.grid_sample(masks.unsqueeze(1).float(), grid, mode="nearest", padding_mode="zeros", align_corners=False)
    return moved, labels.squeeze(1).to(masks.dtype)


def sources(maps: Tensor, size: tuple[int, int], field: Tensor | None) -> Tensor:
    """Where each pixel of an output of `size` comes from: (x, y) in [-1, 1], `(B, 2, *size)`."""
    height, width = size
    x = _pixel_centers(width, maps.device).view(1, 1, width)
    y = _pixel_centers(height, maps.device).view(1, height, 1)
    m = maps.view(-1, 2, 3, 1, 1)
    grid = torch.stack([m[:, i, 0] * x + m[:, i, 1] * y + m[:, i, 2] for i in (0, 1)], 1)
    return grid if field is None else grid + field


def _pixel_centers(count: int, device: torch.device) -> Tensor:
    """Pixel centres in [-1, 1]."""
    return (torch.arange(count, device=device) + 0.5) * (2 / count) - 1
