"""Registration of single pairs by direct optimization of the control points, without training."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from trainables.registration.bspline import BSpline
from trainables.registration.cascade import Step, add_stage
from trainables.registration.similarity import GlobalNCC, Similarity
from trainables.registration.warp import warp


@dataclass(frozen=True)
class Pairwise:
    """Registration that minimizes -NCC + alpha x bending energy for each pair, from coarse to fine.

    It minimizes the loss of the trained network, but is slower and needs no training data.

    Attributes:
        grid_spacing: distance between the last stage's control points in pixels, at least 1.
        stages: number of stages, at least 1; each has half the spacing of the previous one.
        similarity: similarity of the fixed and the warped frame.
        alpha: weight of the bending energy in pixels, at least 0.
        steps: number of Adam steps per stage, at least 1.
        lr: learning rate of Adam in pixels, above 0.
    """

    grid_spacing: int = 32
    stages: int = 3
    similarity: Similarity = field(default_factory=GlobalNCC)
    alpha: float = 1.0
    steps: int = 60
    lr: float = 0.5

    def __post_init__(self) -> None:
        if self.grid_spacing < 1 or self.stages < 1 or self.steps < 1:
            text = f"grid_spacing {self.grid_spacing}, stages {self.stages}, steps {self.steps}"
            raise ValueError(f"{text}: expected whole numbers from 1 up")
        if not (self.alpha >= 0 and self.lr > 0):
            raise ValueError(f"alpha {self.alpha}, lr {self.lr}: expected at least 0 and above 0")

    def register(self, fixed: Tensor, moving: Tensor) -> list[Step]:
        """Register each pair independently; the last stage holds the total displacement.

        Args:
            fixed: float `(B, C, H, W)` in [0, 1].
            moving: images to align to `fixed`, in its shape and range.
        """
        steps: list[Step] = []
        for level in reversed(range(self.stages)):
            spline = BSpline((fixed.shape[-2], fixed.shape[-1]), self.grid_spacing * 2**level)
            steps.append(self._optimize_stage(fixed, moving, spline, steps[-1].displacement if steps else None))
        return steps

    def displacement(self, fixed: Tensor, moving: Tensor) -> Tensor:
        """Return the displacement `(B, 2, H, W)` in pixels, rows first, so that moving(p + u(p)) resembles fixed(p)."""
        return self.register(fixed, moving)[-1].displacement

    @torch.enable_grad()
    def _optimize_stage(self, fixed: Tensor, moving: Tensor, spline: BSpline, previous: Tensor | None) -> Step:
        control = fixed.new_zeros(len(fixed), 2, *spline.control_size).requires_grad_()
        adam = torch.optim.Adam([control], self.lr)
        warped = moving if previous is None else warp(moving, previous)
        for _ in range(self.steps):
            ncc = self.similarity(fixed, warp(warped, spline.displacement(control)))
            loss = (
                self.alpha * spline.bending_energy(control) - ncc
            ).sum()  # Adam is scale-invariant, so summing keeps the pairs independent
            adam.zero_grad()
            loss.backward()
            adam.step()
        return add_stage(previous, spline, control.detach())
