"""Trace of a policy: which operations changed each view, and by how much."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from trainables.augment.batch_rng import BatchRNG
from trainables.augment.keep import kept
from trainables.augment.operation import IntensityOperation
from trainables.augment.policy import Policy

VISIBLE = 0.002
"""Mean change, as a fraction of the gray range, below which an operation is not named."""


@dataclass(frozen=True)
class TracedView:
    """One view of one image, with what was done to it.

    Attributes:
        image: gray values in [0, 1], float32 `(C, H, W)`.
        mask: class indices `(H, W)`; None without masks.
        changes: text of each operation that changed the view, in order of application; an intensity operation has the
            mean change of its gray values in per cent of the gray range.
        spread: standard deviation of the gray values as a share of that before the intensity operations.
        edges: similarity of the coarse edges with those before the intensity operations, up to 1.
    """

    image: Tensor
    mask: Tensor | None
    changes: tuple[str, ...]
    spread: float
    edges: float


def trace(policy: Policy, images: Tensor, masks: Tensor | None, rng: BatchRNG) -> list[TracedView]:
    """Return the views that `policy.apply` makes with equal random numbers, with a description of each.

    Args:
        policy: augmentation policy.
        images: uint8 `(B, C, H, W)`.
        masks: class indices `(B, H, W)`, or None.
        rng: random numbers of the batch.
    """
    views, warped_masks = policy.apply(images, masks, rng)
    values, _ = policy.geometry_only().apply(images, None, rng)
    geometric = values
    steps = [_geometry(policy, rng, (images.shape[2], images.shape[3]))]
    for name, operation in policy.active().items():
        if isinstance(operation, IntensityOperation):
            changed = operation(values, rng.fork(name), policy.factor)
            steps.append(_sizes(name, values, changed))
            values = changed
    if policy.keep is not None:
        steps.append(_sizes("keep", values, views))
    spread, edges = kept(views, geometric)
    return [
        TracedView(
            views[row],
            warped_masks[row] if warped_masks is not None else None,
            tuple(text for step in steps for text in step[row]),
            float(spread[row]),
            float(edges[row]),
        )
        for row in range(len(views))
    ]


def _sizes(name: str, before: Tensor, after: Tensor) -> list[list[str]]:
    """Return for each view the name and the mean change of an operation, or nothing where it changed nothing."""
    sizes = (after - before).abs().mean((1, 2, 3)).tolist()
    return [[f"{name} {size:.0%}"] if size > VISIBLE else [] for size in sizes]


def _geometry(policy: Policy, rng: BatchRNG, size: tuple[int, int]) -> list[list[str]]:
    """Return for each view the texts of its affine map and of its elastic deformation."""
    maps = policy.maps(rng, size)
    affine = [_affine_texts(each) for each in maps] if maps is not None else [[] for _ in range(rng.count)]
    elastic = ["elastic"] if "elastic" in policy.active() else []
    return [[*texts, *elastic] for texts in affine]


def _affine_texts(affine: Tensor) -> list[str]:
    """Return the texts of an affine map `(2, 3)`: area of the image that the view shows, angle and flip."""
    linear = affine[:, :2].double()
    area = float(torch.linalg.det(linear))
    sign = -1 if area < 0 else 1
    angle = math.degrees(math.atan2(sign * float(linear[1, 0]), sign * float(linear[0, 0])))
    texts = [f"area {abs(area):.0%}"] if abs(abs(area) - 1) > 0.005 else []
    texts += [f"turn {angle:+.0f}°"] if abs(angle) >= 0.5 else []
    return [*texts, "flip"] if area < 0 else texts
