"""Further metrics of test cases, by name: those that a study names beside Dice and the surface distances."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from scipy.spatial import cKDTree

from trainables.common.registry import Registry
from trainables.metrics.overlap import counts
from trainables.metrics.surface import outline


@dataclass(frozen=True)
class CaseMetric(ABC):
    """Settings of a metric of predicted against reference masks.

    Attributes:
        unit: unit or range of the values, such as "mm" or "0 to 1".
        meaning: the metric in words, for tables and model cards.
        limits: smallest and largest possible value, at which intervals are cut.
    """

    unit: ClassVar[str] = ""
    limits: ClassVar[tuple[float, float]] = (-np.inf, np.inf)
    meaning: ClassVar[str] = ""

    @abstractmethod
    def __call__(self, predicted: np.ndarray, truth: np.ndarray, classes: int, spacing: np.ndarray) -> np.ndarray:
        """Return the values of each case and foreground class, float64 `(N, K - 1)`; NaN where it is undefined.

        Args:
            predicted: class indices `(N, H, W)`.
            truth: reference class indices `(N, H, W)`.
            classes: number of classes K, background included.
            spacing: (row, column) pixel spacing of each case in mm, float64 `(N, 2)`; NaN where it is unknown.
        """


@dataclass(frozen=True)
class Sensitivity(CaseMetric):
    """Share of the true pixels that are found; NaN for a class that the reference lacks."""

    unit: ClassVar[str] = "0 to 1"
    limits: ClassVar[tuple[float, float]] = (0.0, 1.0)
    meaning: ClassVar[str] = "share of the reference's pixels that were found; higher is better"

    def __call__(self, predicted: np.ndarray, truth: np.ndarray, classes: int, spacing: np.ndarray) -> np.ndarray:
        """Return |P and T| / |T|."""
        return _share(predicted, truth, truth, classes)


@dataclass(frozen=True)
class Precision(CaseMetric):
    """Share of the predicted pixels that are true; NaN for a class that the prediction lacks."""

    unit: ClassVar[str] = "0 to 1"
    limits: ClassVar[tuple[float, float]] = (0.0, 1.0)
    meaning: ClassVar[str] = "share of the predicted pixels that the reference has; higher is better"

    def __call__(self, predicted: np.ndarray, truth: np.ndarray, classes: int, spacing: np.ndarray) -> np.ndarray:
        """Return |P and T| / |P|."""
        return _share(predicted, truth, predicted, classes)


@dataclass(frozen=True)
class SurfaceDice(CaseMetric):
    """Share of both outlines that lies within a tolerance of the other one (Nikolov et al. 2021, section on metrics).

    Outlines are pixels, as for the surface distances. 1 if neither mask has the class, 0 if only one has it; NaN where
    the spacing is unknown.

    Attributes:
        tolerance: largest distance in mm that counts as agreement, at least 0.
    """

    tolerance: float = 2.0
    unit: ClassVar[str] = "0 to 1"
    limits: ClassVar[tuple[float, float]] = (0.0, 1.0)
    meaning: ClassVar[str] = "share of both outlines within the tolerance of the other one; higher is better"

    def __post_init__(self) -> None:
        if not self.tolerance >= 0:
            raise ValueError(f"tolerance is {self.tolerance}, expected at least 0 mm")

    def __call__(self, predicted: np.ndarray, truth: np.ndarray, classes: int, spacing: np.ndarray) -> np.ndarray:
        """Return the surface Dice at the tolerance."""
        found = np.full((len(predicted), classes - 1), np.nan)
        for case in np.flatnonzero(~np.isnan(spacing).any(axis=1)):
            for label in range(1, classes):
                found[case, label - 1] = self._agreement(predicted[case] == label, truth[case] == label, spacing[case])
        return found

    def _agreement(self, predicted: np.ndarray, truth: np.ndarray, step: np.ndarray) -> float:
        one, other = outline(predicted) * step, outline(truth) * step
        if not len(one) or not len(other):
            return float(len(one) == len(other))
        near = [
            np.asarray(cKDTree(target).query(source)[0]) <= self.tolerance
            for source, target in ((one, other), (other, one))
        ]
        return float(sum(each.sum() for each in near) / (len(one) + len(other)))


METRICS: Registry[type[CaseMetric]] = Registry(
    "metric", {"sensitivity": Sensitivity, "precision": Precision, "surface_dice": SurfaceDice}
)


def metric_name(metric: CaseMetric) -> str:
    """Return the name of a metric, with what tells two of one class apart, such as "surface_dice_2mm"."""
    name = next(name for name, cls in METRICS.items() if cls is type(metric))
    return f"{name}_{metric.tolerance:g}mm" if isinstance(metric, SurfaceDice) else name


def limits_of(name: str) -> tuple[float, float]:
    """Return the smallest and the largest possible value of a metric by the name that `metric_name` gives it."""
    known = [
        cls.limits for registered, cls in METRICS.items() if name == registered or name.startswith(f"{registered}_")
    ]
    return known[-1] if known else (-np.inf, np.inf)


def _share(predicted: np.ndarray, truth: np.ndarray, of: np.ndarray, classes: int) -> np.ndarray:
    """Return the common pixels of two masks as a share of those of one of them."""
    overlap, _ = counts(torch.from_numpy(predicted), torch.from_numpy(truth), classes)
    size = np.stack([(of == label).sum((1, 2)) for label in range(1, classes)], axis=1).astype(np.float64)
    return np.asarray(np.divide(overlap.numpy(), size, out=np.full_like(size, np.nan), where=size > 0))
