"""Registration of pairs by themselves: the control points are the parameters, and nothing is trained."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from trainables.registration.bspline import BSpline
from trainables.registration.cascade import Step, after
from trainables.registration.similarity import GlobalNCC, Similarity
from trainables.registration.warp import warp


@dataclass(frozen=True)
class Pairwise:
    """Minimises -NCC + alpha x bending energy for each pair, from coarse to fine.

    The loss of the trained network, without its speed and without its need of data.

    Attributes:
        grid_spacing: of the last stage's control points in pixels, from 1 up.
        stages: each has half the spacing of the one before.
        similarity: of the fixed and the moved frame.
        alpha: weight of the bending energy in pixels, at least 0.
        steps: of Adam, in each stage.
        lr: of Adam, in pixels.
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
        """The stages' steps, of which the last holds the whole displacement; each pair is on its own.

        Args:
            fixed: float `(B, C, H, W)` in [0, 1].
            moving: likewise.
        """
        steps: list[Step] = []
        for level in reversed(range(self.stages)):
            spline = BSpline((fixed.shape[-2], fixed.shape[-1]), self.grid_spacing * 2**level)
            steps.append(self._stage(fixed, moving, spline, steps[-1].displacement if steps else None))
        return steps

    def displacement(self, fixed: Tensor, moving: Tensor) -> Tensor:
        """The whole displacement `(B, 2, H, W)` in pixels, rows first: fixed(p) is like moving(p + u(p))."""
        return self.register(fixed, moving)[-1].displacement

    @torch.enable_grad()
    def _stage(self, fixed: Tensor, moving: Tensor, spline: BSpline, before: Tensor | None) -> Step:
        control = fixed.new_zeros(len(fixed), 2, *spline.control_size).requires_grad_()
        adam = torch.optim.Adam([control], self.lr)
        moved = moving if before is None else warp(moving, before)
        for _ in range(self.steps):
            ncc = self.similarity(fixed, warp(moved, spline.displacement(control)))
            loss = (
                self.alpha * spline.bending_energy(control) - ncc
            ).sum()  # Adam's step has no scale: pairs stay apart
            adam.zero_grad()
            loss.backward()
            adam.step()
        return after(before, spline, control.detach())
