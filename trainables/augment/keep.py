"""Budget of a view: what intensity operations together must keep of an image, and where they may not draw."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from trainables.augment.batch_rng import constant, to_device_async

BLENDS = (1.0, 0.75, 0.5, 0.25, 0.0)
"""Shares of the change that are tried, largest first."""

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
        spread, edges = kept_by_blends(views, images, BLENDS)
        within = ~((spread < self.spread) | (edges < self.edges))
        within[-1].fill_(True)  # the image itself
        blend = constant(BLENDS, views)[within.float().argmax(0)]  # the largest within the budget
        return images.lerp(views, blend.view(-1, 1, 1, 1))


def kept(views: Tensor, images: Tensor) -> tuple[Tensor, Tensor]:
    """Return the shares of spread and edges that views keep, float32 `(B,)` each; 1 for a constant image.

    The spread is that within the channels, averaged over them: a color shared by all pixels shows no structure.

    Args:
        views: images after all operations, float32 `(B, C, H, W)`.
        images: input of the intensity operations, after all geometric operations, float32 `(B, C, H, W)`.
    """
    spread, edges = kept_by_blends(views, images, [1.0])
    return spread[0], edges[0]


def kept_by_blends(views: Tensor, images: Tensor, blends: Sequence[float]) -> tuple[Tensor, Tensor]:
    """Return the shares of spread and edges that blends of views with images keep, float32 `(N, B)` each, as `kept`.

    They follow from the covariances of view and image, so that no blend is rendered and a GPU never waits for a choice.

    Args:
        views: images after all operations, float32 `(B, C, H, W)`.
        images: input of the intensity operations, after all geometric operations, float32 `(B, C, H, W)`.
        blends: shares of the view in N blends, in [0, 1].
    """
    before, after = (each.std((2, 3), correction=0) for each in (images, views))
    centred = (each - each.mean((2, 3), keepdim=True) for each in (images, views))
    common = functools.reduce(torch.mul, centred).mean((2, 3))
    squares, products = _blend_weights(blends, images)
    blended = (torch.stack([before.square(), common, after.square()], 2) @ squares).clamp_min(0).sqrt().mean(1)
    before = before.mean(1, keepdim=True)
    spread = torch.where(before > 0, blended / before.clamp_min(1e-8), 1.0)
    one, two = _gradients(images), _gradients(views)
    sums = torch.stack([(a * b).sum(1) for a, b in ((one, one), (one, two), (two, two))], 1)
    own = sums[:, :1]
    cosine = (sums @ products) / (own * (sums @ squares).clamp_min(0)).sqrt().clamp_min(1e-8)
    return spread.T, torch.where(own > 1e-12, cosine, 1.0).T


def _blend_weights(blends: Sequence[float], like: Tensor) -> tuple[Tensor, Tensor]:
    """Return the weights of |a|^2, a b and |b|^2 in |c|^2 and in a c, for blends c = (1 - w) a + w b, `(3, N)` each."""
    squares = [((1 - w) ** 2, 2 * w * (1 - w), w**2) for w in blends]
    products = [(1 - w, w, 0.0) for w in blends]
    table = torch.tensor([squares, products], dtype=like.dtype)
    one, two = to_device_async(table, like.device).transpose(1, 2)
    return one, two


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
