"""Composition of B-spline stages, from coarse to fine, into one deformation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from trainables.registration.bspline import BSpline
from trainables.registration.warp import compose, warp


@dataclass(frozen=True)
class Step:
    """One stage of a deformation.

    Attributes:
        spline: control-point grid of the stage.
        control: control-point displacements of the stage in pixels, `(B, 2, rows, columns)`.
        displacement: composition of this stage and those before it, `(B, 2, H, W)` in pixels, rows first.
    """

    spline: BSpline
    control: Tensor
    displacement: Tensor

    @property
    def bending(self) -> Tensor:
        """Bending energy `(B,)` of this stage's field alone."""
        return self.spline.bending_energy(self.control)


def add_stage(previous: Tensor | None, spline: BSpline, control: Tensor) -> Step:
    """Compose a stage's field with the displacement of the previous stages; None if it is the first."""
    stage_field = spline.displacement(control)
    return Step(spline, control, stage_field if previous is None else compose(previous, stage_field))


def determinant(steps: Sequence[Step]) -> Tensor:
    """Compute the Jacobian determinant `(B, H, W)` of the composed deformation by the chain rule."""
    total = steps[0].spline.determinant(steps[0].control)
    for step in steps[1:]:
        stage_field = step.spline.displacement(step.control)
        total = step.spline.determinant(step.control) * warp(total.unsqueeze(1), stage_field).squeeze(1)
    return total


def folded_fraction(steps: Sequence[Step]) -> Tensor:
    """Compute the fraction `(B,)` of pixels where the deformation folds: its Jacobian determinant is at most 0."""
    return (determinant(steps) <= 0).double().mean((1, 2))
