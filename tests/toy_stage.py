"""A plug-in with two stages, known to no other file: pseudo-labels by a threshold on the image intensity."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from study.config.plain import plain
from study.config.settings import parse
from study.config.stage_settings import StageSettings
from study.planning.jobs import Job
from study.stages import STAGES
from study.stages.configuration import Configuration
from study.stages.stage import Artifact, SharedStage, StageContext, StageResult


@dataclass(frozen=True)
class Threshold(StageSettings):
    """Settings of the threshold.

    Attributes:
        factor: intensity of the structure relative to the subject's mean, at least 0.
    """

    factor: float = 1.0

    def __post_init__(self) -> None:
        if self.factor < 0:
            raise ValueError(f"factor is {self.factor}, expected at least 0")


class BrightnessStage(SharedStage):
    """Mean intensity of each subject."""

    name = "brightness"
    provides = "brightness"

    def jobs(self, configuration: Configuration) -> Sequence[Job]:
        return [self.job(configuration, {})]

    def run(self, job: Job, context: StageContext) -> StageResult:
        subjects, images = context.store.index["subject"], np.asarray(context.store.images)
        means = np.array([images[subjects == n].mean() for n in range(len(context.store.subjects))])
        metrics = {"mean": float(means.mean())}
        context.runtime.report(1, metrics)
        return StageResult(metrics, 1, Artifact(arrays={"means": means}, metrics=metrics))


class ThresholdStage(SharedStage):
    """Pseudo-labels: pixels brighter than the subject's mean."""

    name = "threshold"
    provides = "labels"
    settings = Threshold

    def jobs(self, configuration: Configuration) -> Sequence[Job]:
        settings = configuration.spec.stages.get(self.name)
        brightness = configuration.output(BrightnessStage.provides)
        if settings is None or brightness is None:
            return []
        return [self.job(configuration, {"threshold": plain(settings)}, inputs={"brightness": brightness})]

    def run(self, job: Job, context: StageContext) -> StageResult:
        factor = parse(Threshold, job.config["threshold"]).factor
        means = context.artifacts.array(job.inputs["brightness"], "means")
        rows = np.arange(len(context.store.index))
        limits = factor * means[context.store.index["subject"]]
        masks = (np.asarray(context.store.images)[:, 0] > limits[:, None, None]).astype(np.uint8)
        metrics = {"foreground": float(masks.mean())}
        context.runtime.report(1, metrics)
        return StageResult(metrics, 1, Artifact(arrays={"rows": rows, "masks": masks}, metrics=metrics))


STAGES.add("brightness", BrightnessStage())
STAGES.add("threshold", ThresholdStage())
