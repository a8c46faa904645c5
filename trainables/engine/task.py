"""What the training loop trains and judges."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Any, Literal

from torch import Tensor, nn

from trainables.data.sampling.batches import Batch


class Task(nn.Module, ABC):
    """What is trained: the networks, the loss of a batch, and how to judge the result.

    Attributes:
        monitor: the evaluation metric by which the best epoch is kept, or None to keep the last.
        higher_is_better: its direction.
        division: how the loss of a batch can be had in parts: "images" where it is a mean over images, "features"
            where it compares images by their features (see `GradCacheTask`), "none" where it
            cannot.
        micro_batch: images that may be taken at a time; the loop sets it.
    """

    monitor: str | None = None
    higher_is_better: bool = True
    division: Literal["images", "features", "none"] = "none"
    micro_batch: int | None = None

    @abstractmethod
    def training_step(self, batch: Batch) -> dict[str, Tensor]:
        """Scalar losses of the batch; the one called `loss` is minimised."""

    @abstractmethod
    def evaluate(self, batches: Iterable[Batch]) -> dict[str, float]:
        """Metrics over an epoch of evaluation batches, with the task in evaluation mode and no gradients."""

    def before_epoch(self, epoch: int) -> None:
        """Called before each training epoch, counted from 0; an interrupted run calls it for those still to come."""

    def after_step(self, progress: float) -> None:
        """Called after each optimizer step that was taken; `progress` is the share of all steps done, in (0, 1]."""

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Optimizer groups; `lr_scale` in a group multiplies the learning rate."""
        return [{"params": [p for p in self.parameters() if p.requires_grad]}]

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """The training step, as the module call that data-parallel wrappers hook into."""
        return self.training_step(batch)
