"""Settings and result of a training run."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from trainables.common.added import ADDED
from trainables.engine.compilation import Compile
from trainables.engine.optim.optimizers import Adam, Optimizer
from trainables.engine.optim.schedules import Constant, Schedule
from trainables.engine.precision import Precision

MOST = 1_000_000
"""Largest number of epochs, of steps in one and of images in a batch; larger ones are slips of the pen."""


@dataclass(frozen=True)
class FitSettings:
    """Length and method of a training run.

    Attributes:
        epochs: number of epochs from 1 up, each a pass over the training rows or `steps_per_epoch` batches.
        batch_size: images in a logical batch from 1 up, over all workers.
        optimizer: optimizer and its settings; Adam by default.
        schedule: learning-rate schedule, evaluated at every step; constant by default.
        precision: floating-point type of the forward pass; `auto` is bf16 where the device computes it natively, else
            float32, without TF32.
        clip_norm: largest L2 norm of the gradients, which are scaled down to it; None does not clip.
        evaluate_every: epochs between evaluations; the last epoch is always evaluated.
        overlap_evaluation: evaluate a copy of the networks in a background thread while the next epoch trains. Metrics
            stay equal but are reported one epoch later, so that a run that is stopped early has trained one epoch
            more. Needs the memory of a second network, and a processor or device that is not fully used.
        steps_per_epoch: batches in an epoch, so that the number of steps does not depend on the number of labels; None
            is a pass over the training rows.
        micro_batch: images that each worker processes at a time, from 2 up, by gradient accumulation or gradient
            caching (`trainables.engine.grad_accumulation`, `trainables.engine.grad_cache`); None processes the
            worker's part of a logical batch at once.
        recompute: checkpoint activations: blocks keep only their inputs and are computed again for the gradient. Takes
            less memory and about a third more time; gradients stay equal.
        compile: "auto" compiles the network's forward and backward pass by `torch.compile` where it can pay: on a GPU,
            with one worker (`trainables.engine.compilation`); "off" never does. Results then differ by rounding.

    Example:
        >>> settings = FitSettings(epochs=5, batch_size=16, optimizer=Adam(lr=1e-3))
        >>> settings.precision
        'auto'
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
    compile: Compile = field(default="off", metadata=ADDED)

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "evaluate_every", "steps_per_epoch"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name} is {value}, expected a whole number from 1 up")
            if value is not None and value > MOST:
                raise ValueError(f"{name} is {value:,}, expected at most {MOST:,}")
        if self.micro_batch is not None and self.micro_batch < 2:
            raise ValueError(f"micro_batch is {self.micro_batch}, expected a whole number from 2 up")
        for name in ("micro_batch", "recompute"):
            if self.compile == "auto" and getattr(self, name):
                raise ValueError(
                    f"compile is auto, but {name} changes batch norm at every step, which would be compiled again. "
                    f"Fix: set compile to off, or remove {name}"
                )
        if self.overlap_evaluation and self.schedule.follows_metric:
            name = type(self.schedule).__name__.lower()
            raise ValueError(
                f"overlap_evaluation is true, but the {name} schedule needs each evaluation before the next epoch. "
                "Fix: set overlap_evaluation to false"
            )

    def shortened(self) -> FitSettings:
        """Return the settings of a rehearsal: two epochs of one step, evaluated after the second.

        The run has a checkpoint between its steps. Batch, optimizer, schedule and precision stay.
        """
        return replace(self, epochs=2, steps_per_epoch=1, evaluate_every=2)


@dataclass
class FitResult:
    """Result of a training run.

    Attributes:
        metrics: metrics of the selected epoch by name; those of an evaluation are called `val/...`.
        epoch: number of the selected epoch, counted from 1: the best by the task's `monitor`, or the last.
        history: metrics of each epoch, in order.
    """

    metrics: dict[str, float]
    epoch: int
    history: list[dict[str, float]]
