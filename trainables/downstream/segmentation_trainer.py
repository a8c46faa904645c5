"""Interface of segmentation trainers, and their result."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from trainables.common.label_counts import LabelCounts
from trainables.downstream.data import DownstreamData
from trainables.downstream.segmentation import Predictions
from trainables.engine.runtime import Runtime
from trainables.engine.settings import FitResult


@dataclass(frozen=True)
class FinetuneResult:
    """Result of a downstream run.

    Attributes:
        state: weights on the CPU; with cross-validation each key begins with the fold's number and a dot.
        fitted: history and metrics of the training.
        labels: numbers of labelled training and validation subjects.
        test: predictions on the test split; None without a test.
        val: predictions on the validation subjects' complete sequences; None if they were not requested.
    """

    state: dict[str, Tensor]
    fitted: FitResult
    labels: LabelCounts
    test: Predictions | None
    val: Predictions | None = None


class SegmentationTrainer(Protocol):
    """Trainer of a segmentation network on labelled folds.

    An implementation is constructed from the stage's settings, the network's settings, pretrained weights and a scratch
    folder (see `trainables.downstream.trainers`).
    """

    def train(self, data: DownstreamData, runtime: Runtime, seed: int) -> FinetuneResult:
        """Train on every fold and segment the rows that `data` selects.

        Args:
            data: stores, folds and evaluation rows.
            runtime: device, workers, checkpoints and reporting.
            seed: seed of weights, batch order and augmentation.
        """
        ...
