"""A stage between pretraining and fine-tuning: pseudo-labels of all frames by Otsu's threshold (1979)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from study.config.plain import plain
from study.config.settings import parse
from study.config.stage_settings import StageSettings
from study.planning.jobs import Job
from study.stages import STAGES
from study.stages.configuration import Configuration
from study.stages.stage import Artifact, SharedStage, StageContext, StageResult


@dataclass(frozen=True)
class Otsu(StageSettings):
    """Settings of the threshold, which a study file gives in `stages: {otsu: {...}}`.

    Attributes:
        blur: side of the Gaussian filter before the threshold in pixels, an odd number.
    """

    blur: int = 3

    def __post_init__(self) -> None:
        if self.blur < 1 or self.blur % 2 == 0:
            raise ValueError(f"blur is {self.blur}, expected an odd number from 1 up")


class OtsuStage(SharedStage):
    """Pseudo-labels for `downstream.targets: propagated`; the role `labels` makes them the fine-tuning's input."""

    name = "otsu"
    provides = "labels"
    settings = Otsu

    def jobs(self, configuration: Configuration) -> Sequence[Job]:
        """Return one job for all cells, if the study switches the stage on."""
        settings = configuration.spec.stages.get(self.name)
        return [] if settings is None else [self.job(configuration, {self.name: plain(settings)})]

    def run(self, job: Job, context: StageContext) -> StageResult:
        """Threshold every frame."""
        side = parse(Otsu, job.config[self.name]).blur
        images = np.asarray(context.store.images)[:, 0]
        masks = np.stack([self._mask(image, side) for image in images])
        metrics = {"foreground": float(masks.mean())}
        context.runtime.report(1, metrics)
        arrays = {"rows": np.arange(len(masks)), "masks": masks}
        return StageResult(metrics, 1, Artifact(arrays=arrays, metrics=metrics))

    @staticmethod
    def _mask(image: np.ndarray, side: int) -> np.ndarray:
        smooth = cv2.GaussianBlur(np.ascontiguousarray(image), (side, side), 0)
        return np.asarray(cv2.threshold(smooth, 0, 1, cv2.THRESH_BINARY + cv2.THRESH_OTSU)[1], np.uint8)


STAGES.add("otsu", OtsuStage())
