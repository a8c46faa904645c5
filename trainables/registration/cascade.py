"""Splines one after another, from coarse to fine, and the one deformation that they make."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from trainables.registration.bspline import BSpline
from trainables.registration.warp import compose, warp


@dataclass(frozen=True)
class Step:
    """A stage's part in a deformation.

    Attributes:
        spline: its grid.
        control: its displacements of the control points, in pixels.
        displacement: of all stages so far, `(B, 2, H, W)` in pixels, rows first.
    """

    spline: BSpline
    control: Tensor
    displacement: Tensor

    @property
    def bending(self) -> Tensor:
        """Bending energy `(B,)` of the stage's own field."""
        return self.spline.bending_energy(self.control)


def after(previous: Tensor | None, spline: BSpline, control: Tensor) -> Step:
    """A stage on top of the displacement of those before it."""
    own = spline.displacement(control)
    return Step(spline, control, own if previous is None else compose(previous, own))


def determinant(steps: Sequence[Step]) -> Tensor:
    """Jacobian determinant `(B, H, W)` of the whole deformation, by the chain rule."""
    whole = steps[0].spline.determinant(steps[0].control)
    for step in steps[1:]:
        own = step.spline.displacement(step.control)
        whole = step.spline.determinant(step.control) * warp(whole.unsqueeze(1), own).squeeze(1)
    return whole


def folded_share(steps: Sequence[Step]) -> Tensor:
    """The share `(B,)` of pixels where the deformation folds: its Jacobian determinant is at most 0."""
    return (determinant(steps) <= 0).double().mean((1, 2))
