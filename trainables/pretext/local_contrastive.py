"""Local contrastive pretraining of the decoder (Chaitanya et al. 2020; Umapathy et al. 2022, section II.C)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from trainables.augment.batch_rng import BatchRNG, to_device_async
from trainables.augment.policy import Policy
from trainables.common.errors import UserError
from trainables.data.sampling.batches import Batch
from trainables.data.store.frames import FrameStore
from trainables.engine.task import Task
from trainables.networks.backbones import Backbone
from trainables.networks.normalise import Normalise
from trainables.pretext.method import NetworkMethod, average_metrics
from trainables.pretext.monitoring.embedding_metrics import embedding_metrics
from trainables.pretext.monitoring.signs import REGIONS, Sign
from trainables.pretext.parts.embedding_task import at_least_float32


@dataclass(frozen=True)
class LocalContrastive(NetworkMethod):
    """Settings of the contrast of matching regions of two views with other regions of the image.

    The encoder is frozen, with its batch-norm statistics; the decoder is trained.

    Attributes:
        temperature: softmax temperature, above 0; 0.1 in both papers.
        regions: number of regions sampled per image, from 2 up.
        region: side of a region in pixels of the decoder's output, from 1 up, over which features are averaged; 3 in
            Chaitanya et al. Overlapping regions are not negatives of each other, so use 1 for a coarse output.
        projection: embedding dimensions of a region, from 2 up.
    """

    continues: ClassVar[bool] = True
    temperature: float = 0.1
    regions: int = 16
    region: int = 3
    projection: int = 64

    def __post_init__(self) -> None:
        if not self.temperature > 0 or self.regions < 2 or self.region < 1 or self.projection < 2:
            text = f"temperature {self.temperature}, regions {self.regions}, region {self.region}"
            raise ValueError(f"{text}, projection {self.projection}: expected above 0, at least 2, 1 and 2")

    @property
    def sign(self) -> Sign:
        """Regions that find their match in the image."""
        return REGIONS

    def build(self, backbone: Backbone, decoder: nn.Module, augment: Policy, store: FrameStore) -> LocalTask:
        """Return the task that trains `decoder` on a frozen backbone."""
        return LocalTask(self, backbone, decoder, augment, store)


class LocalTask(Task):
    """Training of a decoder and a pixelwise projection head on a frozen backbone."""

    division = "images"

    def __init__(
        self, settings: LocalContrastive, backbone: Backbone, decoder: nn.Module, augment: Policy, store: FrameStore
    ) -> None:
        super().__init__()
        if augment.elastic is not None:
            text = "local_contrastive supports affine operations only (found elastic). Fix: set it to null"
            raise UserError(f"pretext.augment.elastic: {text}")
        self.settings, self.augment = settings, augment
        self.normalise, self.backbone, self.decoder = Normalise(store.mean, store.std), backbone, decoder
        backbone.requires_grad_(False)
        width = int(decoder.channels)  # type: ignore[arg-type]
        self.head = nn.Sequential(nn.Conv2d(width, width, 1), nn.ReLU(), nn.Conv2d(width, settings.projection, 1))

    def train(self, mode: bool = True) -> LocalTask:
        """Set training mode, except for the backbone, whose batch-norm statistics stay fixed."""
        super().train(mode)
        self.backbone.eval()
        return self

    def training_step(self, batch: Batch) -> dict[str, Tensor]:
        """Return the loss of the matching regions."""
        return self._compare(*self._embed(batch))

    def evaluate(self, batches: Iterable[Batch]) -> dict[str, float]:
        """Return mean losses and embedding metrics of the regions over evaluation batches."""
        found = []
        for batch in batches:
            one, two, matched, overlaps = self._embed(batch)
            found.append({**self._compare(one, two, matched, overlaps), **embedding_metrics(one.flatten(0, 1))})
        return average_metrics(found)

    def _embed(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return region embeddings `(B, N, D)` of both views, the mask of shared regions, and overlapping pairs."""
        draws = [batch.draw.fork("view", view) for view in (0, 1)]
        views = torch.cat([self.augment.apply(batch.images, None, draw)[0] for draw in draws])
        with torch.no_grad():
            features = self.backbone.features(self.normalise(views))
        maps = self.head(self.decoder(features)).float()
        size = (batch.images.shape[2], batch.images.shape[3])
        places, matched = corresponding_points(
            self.augment, draws, batch.draw.fork("regions"), self.settings.regions, size
        )
        region = self.settings.region
        averaged = F.avg_pool2d(maps, region, 1, region // 2, count_include_pad=False)
        grid = places.flatten(0, 1).unsqueeze(1)
        read = F.grid_sample(averaged, grid, padding_mode="border", align_corners=False)
        one, two = read.squeeze(2).transpose(1, 2).chunk(2)
        return one, two, matched, overlapping_regions(places, 2 * region / maps.shape[-1])

    def _compare(self, one: Tensor, two: Tensor, matched: Tensor, overlaps: Tensor) -> dict[str, Tensor]:
        loss, accuracy, chance = region_contrast(one, two, matched, overlaps, self.settings.temperature)
        return {
            "loss": loss,
            "contrastive_accuracy": accuracy,
            "contrastive_chance": chance,
            "matching": matched.float().mean(),
        }


def corresponding_points(
    policy: Policy, draws: list[BatchRNG], regions: BatchRNG, count: int, size: tuple[int, int]
) -> tuple[Tensor, Tensor]:
    """Return corresponding points of two augmented views.

    Args:
        policy: augmentation policy with affine geometry.
        draws: random numbers of the two views.
        regions: random numbers of the points in the first view.
        count: number of points per image.
        size: height and width of the images before augmentation.

    Returns:
        Coordinates (x, y) in [-1, 1] in both views, `(2, B, count, 2)`, and a mask of the points that lie inside the
        image and the second view, bool `(B, count)`.
    """
    # On the CPU and then copied: a GPU would take dozens of kernels for a few numbers.
    first = regions.on("cpu").uniform(-0.95, 0.95, count, 2)
    one, two = (policy.maps(draw.on("cpu"), size) for draw in draws)
    if one is None or two is None:
        places, inside = torch.stack([first, first]), torch.ones(first.shape[:2], dtype=torch.bool)
    else:
        with torch.autocast("cpu", enabled=False):  # half precision would shift a point by part of a pixel
            source = first @ one[:, :, :2].transpose(1, 2) + one[:, None, :, 2]
            second = (source - two[:, None, :, 2]) @ torch.linalg.inv(two[:, :, :2]).transpose(1, 2)
        inside = (source.abs() <= 0.98).all(2) & (second.abs() <= 0.98).all(2)
        places = torch.stack([first, second])
    return to_device_async(places, regions.device), to_device_async(inside, regions.device)


def overlapping_regions(places: Tensor, side: float) -> Tensor:
    """Return which squares around points `(2, B, N, 2)` overlap in either view, bool `(B, N, N)`, with itself too."""
    return ((places.unsqueeze(3) - places.unsqueeze(2)).abs().amax(4) < side).any(0)


def region_contrast(
    one: Tensor, two: Tensor, matched: Tensor, overlaps: Tensor, temperature: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the contrast of each region's match with the other regions of both views of its image.

    Args:
        one: embeddings of the regions in the first view, `(B, N, D)`.
        two: embeddings `(B, N, D)` of the same regions in the second view.
        matched: regions inside both views, bool `(B, N)`; the others are ignored.
        overlaps: pairs of overlapping regions, which are not negatives, bool `(B, N, N)`, with itself too.
        temperature: softmax temperature, above 0.

    Returns:
        The mean over images of the mean over their regions in both views, in float32 or wider; the fraction whose most
        similar region is their match; and that fraction's expected value for unrelated embeddings. An image with fewer
        than two matched regions adds 0 to all of them.
    """
    with torch.autocast(one.device.type, enabled=False):
        one, two = (F.normalize(z, dim=2) for z in at_least_float32(one, two))
        count = one.shape[1]
        every = torch.cat([one, two], 1)
        similarity = every @ every.transpose(1, 2) / temperature
        match = torch.arange(2 * count, device=one.device).roll(count)
        barred = overlaps.repeat(1, 2, 2) | ~matched.repeat(1, 2)[:, None, :]
        barred = barred.scatter(2, match.expand(len(one), -1)[..., None], value=False)
        logits = similarity.masked_fill(barred, float("-inf"))
        taking = matched.repeat(1, 2) & ((~barred).sum(2) > 1)
        # Averaging per image first makes the mean of equal parts of a batch the mean of the batch.
        share = taking.to(one.dtype) / taking.sum(1, keepdim=True).clamp_min(1) / len(one)
        lost = F.cross_entropy(logits.flatten(0, 1), match.repeat(len(one)), reduction="none").view(taking.shape)
        hit = logits.detach().argmax(2) == match
        chance = 1 / (~barred).sum(2).clamp_min(1)
        return (
            (torch.where(taking, lost, torch.zeros_like(lost)) * share).sum(),
            (hit * share).sum(),
            (chance * share).sum(),
        )
