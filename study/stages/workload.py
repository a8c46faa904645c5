"""Cost of a job: the number of samples to process, and how fast this machine processes them."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from study.config.plain import canonical
from study.planning.calibration import Calibration
from study.planning.jobs import ResourceRequest
from study.planning.machine import measuring_device
from trainables.engine.compilation import reason_against
from trainables.engine.runtime import LocalRuntime, Runtime, use_threads
from trainables.engine.settings import FitSettings

EVALUATION_COST = 1 / 3
"""Cost of evaluating one image relative to training on it: the forward pass alone."""

MEASURED_BATCH = 64
"""Largest batch that is measured, so that a measurement takes seconds."""

MEASURED_STEPS = 2
"""Steps in each epoch of a measurement."""

ROUGH_BATCH = 2
"""Batch of a rough measurement."""

Measure = Callable[[FitSettings, int, Runtime], Sequence[dict[str, float]]]
"""Function from (short training settings, batch size, runtime) to the history of a short training run."""


@dataclass(frozen=True)
class Workload:
    """Samples that a job processes, and how to measure the rate.

    Attributes:
        samples: number of training samples (images, windows of frames or pairs); evaluated ones count as
            `EVALUATION_COST` each.
        rate_key: JSON-able values that determine the rate; jobs with equal keys share one measurement.
        measure: function that runs a few steps and returns the rate in samples per second.
        measure_roughly: function that measures the rate with batches of `ROUGH_BATCH`, in a moment; None for `measure`.
        measure_start: function that returns the seconds that compiling the network takes once in each job, measured
            roughly if its argument is true; None for a network that is not compiled.
    """

    samples: float
    rate_key: Sequence[Any]
    measure: Callable[[], float]
    measure_roughly: Callable[[], float] | None = None
    measure_start: Callable[[bool], float] | None = None

    @property
    def key(self) -> str:
        """Key of the rate in the calibration."""
        return canonical(list(self.rate_key))

    @property
    def _rough_key(self) -> str:
        return f"roughly {self.key}"

    @property
    def _start_key(self) -> str:
        return f"seconds to compile {self.key}"

    def measured(self, rates: Calibration, *, rough: bool = False) -> bool:
        """Return True if `hours` needs no measurement.

        Args:
            rates: measured rates.
            rough: a rough rate will do.
        """
        exact = rates.known(self.key) is not None
        started = self.measure_start is None or rates.known(self._start_key) is not None
        return started and (exact or (rough and rates.known(self._rough_key) is not None))

    def hours(self, rates: Calibration, *, rough: bool = False) -> float:
        """Return the hours that one worker needs, measuring the rate if it is not known.

        Args:
            rates: measured rates.
            rough: measure roughly.
        """
        if rough and self.measure_roughly is not None and rates.known(self.key) is None:
            rate = rates.rate(self._rough_key, self.measure_roughly)
        else:
            rate = rates.rate(self.key, self.measure)
        return (self.samples / rate + self._start(rates, rough)) / 3600

    def _start(self, rates: Calibration, rough: bool) -> float:
        """Return the seconds that compiling takes, measuring them if they are not known."""
        if self.measure_start is None:
            return 0.0
        return rates.rate(self._start_key, functools.partial(self.measure_start, rough))


def training_workload(
    samples: float,
    fit: FitSettings,
    resources: ResourceRequest,
    measure: Measure,
    *,
    stage: str,
    network: Any,
    method: Any,
    image_size: int,
) -> Workload:
    """Return the workload of a training run whose rate is measured by a short run of the stage.

    Args:
        samples: number of training samples of the full run.
        fit: settings of the full run.
        resources: request of a job; its rate is measured with one worker, on a GPU if it asks for one.
        measure: function that trains briefly and returns the history of epochs.
        stage: name of the stage whose rate it is.
        network: plain settings of the network.
        method: plain settings of what is trained besides the network; None if the network says it all.
        image_size: side of the images in pixels.
    """
    batch = min(fit.batch_size, MEASURED_BATCH)
    device = measuring_device(resources.gpus)
    compiled = fit.compile == "auto" and reason_against(device, resources.workers) is None
    if not compiled:
        fit = replace(fit, compile="off")  # one worker is measured, whatever the job has

    @functools.cache
    def speeds(batch: int) -> list[float]:
        """Return the samples per second of each epoch; the first one includes the compilation."""
        use_threads(int(resources.cpus))
        return [epoch["images_per_second"] for epoch in measure(_short(fit, batch), batch, LocalRuntime(device=device))]

    def start(rough: bool) -> float:
        size = min(batch, ROUGH_BATCH) if rough else batch
        return MEASURED_STEPS * size * (1 / speeds(size)[0] - 1 / max(speeds(size)))

    def rate(batch: int = batch) -> float:
        return max(speeds(batch))

    key = [stage, network, method, image_size, batch, fit.precision, fit.micro_batch, fit.recompute]
    key += [int(resources.cpus), *(["gpu"] if resources.gpus else [])]
    key += ["compiled"] if compiled else []
    return Workload(samples, key, rate, lambda: rate(min(batch, ROUGH_BATCH)), start if compiled else None)


def samples_of(fit: FitSettings, train: float, val: float = 0.0) -> float:
    """Return the samples of a training run, evaluations included; early stopping is ignored.

    Args:
        fit: settings of the run.
        train: training samples per epoch where `fit.steps_per_epoch` is None.
        val: validation samples per evaluation.

    Example:
        >>> samples_of(FitSettings(epochs=4, evaluate_every=2), train=100, val=30)
        420.0
    """
    per_epoch = train if fit.steps_per_epoch is None else float(fit.steps_per_epoch * fit.batch_size)
    evaluations = math.ceil(fit.epochs / fit.evaluate_every)
    return fit.epochs * per_epoch + evaluations * EVALUATION_COST * val


def _short(fit: FitSettings, batch: int) -> FitSettings:
    """Return the settings of a measurement: two epochs of two batches, with micro-batches where the run has them."""
    split = fit.micro_batch is not None and fit.micro_batch < fit.batch_size
    # Gradient caching costs a second forward pass, so at least two micro-batches are measured.
    micro_batch = max(2, min(fit.micro_batch or batch, batch // 2)) if split else None
    return replace(
        fit, epochs=2, batch_size=batch, steps_per_epoch=None, micro_batch=micro_batch, overlap_evaluation=False
    )
