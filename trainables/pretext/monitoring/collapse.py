"""Signs of collapse in a batch of embeddings, and what is done about them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from trainables.common.errors import TrainingFailed


@torch.no_grad()
def indicators(embeddings: Tensor, partners: Tensor | None = None) -> dict[str, Tensor]:
    """How the embeddings `(B, D)` spread; nothing of a single image, nan where one is not finite.

    Returns:
        `embedding_std`: mean over dimensions of the standard deviation of the normalised embeddings, times sqrt(D); 1
        when they fill the sphere evenly, 0 when all are one point.
        `effective_rank`: exp of the entropy of the normalised singular values of the centred embeddings (Roy and
        Vetterli 2007), from 1 to min(B, D).
        With `partners`, the embeddings of the other view (Wang and Isola 2020): `alignment`, the mean squared distance
        of the two, and `uniformity`, log mean exp(-2 d^2) over pairs of different images.
    """
    if len(embeddings) < 2:
        return {}
    z = F.normalize(embeddings.float(), dim=1)
    centred = z - z.mean(0)
    singular = torch.linalg.svdvals(centred) if centred.isfinite().all() else centred.new_full((1,), torch.nan)
    share = singular / singular.sum().clamp_min(1e-12)
    entropy = -(share * share.clamp_min(1e-12).log()).sum()
    found = {
        "embedding_std": z.std(0).mean() * z.shape[1] ** 0.5,
        "effective_rank": entropy.exp(),
    }
    if partners is not None:
        other = F.normalize(partners.float(), dim=1)
        found["alignment"] = (z - other).square().sum(1).mean()
        found["uniformity"] = torch.pdist(z).square().mul(-2).exp().mean().log()
    return found


@dataclass(frozen=True)
class CollapseGuard:
    """Ends a pretraining whose embeddings have become one point or one line, or whose loss has run away.

    Attributes:
        embedding_std: below this the embeddings count as collapsed; 1 is an even spread, 0 one point.
        effective_rank: likewise; 1 is a line.
        divergence: a training loss of more than so many times the first epoch's counts as run away, above 1.
        evaluations: in a row that show a collapse before the run is ended, or epochs in a row with such a loss, from 1
            up.
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
        """Look at a run's epochs so far.

        Raises:
            TrainingFailed: the last of them all show collapse, or a loss that has run away.
        """
        self._check_embeddings(history)
        self._check_loss([row["loss"] for row in history if "loss" in row])

    def _check_embeddings(self, history: Sequence[Mapping[str, float]]) -> None:
        """Epochs without embeddings say nothing."""
        spread, rank = "val/embedding_std", "val/effective_rank"
        last = [row for row in history if spread in row][-self.evaluations :]
        if len(last) < self.evaluations or spread not in history[-1]:
            return
        if all(not (row[spread] >= self.embedding_std and row[rank] >= self.effective_rank) for row in last):
            now = last[-1]
            found = f"standard deviation {now[spread]:.3g}, effective rank {now[rank]:.3g}"
            raise TrainingFailed(
                f"the embeddings have collapsed: {found} after {len(history)} epochs; lower the learning rate, enlarge "
                "the batch or strengthen the augmentation"
            )

    def _check_loss(self, losses: Sequence[float]) -> None:
        """A loss that may be negative, as a similarity, says nothing."""
        last = losses[-self.evaluations :]
        if len(losses) <= self.evaluations or losses[0] <= 0:
            return
        if min(last) > self.divergence * losses[0]:
            raise TrainingFailed(
                f"the loss has run away: {last[-1]:.3g} after {len(losses)} epochs, from {losses[0]:.3g} in the first; "
                "lower the learning rate"
            )
