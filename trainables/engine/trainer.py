"""The one training loop that every stage runs."""

from __future__ import annotations

import contextlib
import math
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal, cast

import torch
from torch import Tensor

from trainables.common.errors import CheckpointError, TrainingFailed, UserError
from trainables.common.seeds import derive
from trainables.data.sampling.batches import Batch, Batches
from trainables.engine.micro_batches import GradCacheTask, accumulate_gradients, grad_cache, split
from trainables.engine.optim.optimizers import Adam, Optimizer
from trainables.engine.optim.schedules import Constant, Schedule
from trainables.engine.runtime import Runtime
from trainables.engine.task import Task
from trainables.engine.validator import Evaluation, ProbeCallback
from trainables.networks.recompute import recompute

Watch = Callable[[list[dict[str, float]]], None]
"""Called with the metrics of all epochs so far."""

Precision = Literal["auto", "float32", "bf16", "fp16"]


@dataclass(frozen=True)
class FitSettings:
    """How long and how to train.

    Attributes:
        epochs: passes over the training rows, or as many times `steps_per_epoch` batches.
        batch_size: of the logical batch, over all workers.
        optimizer: and its settings.
        schedule: of the learning rate, stepped every batch.
        precision: of the forward pass; `auto` is bf16 where the device computes it natively, else float32.
        clip_norm: gradients are scaled down to this L2 norm; None leaves them.
        evaluate_every: epochs between evaluations; the last epoch is always evaluated.
        overlap_evaluation: evaluate a copy of the networks in a thread while the next epoch trains: the same metrics,
            told an epoch later, so that what is stopped early has trained one epoch more. It takes the memory of a
            second network, and a processor or a device with time to spare.
        micro_batch: images that each worker takes at a time, from 2 up, the gradients of a logical batch being made in
            the memory of so many; None takes its whole share at once. `trainables.engine.micro_batches` says what stays
            the same and what does not.
        recompute: let the networks' blocks keep their inputs only and compute the rest again for the gradient: less
            memory, for about a third more time, and the same gradients.
        steps_per_epoch: batches in an epoch, so that a run takes as many steps whatever the number of labels; None for
            a pass over the training rows.
    """

    epochs: int = 100
    batch_size: int = 32
    optimizer: Optimizer = field(default_factory=Adam)
    schedule: Schedule = field(default_factory=Constant)
    precision: Precision = "auto"
    clip_norm: float | None = None
    evaluate_every: int = 1
    overlap_evaluation: bool = False
    steps_per_epoch: int | None = None
    micro_batch: int | None = None
    recompute: bool = False

    def __post_init__(self) -> None:
        if self.micro_batch is not None and self.micro_batch < 2:
            raise ValueError(f"micro_batch is {self.micro_batch}, expected a whole number from 2 up")
        if self.steps_per_epoch is not None and self.steps_per_epoch < 1:
            raise ValueError(f"steps_per_epoch is {self.steps_per_epoch}, expected a whole number from 1 up")
        if self.overlap_evaluation and self.schedule.follows_metric:
            name = type(self.schedule).__name__.lower()
            raise ValueError(f"overlap_evaluation is true, but the {name} schedule needs each evaluation at once")


@dataclass
class FitResult:
    """What a finished run has to show.

    Attributes:
        metrics: of the kept epoch.
        epoch: the kept epoch (1-based count of epochs done).
        history: one row of metrics an epoch.
    """

    metrics: dict[str, float]
    epoch: int
    history: list[dict[str, float]]


def fit(
    task: Task,
    train: Batches,
    val: Batches | None,
    settings: FitSettings,
    runtime: Runtime,
    seed: int,
    watch: Watch | None = None,
    probe: ProbeCallback | None = None,
) -> FitResult:
    """Train `task`, leaving it holding the kept epoch's weights.

    A run that was killed goes on from its last checkpoint and ends bitwise the same on a CPU as one that was not:
    everything random is named by seed and epoch, and the checkpoint holds the rest.

    `watch` is told all epochs' metrics after each, and may end the run by raising TrainingFailed. `probe` adds its
    metrics at each evaluation.

    Raises:
        TrainingFailed: the loss is no longer finite, or `watch` says so.
        CheckpointError: the checkpoint in the runtime's folder belongs to another network or optimizer.
    """
    run = _Run(task, train, val, settings, runtime, seed, watch, probe)
    try:
        return run.fit()
    finally:
        run.evaluation.flush()
        runtime.flush()


