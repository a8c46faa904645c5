"""Geometry: crop, flip, rotation, shift, scale and elastic deformation of a batch, composed into one resampling."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from trainables.augment.batch_rng import BatchRNG, constant, to_device_async
from trainables.augment.operation import AffineOperation, DisplacementOperation


@dataclass(frozen=True)
class Crop(AffineOperation):
    """Random resized crop (SimCLR, appendix A): a box of random area and aspect, resized to the size of the image.

    Attributes:
        area: range of the box's share of the image, in (0, 1]; drawn uniformly.
        aspect: range of width / height, above 0; drawn log-uniformly.
    """

    area: tuple[float, float] = (0.08, 1.0)
    aspect: tuple[float, float] = (3 / 4, 4 / 3)

    def __post_init__(self) -> None:
        if not 0 < self.area[0] <= self.area[1] <= 1:
            raise ValueError(f"area {self.area}: expected 0 < low <= high <= 1")
        if not 0 < self.aspect[0] <= self.aspect[1]:
            raise ValueError(f"aspect {self.aspect}: expected 0 < low <= high")

    def boxes(self, rng: BatchRNG, strength: float, size: tuple[int, int]) -> Tensor:
        """Return boxes `(B, 4)` as left, top, width and height in whole pixels of an image of `size` (height, width).

        A box that does not fit is redrawn up to ten times, as in torchvision; after that, the full image is used.
        """
        low = 1 - (1 - self.area[0]) * min(strength, 1.0)
        high = max(low, self.area[1])
        area = rng.uniform(low, high, 10) * (size[0] * size[1])
        ratio = torch.exp(rng.uniform(math.log(self.aspect[0]), math.log(self.aspect[1]), 10))
        sides = torch.stack([torch.sqrt(area * ratio), torch.sqrt(area / ratio)], 2).round()
        limits = constant(size[::-1], sides)
        fits = ((sides >= 1) & (sides <= limits)).all(2)
        first = fits.float().argmax(1).view(-1, 1, 1).expand(-1, 1, 2)
        sides = torch.where(fits.any(1, keepdim=True), sides.gather(1, first).squeeze(1), limits)
        corner = torch.floor(rng.uniform(0, 1, 2) * (limits - sides + 1))
        return torch.cat([torch.minimum(corner, limits - sides), sides], 1)

    def compose(
        self, matrix: Tensor, offset: Tensor, rng: BatchRNG, strength: float, size: tuple[int, int]
    ) -> tuple[Tensor, Tensor]:
        """Return the maps restricted to the boxes."""
        corner, sides = self.boxes(rng, strength, size).split(2, 1)
        limits = constant(size[::-1], sides)
        center = ((2 * corner + sides) / limits - 1).view(-1, 1, 2)
        return matrix * (sides / limits).view(-1, 1, 2), offset + (matrix * center).sum(2)


@dataclass(frozen=True)
class Flip(AffineOperation):
    """Horizontal flip, at any strength above 0.

    Attributes:
        p: probability, in [0, 1].
    """

    p: float = 0.5

    def __post_init__(self) -> None:
        if not 0 <= self.p <= 1:
            raise ValueError(f"p is {self.p}, expected a probability in [0, 1]")

    def compose(
        self, matrix: Tensor, offset: Tensor, rng: BatchRNG, strength: float, size: tuple[int, int]
    ) -> tuple[Tensor, Tensor]:
        """Return the maps with x negated for the chosen images."""
        sign = torch.where(rng.chance(self.p), -1.0, 1.0)
        return matrix * torch.stack([sign, torch.ones_like(sign)], 1).view(-1, 1, 2), offset


@dataclass(frozen=True)
class Rotate(AffineOperation):
    """Rotation about the center.

    Attributes:
        degrees: largest angle in either direction, in degrees, in [0, 180].
    """

    degrees: float = 15.0

    def __post_init__(self) -> None:
        if not 0 <= self.degrees <= 180:
            raise ValueError(f"degrees is {self.degrees}, expected an angle in [0, 180]")

    def compose(
        self, matrix: Tensor, offset: Tensor, rng: BatchRNG, strength: float, size: tuple[int, int]
    ) -> tuple[Tensor, Tensor]:
        """Return the maps rotated by random angles."""
        limit = strength * math.radians(self.degrees)
        angle = rng.uniform(-limit, limit)
        cos, sin = torch.cos(angle), torch.sin(angle)
        return matrix @ torch.stack([torch.stack([cos, -sin], 1), torch.stack([sin, cos], 1)], 1), offset


@dataclass(frozen=True)
class Translate(AffineOperation):
    """Random shift along both axes.

    Attributes:
        fraction: largest shift in either direction, as a fraction of the image's side, in [0, 1].
    """

    fraction: float = 0.1

    def __post_init__(self) -> None:
        if not 0 <= self.fraction <= 1:
            raise ValueError(f"fraction is {self.fraction}, expected a share in [0, 1]")

    def compose(
        self, matrix: Tensor, offset: Tensor, rng: BatchRNG, strength: float, size: tuple[int, int]
    ) -> tuple[Tensor, Tensor]:
        """Return the maps shifted in the input's coordinates."""
        return matrix, offset + 2 * strength * self.fraction * rng.uniform(-1, 1, 2)


