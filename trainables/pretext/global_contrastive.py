"""Global contrast of slices (Chaitanya et al. 2020; Umapathy et al. 2022, section II.C): the encoder's stage."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from trainables.augment.policy import Policy
from trainables.common.errors import DataError
from trainables.data.store.frames import FrameStore
from trainables.networks.backbones import Backbone
from trainables.pretext.method import BackboneMethod
from trainables.pretext.monitoring.embedding import EmbeddingTask, widened
from trainables.pretext.parts.gather import first_row, gather
from trainables.pretext.parts.nt_xent import nt_xent
from trainables.pretext.parts.projection import mlp


@dataclass(frozen=True)
class GlobalContrastive(BackboneMethod):
    """Contrast of whole images, the stage before `local_contrastive`.

    Attributes:
        temperature: of the softmax, above 0; 0.1 in both papers.
        partitions: parts into which every volume is divided along its slices: images of the same part, of whatever
            volume, attract each other and only those of other parts repel (Chaitanya et al. 2020, strategy G^D; 4 parts
            there). 1 knows no parts: every other image repels, as Umapathy et al. have it. Frames of a cycle have none.
        projection: dimensions of the embeddings, from 2 up; 128 in the paper.
    """

    temperature: float = 0.1
    partitions: int = 1
    projection: int = 128

    def __post_init__(self) -> None:
        if not self.temperature > 0 or self.partitions < 1 or self.projection < 2:
            text = f"temperature {self.temperature}, partitions {self.partitions}, projection {self.projection}"
            raise ValueError(f"{text}: expected above 0, at least 1 and at least 2")

    def rows(self, store: FrameStore, rows: np.ndarray) -> np.ndarray:
        """All of them; where volumes are divided into parts, there must be some."""
        if self.partitions > 1 and len(rows) and not store.index["stack"][rows].any():
            raise DataError(f"partitions is {self.partitions}, but the dataset has no volumes of slices; expected 1")
        return rows

    def build(self, backbone: Backbone, augment: Policy, store: FrameStore) -> GlobalTask:
        """The task."""
        width = backbone.feature_channels
        projector = mlp(width, width, self.projection, output_norm=True)
        return GlobalTask(self, backbone, projector, augment, store)


class GlobalTask(EmbeddingTask):
    """Trains a backbone and a projection head by NT-Xent, or by its form for parts of volumes."""

    def __init__(
        self, settings: GlobalContrastive, backbone: Backbone, projector: nn.Module, augment: Policy, store: FrameStore
    ) -> None:
        super().__init__(backbone, projector, augment, store)
        self.settings = settings
        self._parts = torch.from_numpy(parts_of(store, settings.partitions))

    def compare(self, one: Tensor, two: Tensor, rows: Tensor, *, alone: bool = False) -> dict[str, Tensor]:
        """The loss."""
        if self.settings.partitions == 1:
            loss, accuracy = nt_xent(one, two, self.settings.temperature, alone=alone)
            return {"loss": loss, "contrastive_accuracy": accuracy}
        parts = self._parts[rows.cpu()].to(one.device)
        return {"loss": part_contrast(one, two, parts, self.settings.temperature, alone=alone)}


def parts_of(store: FrameStore, partitions: int) -> np.ndarray:
    """The part of its volume that each frame lies in, int64 `(N,)`; a frame that is no slice is a part of its own."""
    index = store.index
    parts = partitions + np.arange(len(index), dtype=np.int64)
    stack = index["stack"] == 1
    if stack.any():
        last = np.zeros(int(index["sequence"].max()) + 1, np.int64)
        np.maximum.at(last, index["sequence"][stack], index["frame"][stack])
        slices = last[index["sequence"][stack]] + 1
        parts[stack] = index["frame"][stack] * partitions // slices
    return parts


def part_contrast(one: Tensor, two: Tensor, parts: Tensor, temperature: float, *, alone: bool = False) -> Tensor:
    """Each view finds every view of its own part among those of all other parts.

    Args:
        one: embeddings `(B, D)` of this worker's first views.
        two: of its second views.
        parts: of its images, int64 `(B,)`.
        temperature: above 0.
        alone: look at this worker's views only; else at those of all workers.

    Returns:
        The mean over this worker's views of the mean over their positives, in float32 or wider.
    """
    with torch.autocast(one.device.type, enabled=False):
        one, two = (F.normalize(z, dim=1) for z in widened(one, two))
        first, second = (one, two) if alone else (gather(one), gather(two))
        # Exact in floating point: there are fewer parts than whole numbers that float64 holds.
        every_part = parts if alone else gather(parts.double()[:, None])[:, 0].long()
        every, of_every = torch.cat([first, second]), every_part.repeat(2)
        own = torch.arange(len(one), device=one.device) + (0 if alone else first_row(one))
        itself = torch.cat([own, own + len(first)])
        similarity = torch.cat([one, two]) @ every.T / temperature
        same = parts.repeat(2)[:, None] == of_every[None]
        others = similarity.masked_fill(same, float("-inf")).logsumexp(1, keepdim=True)
        lost = torch.logaddexp(similarity, others) - similarity  # -log of the share of each possible positive
        positive = same.scatter(1, itself[:, None], value=False)
        return ((lost * positive).sum(1) / positive.sum(1)).mean()
