"""Relative error of a structure's area."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from trainables.metrics.case_metric import METRICS, CaseMetric


@dataclass(frozen=True)
class AreaError(CaseMetric):
    """|predicted area - true area| / true area; NaN for a class that the reference lacks."""

    unit: ClassVar[str] = "from 0"
    limits: ClassVar[tuple[float, float]] = (0.0, np.inf)
    meaning: ClassVar[str] = "error of the area relative to the reference's; lower is better"

    def __call__(self, predicted: np.ndarray, truth: np.ndarray, classes: int, spacing: np.ndarray) -> np.ndarray:
        """Return the error of each case and foreground class."""
        found, true = (
            np.stack([(masks == label).sum((1, 2)) for label in range(1, classes)], 1).astype(float)
            for masks in (predicted, truth)
        )
        return np.divide(np.abs(found - true), true, out=np.full_like(true, np.nan), where=true > 0)


METRICS.add("area_error", AreaError)