@dataclass(frozen=True)
class Scale(AffineOperation):
    """Magnification or reduction about the center.

    Attributes:
        range: lowest and highest scale factor, above 0, where 1 keeps the size; drawn log-uniformly.
    """

    range: tuple[float, float] = (0.8, 1.25)

    def __post_init__(self) -> None:
        if not 0 < self.range[0] <= self.range[1]:
            raise ValueError(f"range {self.range}: expected 0 < low <= high")

    def compose(
        self, matrix: Tensor, offset: Tensor, rng: BatchRNG, strength: float, size: tuple[int, int]
    ) -> tuple[Tensor, Tensor]:
        """Return the maps divided by random factors."""
        low, high = (strength * math.log(limit) for limit in self.range)
        return matrix / torch.exp(rng.uniform(low, high)).view(-1, 1, 1), offset


@dataclass(frozen=True)
class Elastic(DisplacementOperation):
    """Elastic deformation: bicubic interpolation of normally distributed displacements on a coarse grid.

    Attributes:
        amplitude: standard deviation of the displacement at a knot, as a fraction of the image's side, in [0, 0.2].
        knots: number of grid points along each side, at least 4.
    """

    amplitude: float = 0.03
    knots: int = 5

    def __post_init__(self) -> None:
        if not 0 <= self.amplitude <= 0.2 or self.knots < 4:
            raise ValueError(f"amplitude {self.amplitude}, knots {self.knots}: expected in [0, 0.2] and at least 4")

    def displacement(self, rng: BatchRNG, strength: float, size: tuple[int, int]) -> Tensor:
        """Return displacements (x, y) in [-1, 1] coordinates, float32 `(B, 2, *size)`."""
        knots = 2 * strength * self.amplitude * rng.normal(2, self.knots, self.knots)
        return bicubic(knots, size, align_corners=True)


def bicubic(knots: Tensor, size: tuple[int, int], *, align_corners: bool) -> Tensor:
    """Return `F.interpolate(knots, size, mode="bicubic")`, faster for few knots: two products with small matrices.

    Args:
        knots: float32 `(B, C, K, K)`.
        size: height and width of the result.
        align_corners: place the outer knots at the centers of the outer pixels, as in `F.interpolate`.
    """
    weights = []
    for count in size:
        basis = torch.eye(knots.shape[-1]).view(1, knots.shape[-1], knots.shape[-1], 1)
        of_axis = F.interpolate(basis, (count, 1), mode="bicubic", align_corners=align_corners)[0, :, :, 0]
        weights.append(to_device_async(of_axis, knots.device))
    return weights[0].T @ knots @ weights[1]


def affine_maps(
    operations: Mapping[str, AffineOperation], rng: BatchRNG, strength: float, size: tuple[int, int]
) -> Tensor:
    """Return each sample's affine map from output to input coordinates in [-1, 1], float32 `(B, 2, 3)`.

    Args:
        operations: operations by name, in order of composition; the name selects the random stream.
        rng: random numbers of the batch.
        strength: factor on each operation's distance from the identity, above 0.
        size: height and width of the input images in pixels; crops begin and end between pixels.
    """
    ones = torch.ones(rng.count, device=rng.device)
    matrix = torch.diag_embed(torch.stack([ones, ones], 1))
    offset = torch.zeros(rng.count, 2, device=rng.device)
    for name, operation in operations.items():
        matrix, offset = operation.compose(matrix, offset, rng.fork(name), strength, size)
    return torch.cat([matrix, offset.unsqueeze(2)], 2)


def resample(
    images: Tensor, masks: Tensor | None, maps: Tensor, size: tuple[int, int], field: Tensor | None = None
) -> tuple[Tensor, Tensor | None]:
    """Resample images bilinearly and masks by nearest neighbor; pixels outside the input are 0.

    Args:
        images: float `(B, C, H, W)`.
        masks: class indices `(B, H, W)` or None.
        maps: affine maps `(B, 2, 3)` from `affine_maps`.
        size: height and width of the result in pixels.
        field: displacements `(B, 2, *size)` added to the mapped coordinates; None for none.
    """
    grid = source_coordinates(maps, size, field).permute(0, 2, 3, 1)
    warped = F.grid_sample(images, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
    if masks is None:
        return warped, None
    labels = F.grid_sample(masks.unsqueeze(1).float(), grid, mode="nearest", padding_mode="zeros", align_corners=False)
    return warped, labels.squeeze(1).to(masks.dtype)


def source_coordinates(maps: Tensor, size: tuple[int, int], field: Tensor | None) -> Tensor:
    """Return the input coordinates (x, y) in [-1, 1] of each output pixel, float32 `(B, 2, *size)`."""
    height, width = size
    centers = to_device_async(torch.cat([_pixel_centers(width), _pixel_centers(height)]), maps.device)
    x, y = centers[:width].view(1, width), centers[width:].view(height, 1)
    along_x, along_y, offset = maps[..., None, None].unbind(2)
    grid = (along_x * x + along_y * y).add_(offset)
    return grid if field is None else grid.add_(field)


def _pixel_centers(count: int) -> Tensor:
    """Return the centers of `count` pixels in [-1, 1]."""
    return (torch.arange(count) + 0.5) * (2 / count) - 1
