"""Budget of a view: what intensity operations together must keep of an image, and where they may not draw."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

BLENDS = (0.75, 0.5, 0.25, 0.0)
"""Shares of the change that are tried, largest first, where the whole change exceeds the budget."""

EDGE_GRID = 32
"""Edges are compared on images averaged to about this many cells a side, coarser than speckle and noise."""


@dataclass(frozen=True)
class Keep:
    """Least shares of an image that its view keeps after all intensity operations together.

    Operations that are harmless alone multiply: contrast, gain, compression and gamma may turn an image black or
    saturate it. A view beyond the budget is blended with the image before the intensity operations, as little as the
    budget needs.

    Attributes:
        spread: least standard deviation of the gray values, as a share of the image's, in [0, 1].
        edges: least similarity of the coarse edges with the image's, in [0, 1]; the cosine of their gradients.
        sector: True to keep black what lies outside the imaged sector of ultrasound, where a machine writes nothing.
    """

    spread: float = 0.5
    edges: float = 0.5
    sector: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.spread <= 1 or not 0 <= self.edges <= 1:
            raise ValueError(f"spread {self.spread}, edges {self.edges}: expected shares in [0, 1]")

    def apply(self, views: Tensor, images: Tensor) -> Tensor:
        """Return the views within the budget, float32 `(B, C, H, W)` in [0, 1].

        Args:
            views: images after all operations, float32 `(B, C, H, W)`.
            images: input of the intensity operations, after all geometric operations, float32 `(B, C, H, W)`.
        """
        if self.sector:
            views = views * sector_mask(images)
        found = views.clone()
        exceeding = self._exceeds(views, images).nonzero().squeeze(1)
        for blend in BLENDS:
            if not len(exceeding):
                break
            found[exceeding] = images[exceeding].lerp(views[exceeding], blend)
            exceeding = exceeding[self._exceeds(found[exceeding], images[exceeding])]
        return found

    def _exceeds(self, views: Tensor, images: Tensor) -> Tensor:
        """Return True for views beyond the budget, bool `(B,)`."""
        spread, edges = kept(views, images)
        return (spread < self.spread) | (edges < self.edges)


def kept(views: Tensor, images: Tensor) -> tuple[Tensor, Tensor]:
    """Return the shares of spread and edges that views keep, float32 `(B,)` each; 1 for a constant image.

    The spread is that within the channels, averaged over them: a color shared by all pixels shows no structure.

    Args:
        views: images after all operations, float32 `(B, C, H, W)`.
        images: input of the intensity operations, after all geometric operations, float32 `(B, C, H, W)`.
    """
    before, after = (each.std((2, 3), correction=0).mean(1) for each in (images, views))
    spread = torch.where(before > 0, after / before.clamp_min(1e-8), 1.0)
    one, two = _gradients(images), _gradients(views)
    norms = one.norm(dim=1) * two.norm(dim=1)
    cosine = (one * two).sum(1) / norms.clamp_min(1e-8)
    return spread, torch.where(one.norm(dim=1) > 1e-6, cosine, 1.0)


def sector_mask(images: Tensor) -> Tensor:
    """Return the imaged sector, bool `(B, 1, H, W)`: between the outermost non-black pixels of a row and of a column.

    A sector is convex, so that dark cavities inside it belong to it.
    """
    lit = (images > 0).any(1, keepdim=True).to(torch.uint8)
    inside = torch.ones_like(lit)
    for axis in (2, 3):
        inside &= lit.cummax(axis).values & lit.flip(axis).cummax(axis).values.flip(axis)
    return inside.bool()


def _gradients(images: Tensor) -> Tensor:
    """Return the differences between neighbouring cells of coarse images, flattened `(B, N)`."""
    cell = max(1, min(images.shape[2:]) // EDGE_GRID)
    coarse = F.avg_pool2d(images, cell)
    return torch.cat([coarse.diff(dim=axis).flatten(1) for axis in (2, 3)], 1)
