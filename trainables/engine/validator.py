"""Evaluation of a task after an epoch, immediately or in the background while the next epoch trains."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass

import torch

from trainables.common.background import run_in_background
from trainables.common.errors import TrainingFailed
from trainables.data.sampling.batches import Batch, Batches
from trainables.engine.grad_accumulation import Autocast
from trainables.engine.precision import MixedPrecision
from trainables.engine.settings import FitSettings
from trainables.engine.split import split_all
from trainables.engine.task import Task

ProbeCallback = Callable[[], Mapping[str, float]]
"""Function that returns more metrics of the network, which is then in evaluation mode."""


@dataclass(frozen=True)
class Evaluation:
    """Metrics of a task after an epoch.

    Attributes:
        task: evaluated task, or its copy, with the weights of that epoch.
        metrics: metrics by name, each called `val/...`.
    """

    task: Task
    metrics: dict[str, float]


class Validator:
    """Evaluates a task on validation batches; the one place that knows how evaluation and training overlap.

    Args:
        val: validation batches; None evaluates the probe only.
        probe: function that returns more metrics; None adds none.
        device: device of the task.
        autocast: function that returns the context manager of a forward pass, which sets its precision.
        overlap: evaluate a copy of the task in a background thread.
    """

    def __init__(
        self,
        val: Batches | None,
        probe: ProbeCallback | None,
        device: torch.device,
        autocast: Autocast,
        *,
        overlap: bool = False,
    ) -> None:
        self._val, self._probe, self._device = val, probe, device
        self._autocast, self._overlap = autocast, overlap
        self._running: Future[Evaluation] | None = None
        self._stream: torch.cuda.Stream | None = None

    @property
    def pending(self) -> bool:
        """True while an evaluation runs in the background or waits to be collected."""
        return self._running is not None

    def evaluate(self, task: Task, epoch: int) -> Evaluation | None:
        """Evaluate the current weights, in the background if overlapping is on.

        Args:
            task: networks to evaluate; they may change as soon as this method returns.
            epoch: number of epochs trained, for messages.

        Returns:
            The evaluation; None if there is nothing to evaluate or `collect` will return it.

        Raises:
            TrainingFailed: the validation loss is not finite.
        """
        if self._val is None and self._probe is None:
            return None
        if not self._overlap:
            return self._evaluate(task, self._probe, epoch)
        copied, probe = copy.deepcopy((task, self._probe))  # together: a probe may hold the task's backbone
        if self._device.type == "cuda":
            self._stream = self._stream or torch.cuda.Stream(self._device)
            self._stream.wait_stream(torch.cuda.current_stream(self._device))  # which makes the copy
        self._running = run_in_background("evaluation", self._evaluate_beside_training, copied, probe, epoch)
        return None

    def collect(self) -> Evaluation | None:
        """Wait for the evaluation in the background and return it; return None if there is none.

        Raises:
            TrainingFailed: the validation loss is not finite.
        """
        running, self._running = self._running, None
        return running.result() if running is not None else None

    def close(self) -> None:
        """Wait for the background thread and discard its evaluation and its error."""
        running, self._running = self._running, None
        if running is not None:
            running.exception()

    def _evaluate_beside_training(self, task: Task, probe: ProbeCallback | None, epoch: int) -> Evaluation:
        """Evaluate in a stream of its own on a GPU, whose work is done when this method returns.

        The copy's memory belongs to the stream of the training, which may use it again from then on.
        """
        if self._stream is None:
            return self._evaluate(task, probe, epoch)
        try:
            with torch.cuda.stream(self._stream):
                return self._evaluate(task, probe, epoch)
        finally:
            self._stream.synchronize()

    def _evaluate(self, task: Task, probe: ProbeCallback | None, epoch: int) -> Evaluation:
        task.eval()
        with torch.no_grad(), self._autocast():
            found = task.evaluate(self._batches(task, self._val)) if self._val is not None else {}
            if not math.isfinite(found.get("loss", 0.0)):
                text = f"the validation loss is {found['loss']} after epoch {epoch}"
                raise TrainingFailed(f"{text}. Fix: lower the learning rate")
            if probe is not None:
                found |= probe()
        return Evaluation(task, {f"val/{name}": value for name, value in found.items()})

    def _batches(self, task: Task, val: Batches) -> Iterable[Batch]:
        batches: Iterable[Batch] = val.epoch(0, device=self._device)
        return split_all(batches, task.micro_batch) if task.division == "images" else batches


def evaluate_now(
    task: Task, val: Batches | None, settings: FitSettings, device: torch.device, probe: ProbeCallback | None = None
) -> dict[str, float]:
    """Return the metrics `val/...` of a task's current weights, without a training run around it.

    Args:
        task: task to evaluate, moved to the device and left in evaluation mode.
        val: validation batches; None evaluates the probe only.
        settings: settings of the training run, for precision and micro-batches.
        device: device to evaluate on.
        probe: function that returns more metrics; None adds none.

    Raises:
        TrainingFailed: the validation loss is not finite.
    """
    task.to(device).micro_batch = settings.micro_batch
    validator = Validator(val, probe, device, MixedPrecision(settings.precision, device).autocast)
    found = validator.evaluate(task, epoch=0)
    return found.metrics if found is not None else {}
