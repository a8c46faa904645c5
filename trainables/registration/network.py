"""The registration network of DLIR (de Vos et al. 2019): control-point displacements from two frames."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from trainables.registration.bspline import BSpline
from trainables.registration.cascade import Step, add_stage
from trainables.registration.warp import warp

RINGS = 2
"""Number of rings of control points around those in the middle of the image's cells."""


@dataclass(frozen=True)
class DLIR:
    """Settings of the DLIR registration network.

    Each stage halves its input by average pooling until one feature vector per grid cell remains.

    Attributes:
        grid_spacing: distance between the last stage's control points in pixels, a power of two, at least 2.
        stages: number of stages, from coarse to fine; each has half the spacing of the previous one and takes images
            of twice the size.
        kernels: number of kernels of each convolution.
        kernel_size: side of the convolution kernels in pixels, from 1 up. An even kernel reaches one pixel further down
            and to the right.
    """

    grid_spacing: int = 32
    stages: int = 1
    kernels: int = 32
    kernel_size: int = 3

    def __post_init__(self) -> None:
        if self.grid_spacing < 2 or self.grid_spacing & (self.grid_spacing - 1):
            raise ValueError(f"grid_spacing is {self.grid_spacing}, expected a power of two from 2 up")
        if self.stages < 1 or self.kernels < 1:
            raise ValueError(f"stages {self.stages}, kernels {self.kernels}: expected whole numbers from 1 up")
        if self.kernel_size < 1:
            raise ValueError(f"kernel_size is {self.kernel_size}, expected a whole number from 1 up")

    def build(self, channels: int, size: tuple[int, int]) -> RegistrationNetwork:
        """Build the network, which initially predicts the identity.

        Args:
            channels: number of image channels C.
            size: (rows, columns) of the images in pixels.
        """
        return RegistrationNetwork(self, channels, size)


class RegistrationNetwork(nn.Module):
    """Cascade of networks that predicts the deformation of the moving image onto the fixed one."""

    def __init__(self, settings: DLIR, channels: int, size: tuple[int, int]) -> None:
        super().__init__()
        shrinks = [2**level for level in reversed(range(settings.stages))]
        self.splines = [BSpline(size, settings.grid_spacing * shrink) for shrink in shrinks]
        self.stages = nn.ModuleList(RegistrationStage(settings, channels, shrink) for shrink in shrinks)

    def forward(self, fixed: Tensor, moving: Tensor) -> list[Step]:
        """Predict the stages' deformations; the last holds the total displacement.

        No gradient flows from a stage to the previous ones: each stage minimizes only its own loss.

        Args:
            fixed: float `(B, C, H, W)` in [0, 1].
            moving: images to align to `fixed`, in its shape and range.
        """
        steps: list[Step] = []
        for spline, stage in zip(self.splines, self.stages, strict=True):
            previous = steps[-1].displacement.detach() if steps else None
            moved = moving if previous is None else warp(moving, previous)
            steps.append(add_stage(previous, spline, stage(fixed, moved)))
        return steps

    def displacement(self, fixed: Tensor, moving: Tensor) -> Tensor:
        """Return the displacement `(B, 2, H, W)` in pixels, rows first, so that moving(p + u(p)) resembles fixed(p)."""
        return self(fixed, moving)[-1].displacement  # type: ignore[no-any-return]


class RegistrationStage(nn.Module):
    """Network of one stage of the cascade.

    Convolutions and average pooling down to the grid, two more convolutions on the padded grid, and two dense
    layers per control point (1x1 convolutions), all with batch normalization and ELU.
    """

    def __init__(self, settings: DLIR, channels: int, shrink: int) -> None:
        super().__init__()
        width, kernel = settings.kernels, settings.kernel_size
        halvings = settings.grid_spacing.bit_length() - 1
        inputs = [2 * channels] + [width] * (halvings - 1)
        self.shrink, self.cell = shrink, settings.grid_spacing
        self.encoder = nn.Sequential(*(nn.Sequential(_conv_block(i, width, kernel), nn.AvgPool2d(2)) for i in inputs))
        self.grid = nn.Sequential(*(_conv_block(width, width, size) for size in (kernel, kernel, 1, 1)))
        self.head = nn.Conv2d(width, 2, kernel_size=1)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)  # type: ignore[arg-type]

    def forward(self, fixed: Tensor, moved: Tensor) -> Tensor:
        """Predict the control-point displacements `(B, 2, rows, columns)` in pixels, in the weights' dtype."""
        images = torch.cat([fixed, moved], 1)
        if self.shrink > 1:
            images = F.avg_pool2d(images, self.shrink, ceil_mode=True)
        features = self.encoder(_pad_to_multiple(images, self.cell))
        features = self.grid(F.pad(features, (RINGS,) * 4, mode="replicate"))
        with torch.autocast(features.device.type, enabled=False):  # half precision would round to tenths of a pixel
            return self.head(features.to(self.head.weight.dtype))  # type: ignore[no-any-return]


def _pad_to_multiple(images: Tensor, multiple: int) -> Tensor:
    """Pad images evenly on all sides, by replication, to a multiple of `multiple` pixels."""
    missing = [math.ceil(pixels / multiple) * multiple - pixels for pixels in images.shape[-2:]]
    if not any(missing):
        return images
    top, left = missing[0] // 2, missing[1] // 2
    return F.pad(images, (left, missing[1] - left, top, missing[0] - top), mode="replicate")


def _conv_block(inputs: int, outputs: int, kernel: int) -> nn.Sequential:
    convolution = nn.Conv2d(inputs, outputs, kernel, padding="same", bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs), nn.ELU())
