"""Early end of pretrainings that have collapsed or diverged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from trainables.common.errors import TrainingFailed


@dataclass(frozen=True)
class CollapseGuard:
    """Thresholds that end a pretraining with collapsed embeddings or a diverged loss.

    Attributes:
        embedding_std: embeddings below this standard deviation are collapsed; 1 is a uniform spread, 0 one point.
        effective_rank: embeddings below this effective rank are collapsed; 1 is a line.
        divergence: a training loss above this multiple of the first epoch's has diverged, above 1.
        evaluations: consecutive collapsed evaluations, or consecutive epochs with a diverged loss, that end the run,
            from 1 up.
    """

    embedding_std: float = 0.01
    effective_rank: float = 1.05
    divergence: float = 100.0
    evaluations: int = 3

    def __post_init__(self) -> None:
        if self.evaluations < 1:
            raise ValueError(f"evaluations is {self.evaluations}, expected a whole number from 1 up")
        if not self.divergence > 1:
            raise ValueError(f"divergence is {self.divergence}, expected a number above 1")

    def check(self, history: Sequence[Mapping[str, float]]) -> None:
        """Check the metrics of all epochs so far.

        Raises:
            TrainingFailed: the last evaluations are collapsed, or the last losses diverged.
        """
        self._check_embeddings(history)
        self._check_loss([row["loss"] for row in history if "loss" in row])

    def _check_embeddings(self, history: Sequence[Mapping[str, float]]) -> None:
        """Check for collapse; epochs without embedding metrics are skipped."""
        spread, rank = "val/embedding_std", "val/effective_rank"
        last = [row for row in history if spread in row][-self.evaluations :]
        if len(last) < self.evaluations or spread not in history[-1]:
            return
        if all(not (row[spread] >= self.embedding_std and row[rank] >= self.effective_rank) for row in last):
            now = last[-1]
            found = f"standard deviation {now[spread]:.3g}, effective rank {now[rank]:.3g}"
            raise TrainingFailed(
                f"the embeddings have collapsed: {found} after {len(history)} epochs. Fix: lower the learning rate, "
                "increase the batch size or strengthen the augmentation"
            )

    def _check_loss(self, losses: Sequence[float]) -> None:
        """Check for divergence; a loss that can be negative, such as a similarity, is skipped."""
        last = losses[-self.evaluations :]
        if len(losses) <= self.evaluations or losses[0] <= 0:
            return
        if min(last) > self.divergence * losses[0]:
            raise TrainingFailed(
                f"the loss has diverged: {last[-1]:.3g} after {len(losses)} epochs, {losses[0]:.3g} in the first. "
                "Fix: lower the learning rate"
            )
