"""Tasks: the networks, loss and evaluation that the training loop runs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Any, Literal

from torch import Tensor, nn

from trainables.data.sampling.batches import Batch

Division = Literal["images", "features", "none"]
"""Way in which the loss of a batch can be computed from micro-batches.

- "images": the loss is a mean over images; gradients are accumulated (`trainables.engine.grad_accumulation`).
- "features": the loss compares images by their features; these are cached (`trainables.engine.grad_cache`).
- "none": the loss needs all images of the batch at once.
"""


class Task(nn.Module, ABC):
    """Networks to train, the loss of a batch, and the evaluation.

    Attributes:
        monitor: name of the evaluation metric that selects the best epoch; None selects the last epoch.
        higher_is_better: True if a larger `monitor` is better.
        division: way in which the loss of a batch can be computed from micro-batches; "none" by default.
        micro_batch: most images that are processed at a time, set by the training loop; None is the batch at once.

    Example:
        >>> class Brightness(Task):
        ...     def __init__(self) -> None:
        ...         super().__init__()
        ...         self.bias = nn.Parameter(Tensor([0.0]))
        ...
        ...     def training_step(self, batch: Batch) -> dict[str, Tensor]:
        ...         return {"loss": (batch.images.float().mean() - self.bias).square().sum()}
        ...
        ...     def evaluate(self, batches: Iterable[Batch]) -> dict[str, float]:
        ...         losses = [float(self.training_step(batch)["loss"]) for batch in batches]
        ...         return {"loss": sum(losses) / len(losses)}
        >>> Brightness().division
        'none'
    """

    monitor: str | None = None
    higher_is_better: bool = True
    division: Division = "none"
    micro_batch: int | None = None

    @abstractmethod
    def training_step(self, batch: Batch) -> dict[str, Tensor]:
        """Return scalar losses of the batch by name; the one called `loss` is minimized."""

    @abstractmethod
    def evaluate(self, batches: Iterable[Batch]) -> dict[str, float]:
        """Return metrics by name over one pass of the validation batches.

        The task is in evaluation mode and gradients are off. A metric called `loss` that is not finite ends the run.
        """

    def before_epoch(self, epoch: int) -> None:
        """Prepare for a training epoch, counted from 0; a resumed run calls this for the remaining epochs only."""

    def after_step(self, progress: float) -> None:
        """Update state that follows the weights, such as an EMA, after each optimizer step that was not skipped.

        Args:
            progress: fraction of all steps that are done, in (0, 1].
        """

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Return the optimizer's parameter groups; `lr_scale` in a group multiplies its learning rate."""
        return [{"params": [p for p in self.parameters() if p.requires_grad]}]

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Run the training step as a module call, which data-parallel wrappers hook into."""
        return self.training_step(batch)