class _Run:
    """One call of `fit`: the loop's state and its parts."""

    def __init__(
        self,
        task: Task,
        train: Batches,
        val: Batches | None,
        settings: FitSettings,
        runtime: Runtime,
        seed: int,
        watch: Watch | None,
        probe: ProbeCallback | None,
    ) -> None:
        self.watch = watch
        if settings.micro_batch is not None and task.division == "none":
            raise UserError(f"micro_batch: the loss of {type(task).__name__} cannot be had in parts; leave it out")
        task.micro_batch = settings.micro_batch
        self.task, self.train, self.settings = task, train, settings
        self.runtime, self.seed = runtime, seed
        if settings.recompute:
            recompute(task)
        self.model = runtime.wrap(task)
        self.optimizer = settings.optimizer.build(task.parameter_groups())
        self.base_rates = [group["lr"] * group.get("lr_scale", 1.0) for group in self.optimizer.param_groups]
        self.steps = max(1, len(train)) * settings.epochs
        self.dtype = autocast_dtype(settings.precision, runtime.device)
        self.evaluation = Evaluation(val, probe, runtime.device, self._autocast, beside=settings.overlap_evaluation)
        self.scaler = torch.amp.GradScaler(enabled=self.dtype is torch.float16)
        self.epoch, self.step = 0, 0
        self.history: list[dict[str, float]] = []
        self.best_epoch, self.best_state = 0, None  # type: int, dict[str, Tensor] | None

    def fit(self) -> FitResult:
        self._resume()
        while self.epoch < self.settings.epochs:
            torch.manual_seed(derive(self.seed, "epoch", self.epoch, self.runtime.rank))  # dropout
            metrics = self._train_epoch()
            self._end_epoch()
            self.epoch += 1
            self.history.append(metrics)
            self._begin_evaluation()
            if not self.settings.overlap_evaluation:
                self._take_evaluation()
            self.runtime.save(self._state)
            if not self.evaluation.open:
                self._tell()
        self._end_epoch()
        self.task.eval()
        if self.best_state is not None:
            self.task.load_state_dict(self.best_state)
        kept = self.best_epoch or self.epoch
        return FitResult(self.history[kept - 1], kept, self.history)

    def _end_epoch(self) -> None:
        """What is left to do for the newest epoch, if it was evaluated while another trained."""
        if self.evaluation.open:
            self._take_evaluation()
            self._tell()

    def _begin_evaluation(self) -> None:
        due = self.epoch % self.settings.evaluate_every == 0 or self.epoch == self.settings.epochs
        if due and self.evaluation.wanted:
            self.evaluation.begin(self.task, self.epoch)

    def _take_evaluation(self) -> None:
        if self.evaluation.open:
            judged, metrics = self.evaluation.end()
            self.history[-1] |= metrics
            self._keep_if_best(judged)

    def _tell(self) -> None:
        self.runtime.report(self.epoch, self.history[-1])
        if self.watch is not None:
            self.watch(self.history)

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
            raise TrainingFailed(f"the loss is {means['loss']} in epoch {self.epoch + 1}: lower the learning rate")
        means["learning_rate"] = self.optimizer.param_groups[0]["lr"]
        means["images_per_second"] = images / (time.perf_counter() - started)
        return means

    def _train_step(self, batch: Batch) -> dict[str, Tensor]:
        self._set_rates()
        self.optimizer.zero_grad(set_to_none=True)
        losses = self._gradients(batch)
        self.scaler.unscale_(self.optimizer)
        norm = self._clip()
        scale = self.scaler.get_scale()
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.step += 1
        if self.scaler.get_scale() >= scale:
            self.task.after_step(self.step / self.steps)
        return {name: value.detach() for name, value in losses.items()} | {"gradient_norm": norm.detach()}

    def _clip(self) -> Tensor:
        """The gradients' norm, before they are scaled down to the largest that is let through."""
        trained = [p for group in self.optimizer.param_groups for p in group["params"]]
        norm = torch.nn.utils.get_total_norm([p.grad for p in trained if p.grad is not None])
        if self.settings.clip_norm is not None:
            torch.nn.utils.clip_grads_with_norm_(trained, self.settings.clip_norm, norm)
        return norm

    def _gradients(self, batch: Batch) -> dict[str, Tensor]:
        """Leave the gradients of a batch's loss in the parameters; gives its losses."""
        parts = split(batch, self.settings.micro_batch)
        if len(parts) == 1:
            with self._autocast():
                losses: dict[str, Tensor] = self.model(batch)
            self._backward(losses["loss"])
            return losses
        with getattr(self.model, "no_sync", contextlib.nullcontext)():  # the workers share the parts' sum, once
            if self.task.division == "images":
                losses = accumulate_gradients(self.task, parts, self._backward, self._autocast)
            else:
                losses = grad_cache(cast(GradCacheTask, self.task), parts, self._backward, self._autocast)
        if self.runtime.world_size > 1:
            for parameter in self.task.parameters():
                if parameter.grad is not None:
                    parameter.grad.copy_(self.runtime.mean(parameter.grad))
        return losses

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.runtime.device.type, dtype=self.dtype, enabled=self.dtype is not torch.float32)

    def _backward(self, loss: Tensor) -> None:
        self.scaler.scale(loss).backward()

    def _set_rates(self) -> None:
        factor = self.settings.schedule.factor(self.step, self.steps, len(self.train), self._monitored())
        for group, rate in zip(self.optimizer.param_groups, self.base_rates, strict=True):
            group["lr"] = rate * factor

    def _monitored(self) -> list[float]:
        """The monitored metric of each evaluated epoch so far, negated where lower is better.

        A task that keeps its last epoch names none; its schedule then follows the validation loss.
        """
        sign = 1.0 if self.task.monitor is not None and self.task.higher_is_better else -1.0
        key = f"val/{self.task.monitor or 'loss'}"
        return [sign * row[key] for row in self.history if key in row]

    def _keep_if_best(self, judged: Task) -> None:
        if self.task.monitor is None or f"val/{self.task.monitor}" not in self.history[-1]:
            return
        values = self._monitored()
        if len(values) == 1 or values[-1] > max(values[:-1]):
            self.best_epoch = self.epoch
            self.best_state = {name: value.detach().cpu().clone() for name, value in judged.state_dict().items()}

    def _state(self) -> dict[str, Any]:
        return {
            "task": self.task.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
            "epoch": self.epoch,
            "step": self.step,
            "history": self.history,
            "best_epoch": self.best_epoch,
            "best_state": self.best_state,
        }

    def _resume(self) -> None:
        state = self.runtime.load()
        if state is None:
            return
        try:
            self.task.load_state_dict(state["task"])
            self.optimizer.load_state_dict(state["optimizer"])
        except (KeyError, RuntimeError, ValueError) as error:
            raise CheckpointError(f"the checkpoint to resume from does not fit this run: {error}") from error
        self.scaler.load_state_dict(state["scaler"])
        self.epoch, self.step, self.history = state["epoch"], state["step"], state["history"]
        self.best_epoch, self.best_state = state["best_epoch"], state["best_state"]
        if self.settings.overlap_evaluation and not any(name.startswith("val/") for name in self.history[-1]):
            self._begin_evaluation()


def autocast_dtype(precision: Precision, device: torch.device) -> torch.dtype:
    """The forward pass's type. `auto`: bf16 where the device computes it natively, else float32."""
    if precision == "auto":
        native = torch.cuda.is_bf16_supported() if device.type == "cuda" else cpu_has_bf16()
        return torch.bfloat16 if native else torch.float32
    return {"float32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[precision]


def cpu_has_bf16() -> bool:
    """Whether this CPU multiplies bf16 natively (AVX-512 BF16 or AMX); elsewhere bf16 is emulated and slower."""
    checks = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(getattr(torch.cpu, name, bool)() for name in checks)
