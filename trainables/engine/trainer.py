"""The training loop of every stage."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from trainables.common.errors import CheckpointError, TrainingFailed
from trainables.common.seeds import derive
from trainables.data.sampling.batches import Batch, Batches
from trainables.engine.best_checkpoint import BestCheckpoint
from trainables.engine.compilation import compile_networks
from trainables.engine.gradients import gradient_strategy
from trainables.engine.precision import MixedPrecision, group_precision
from trainables.engine.runtime import Runtime, of_rank_0
from trainables.engine.settings import FitResult, FitSettings
from trainables.engine.task import Task
from trainables.engine.validator import Evaluation, ProbeCallback, Validator
from trainables.networks.recompute import recompute

HistoryCallback = Callable[[list[dict[str, float]]], None]
"""Function of the metrics of all epochs so far; it may raise TrainingFailed to end the run."""


def fit(
    task: Task,
    train: Batches,
    val: Batches | None,
    settings: FitSettings,
    runtime: Runtime,
    seed: int,
    on_epoch: HistoryCallback | None = None,
    probe: ProbeCallback | None = None,
) -> FitResult:
    """Train `task` and leave it with the weights of the selected epoch.

    A run that was killed resumes from its last checkpoint; on a CPU it ends bitwise equal to an uninterrupted one, as
    every random number is derived from the seed and the epoch, and the checkpoint holds everything else.

    Args:
        task: networks, loss and evaluation.
        train: batches to train on.
        val: batches to evaluate; None evaluates the probe only.
        settings: length and method of training.
        runtime: process or worker group that runs the training.
        seed: seed of the training's random numbers.
        on_epoch: called with the metrics of all epochs after each one; it may raise TrainingFailed.
        probe: function that returns more metrics at each evaluation.

    Raises:
        TrainingFailed: the loss is not finite, or `on_epoch` raised it.
        CheckpointError: the checkpoint in the runtime's folder is from another network or optimizer.

    Example:
        >>> from trainables.data.store.synthetic_store import synthetic_store
        >>> from trainables.engine.runtime import LocalRuntime
        >>> class Brightness(Task):  # learns the mean gray value
        ...     def __init__(self) -> None:
        ...         super().__init__()
        ...         self.gray = torch.nn.Parameter(torch.zeros(1))
        ...
        ...     def training_step(self, batch: Batch) -> dict[str, Tensor]:
        ...         return {"loss": (batch.images / 255 - self.gray).square().mean()}
        ...
        ...     def evaluate(self, batches):
        ...         raise NotImplementedError  # no validation batches in this example
        >>> store = synthetic_store(sequences=2, size=16, frames=4)
        >>> batches = Batches(store, store.rows("train"), batch_size=4)
        >>> result = fit(Brightness(), batches, None, FitSettings(epochs=3), LocalRuntime(), seed=0)
        >>> result.epoch, len(result.history)
        (3, 3)
    """
    trainer = Trainer(task, train, val, settings, runtime, seed, on_epoch, probe)
    try:
        return trainer.fit()
    finally:
        trainer.validator.close()
        runtime.flush()


class Trainer:
    """One training run: epochs, steps, evaluations, checkpoints and reports; `fit` describes its arguments."""

    def __init__(
        self,
        task: Task,
        train: Batches,
        val: Batches | None,
        settings: FitSettings,
        runtime: Runtime,
        seed: int,
        on_epoch: HistoryCallback | None = None,
        probe: ProbeCallback | None = None,
    ) -> None:
        self.task, self.train, self.settings = task, train, settings
        self.runtime, self.seed, self.on_epoch = runtime, seed, on_epoch
        self.precision = MixedPrecision(group_precision(settings.precision, runtime), runtime.device)
        task.micro_batch = settings.micro_batch
        if settings.recompute:
            recompute(task)
        model = runtime.wrap(task)
        if settings.compile == "auto":
            compile_networks(task, runtime.device, runtime.world_size)
        self.add_gradients = gradient_strategy(task, model, runtime, self.precision, settings.micro_batch)
        self.optimizer = settings.optimizer.build(task.parameter_groups())
        self.base_rates = [group["lr"] * group.get("lr_scale", 1.0) for group in self.optimizer.param_groups]
        self.validator = Validator(
            val, probe, runtime.device, self.precision.autocast, overlap=settings.overlap_evaluation
        )
        self.best = BestCheckpoint(task.monitor, higher_is_better=task.higher_is_better)
        self.steps = max(1, len(train)) * settings.epochs
        self.epoch, self.step = 0, 0
        self.history: list[dict[str, float]] = []

    def fit(self) -> FitResult:
        """Train from the last checkpoint to the last epoch and load the selected epoch's weights."""
        self._resume()
        while self.epoch < self.settings.epochs:
            torch.manual_seed(derive(self.seed, "epoch", self.epoch, self.runtime.rank))  # dropout
            metrics = self._train_epoch()
            self._complete_pending_epoch()
            self.epoch += 1
            self.history.append(metrics)
            self._evaluate()
            if not self.validator.pending:
                self._report()  # before the checkpoint: a run killed in between repeats the epoch instead of losing it
            self.runtime.save(self._state)
        self._complete_pending_epoch()
        self.task.eval()
        if self.best.weights is not None:
            self.task.load_state_dict(self.best.weights)
        selected = self.best.epoch or self.epoch
        return FitResult(self.history[selected - 1], selected, self.history)

    # Epochs: evaluation and reports

    def _evaluate(self) -> None:
        """Evaluate the last epoch if it is due; its result may be recorded by `_complete_pending_epoch` instead."""
        if self.epoch % self.settings.evaluate_every == 0 or self.epoch == self.settings.epochs:
            self._record(self.validator.evaluate(self.task, self.epoch))

    def _complete_pending_epoch(self) -> None:
        """Record and report the last epoch of the history if it was evaluated while another one trained."""
        evaluation = self.validator.collect()
        if evaluation is not None:
            self._record(evaluation)
            self._report()

    def _record(self, evaluation: Evaluation | None) -> None:
        if evaluation is not None:
            self.history[-1] |= of_rank_0(evaluation.metrics, self.runtime)
            self.best.update(evaluation.task, self.epoch, self.history)

    def _report(self) -> None:
        self.runtime.report(self.epoch, self.history[-1])
        if self.on_epoch is not None:
            self.on_epoch(self.history)

    # Steps

    def _train_epoch(self) -> dict[str, float]:
        self.task.before_epoch(self.epoch)
        self.task.train()
        started, images = time.perf_counter(), 0
        sums: dict[str, Tensor] = {}
        steps: Counter[str] = Counter()
        for batch in self.train.epoch(self.epoch, self.runtime.rank, self.runtime.world_size, self.runtime.device):
            for name, value in self._train_step(batch).items():
                sums[name] = sums.get(name, torch.zeros((), device=self.runtime.device)) + value
                steps[name] += 1
            images += batch.draw.total
        totals = self.runtime.mean(torch.stack([value.float() for value in sums.values()])).tolist()
        means = {name: total / steps[name] for name, total in zip(sums, totals, strict=True)}
        if not math.isfinite(means["loss"]):
            text = f"the loss is {means['loss']} in epoch {self.epoch + 1}"
            raise TrainingFailed(f"{text}. Fix: lower the learning rate")
        means["learning_rate"] = self.optimizer.param_groups[0]["lr"]
        means["images_per_second"] = images / (time.perf_counter() - started)
        return means

    def _train_step(self, batch: Batch) -> dict[str, Tensor]:
        self._set_learning_rates()
        self.optimizer.zero_grad(set_to_none=True)
        losses = self.add_gradients(batch)
        self.precision.unscale(self.optimizer)
        norm = self._clip_gradients()
        stepped = self.precision.step(self.optimizer)
        self.step += 1
        if stepped:
            self.task.after_step(self.step / self.steps)
        return {name: value.detach() for name, value in losses.items()} | {"gradient_norm": norm.detach()}

    def _set_learning_rates(self) -> None:
        schedule = self.settings.schedule
        monitored = self.best.monitored(self.history, schedule.monitor)
        factor = schedule.factor(self.step, self.steps, len(self.train), monitored)
        for group, rate in zip(self.optimizer.param_groups, self.base_rates, strict=True):
            group["lr"] = rate * factor

    def _clip_gradients(self) -> Tensor:
        """Scale the gradients down to the largest allowed norm and return the norm that they had."""
        trained = [p for group in self.optimizer.param_groups for p in group["params"]]
        norm = torch.nn.utils.get_total_norm([p.grad for p in trained if p.grad is not None])
        if self.settings.clip_norm is not None:
            torch.nn.utils.clip_grads_with_norm_(trained, self.settings.clip_norm, norm)
        return norm

    # Checkpoints

    def _state(self) -> dict[str, Any]:
        return {
            "task": self.task.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.precision.state_dict(),
            "epoch": self.epoch,
            "step": self.step,
            "history": self.history,
            **self.best.state(),
        }

    def _resume(self) -> None:
        """Load the runtime's checkpoint, if there is one, and evaluate its last epoch if that was interrupted."""
        state = self.runtime.load()
        if state is None:
            return
        try:
            self.task.load_state_dict(state["task"])
            self.optimizer.load_state_dict(state["optimizer"])
        except (torch.OutOfMemoryError, torch.AcceleratorError):
            raise  # not the checkpoint's fault
        except (KeyError, RuntimeError, ValueError) as error:
            raise CheckpointError(f"the checkpoint to resume from does not fit this run: {error}") from error
        self.precision.load_state_dict(state["scaler"])
        self.epoch, self.step, self.history = state["epoch"], state["step"], state["history"]
        self.best.restore(state)
        if not any(name.startswith("val/") for name in self.history[-1]):
            self._evaluate()
