"""Judging a task after an epoch: at once, or a copy of it in a thread while the next epoch trains."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future

import torch

from trainables.common.background import run_in_background
from trainables.common.errors import TrainingFailed
from trainables.data.sampling.batches import Batch, Batches
from trainables.engine.micro_batches import split_all
from trainables.engine.task import Task

ProbeCallback = Callable[[], Mapping[str, float]]
"""Gives more metrics of the network in evaluation mode."""

Evaluated = tuple[Task, dict[str, float]]
"""What was judged, and its metrics, each named `val/...`."""


class Evaluation:
    """Of a task, by frames that it is not trained on.

    Args:
        val: batches of these frames; None for the probe alone.
        probe: gives more metrics.
        device: where the task is.
        autocast: makes the context of the forward pass's precision.
        beside: judge a copy, by another thread.
    """

    def __init__(
        self,
        val: Batches | None,
        probe: ProbeCallback | None,
        device: torch.device,
        autocast: Callable[[], torch.autocast],
        *,
        beside: bool,
    ) -> None:
        self._val, self._probe, self._device, self._autocast, self._beside = val, probe, device, autocast, beside
        self._begun: Future[Evaluated] | None = None

    @property
    def wanted(self) -> bool:
        """Whether there is anything to judge a task by."""
        return self._val is not None or self._probe is not None

    @property
    def open(self) -> bool:
        """Whether an evaluation was begun whose end has not been asked for."""
        return self._begun is not None

    def begin(self, task: Task, epoch: int) -> None:
        """Judge the task as it is now, after so many epochs; beside or before this returns."""
        if not self._beside:
            found = self._judge(task, self._probe, epoch)
            self._begun = Future()
            self._begun.set_result(found)
            return
        judged, probe = copy.deepcopy((task, self._probe))  # together, as a probe reads the task's own backbone
        self._begun = run_in_background("evaluation", self._judge, judged, probe, epoch)

    def end(self) -> Evaluated:
        """What came of the evaluation that was begun.

        Raises:
            TrainingFailed: the validation loss is not finite.
        """
        assert self._begun is not None
        begun, self._begun = self._begun, None
        return begun.result()

    def flush(self) -> None:
        """Wait until no thread is at work; what it found is lost."""
        if self._begun is not None:
            self._begun.exception()
            self._begun = None

    def _judge(self, task: Task, probe: ProbeCallback | None, epoch: int) -> Evaluated:
        task.eval()
        with torch.no_grad(), self._autocast():
            found = task.evaluate(self._batches(task, self._val)) if self._val is not None else {}
            if not math.isfinite(found.get("loss", 0.0)):
                text = f"the validation loss is {found['loss']} after epoch {epoch}"
                raise TrainingFailed(f"{text}: lower the learning rate")
            if probe is not None:
                found |= probe()
        return task, {f"val/{name}": value for name, value in found.items()}

    def _batches(self, task: Task, val: Batches) -> Iterable[Batch]:
        batches: Iterable[Batch] = val.epoch(0, device=self._device)
        return split_all(batches, task.micro_batch) if task.division == "images" else batches
