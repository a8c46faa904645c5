"""Global contrastive pretraining of the encoder (Chaitanya et al. 2020; Umapathy et al. 2022, section II.C)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from trainables.augment.batch_rng import to_device_async
from trainables.augment.policy import Policy
from trainables.common.errors import DataError
from trainables.data.store.frames import FrameStore
from trainables.networks.backbones import Backbone
from trainables.pretext.method import BackboneMethod
from trainables.pretext.monitoring.signs import MATCHING, PARTITION, Sign
from trainables.pretext.parts.embedding_task import EmbeddingTask, at_least_float32
from trainables.pretext.parts.gather import first_row, gather
from trainables.pretext.parts.nt_xent import nt_xent
from trainables.pretext.parts.projection import mlp


@dataclass(frozen=True)
class GlobalContrastive(BackboneMethod):
    """Settings of the contrast of whole images, the stage before `local_contrastive`.

    Attributes:
        temperature: softmax temperature, above 0; 0.1 in both papers.
        partitions: number of partitions of every volume along its slices, from 1 up. Images of one partition, of any
            volume, are positives, images of other partitions negatives (Chaitanya et al. 2020, strategy G^D, 4
            partitions). With 1 every other image is a negative (Umapathy et al. 2022). Cine frames have no partition.
        projection: embedding dimensions, from 2 up; 128 in the paper.
    """

    compares_views: ClassVar[bool] = True

    temperature: float = 0.1
    partitions: int = 1
    projection: int = 128

    def __post_init__(self) -> None:
        if not self.temperature > 0 or self.partitions < 1 or self.projection < 2:
            text = f"temperature {self.temperature}, partitions {self.partitions}, projection {self.projection}"
            raise ValueError(f"{text}: expected above 0, at least 1 and at least 2")

    def rows(self, store: FrameStore, rows: np.ndarray) -> np.ndarray:
        """Return all rows; raise DataError where partitions need volumes and the dataset has none."""
        if self.partitions > 1 and len(rows) and not store.index["stack"][rows].any():
            raise DataError(f"partitions is {self.partitions}, but the dataset has no volumes of slices; expected 1")
        return rows

    @property
    def sign(self) -> Sign:
        """Views that find their partner in the batch, or another view of their partition."""
        return MATCHING if self.partitions == 1 else PARTITION

    def build(self, backbone: Backbone, augment: Policy, store: FrameStore) -> GlobalTask:
        """Return the task that trains `backbone`."""
        width = backbone.feature_channels
        projector = mlp(width, width, self.projection, output_norm=True)
        return GlobalTask(self, backbone, projector, augment, store)


class GlobalTask(EmbeddingTask):
    """Training of a backbone and a projection head by NT-Xent or by the contrast of partitions."""

    def __init__(
        self, settings: GlobalContrastive, backbone: Backbone, projector: nn.Module, augment: Policy, store: FrameStore
    ) -> None:
        super().__init__(backbone, projector, augment, store)
        self.settings = settings
        self._parts = torch.from_numpy(partition_of(store, settings.partitions))

    def compare(self, one: Tensor, two: Tensor, rows: Tensor, *, local_only: bool = False) -> dict[str, Tensor]:
        """Return the contrastive loss."""
        if self.settings.partitions == 1:
            loss, accuracy = nt_xent(one, two, self.settings.temperature, local_only=local_only)
            return {"loss": loss, "contrastive_accuracy": accuracy}
        parts = to_device_async(self._parts[rows.cpu()], one.device)
        return {"loss": partition_contrast(one, two, parts, self.settings.temperature, local_only=local_only)}

    def diagnostics(self, embeddings: Tensor, rows: Tensor) -> dict[str, Tensor]:
        """Return how well views find their partition; nothing without partitions, where views find their image."""
        if self.settings.partitions == 1:
            return {}
        accuracy, chance = partition_accuracy(embeddings, to_device_async(self._parts[rows.cpu()], embeddings.device))
        return {"partition_accuracy": accuracy, "partition_chance": chance}


def partition_of(store: FrameStore, partitions: int) -> np.ndarray:
    """Return each frame's partition of its volume, int64 `(N,)`; a frame that is not a slice has its own."""
    index = store.index
    parts = partitions + np.arange(len(index), dtype=np.int64)
    stack = index["stack"] == 1
    if stack.any():
        last = np.zeros(int(index["sequence"].max()) + 1, np.int64)
        np.maximum.at(last, index["sequence"][stack], index["frame"][stack])
        slices = last[index["sequence"][stack]] + 1
        parts[stack] = index["frame"][stack] * partitions // slices
    return parts


def partition_accuracy(embeddings: Tensor, parts: Tensor) -> tuple[Tensor, Tensor]:
    """Return the fraction of views whose most similar view of other images has their partition, and its chance value.

    Views of images whose partition no other image of the batch has do not count.

    Args:
        embeddings: embeddings `(2 B, D)`, the first view's rows first.
        parts: partition of each image, int64 `(B,)`.
    """
    views, of_view = F.normalize(embeddings.float(), dim=1), parts.repeat(2)
    image = torch.arange(len(parts), device=parts.device).repeat(2)
    other = image[:, None] != image[None]
    same = (of_view[:, None] == of_view[None]) & other
    counted = same.any(1)
    nearest = (views @ views.T).masked_fill(~other, -2.0).argmax(1)
    hits = (of_view[nearest] == of_view)[counted].float()
    chance = (same.sum(1) / other.sum(1).clamp_min(1))[counted]
    return (hits.mean(), chance.mean()) if counted.any() else (hits.new_zeros(()), hits.new_ones(()))


def partition_contrast(
    one: Tensor, two: Tensor, parts: Tensor, temperature: float, *, local_only: bool = False
) -> Tensor:
    """Return the contrast of each view's positives (its own partition) with the views of other partitions.

    Args:
        one: embeddings `(B, D)` of this worker's first views.
        two: embeddings `(B, D)` of its second views.
        parts: partition of each image, int64 `(B,)`.
        temperature: softmax temperature, above 0.
        local_only: True for this worker's views only; False for those of all workers.

    Returns:
        The mean over this worker's views of the mean over their positives, in float32 or wider.
    """
    with torch.autocast(one.device.type, enabled=False):
        one, two = (F.normalize(z, dim=1) for z in at_least_float32(one, two))
        first, second = (one, two) if local_only else (gather(one), gather(two))
        # Exact: float64 represents all partition numbers as whole numbers.
        every_part = parts if local_only else gather(parts.double()[:, None])[:, 0].long()
        every, of_every = torch.cat([first, second]), every_part.repeat(2)
        own = torch.arange(len(one), device=one.device) + (0 if local_only else first_row(one))
        itself = torch.cat([own, own + len(first)])
        similarity = torch.cat([one, two]) @ every.T / temperature
        same = parts.repeat(2)[:, None] == of_every[None]
        others = similarity.masked_fill(same, float("-inf")).logsumexp(1, keepdim=True)
        lost = torch.logaddexp(similarity, others) - similarity  # -log of the share of each possible positive
        positive = same.scatter(1, itself[:, None], value=False)
        return ((lost * positive).sum(1) / positive.sum(1)).mean()
