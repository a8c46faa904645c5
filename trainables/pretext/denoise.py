"""Masked-noise regression (Umapathy et al. 2022, section II.B): the whole network learns to undo local noise."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from trainables.augment.draw import BatchRNG
from trainables.augment.policy import Policy
from trainables.data.sampling.batches import Batch
from trainables.data.store.frames import FrameStore
from trainables.engine.task import Task
from trainables.networks.backbones import Backbone
from trainables.networks.network import SegmentationNetwork
from trainables.networks.normalise import Normalise
from trainables.pretext.method import NetworkMethod, mean_over


@dataclass(frozen=True)
class Denoise(NetworkMethod):
    """Masked-noise regression.

    Attributes:
        noise_ratio: of the pixels that are replaced by noise, in (0, 1); 0.1 in the paper.
        sigma: standard deviation of the noise, whose mean is 0, for images in [0, 1]; above 0, 0.01 in the paper.
    """

    noise_ratio: float = 0.1
    sigma: float = 0.01

    def __post_init__(self) -> None:
        if not 0 < self.noise_ratio < 1 or not self.sigma > 0:
            raise ValueError(
                f"noise_ratio {self.noise_ratio}, sigma {self.sigma}: expected a share in (0, 1) and a sigma above 0"
            )

    def build(self, backbone: Backbone, decoder: nn.Module, augment: Policy, store: FrameStore) -> DenoiseTask:
        """The task."""
        return DenoiseTask(self, backbone, decoder, augment, store)


class DenoiseTask(Task):
    """Trains backbone, decoder and a head that gives the image back, by L1 on the replaced pixels."""

    def __init__(
        self, settings: Denoise, backbone: Backbone, decoder: nn.Module, augment: Policy, store: FrameStore
    ) -> None:
        super().__init__()
        self.settings, self.augment = settings, augment
        self.normalise = Normalise(store.mean, store.std)
        self.network = SegmentationNetwork(backbone, decoder, store.channels)

    def training_step(self, batch: Batch) -> dict[str, Tensor]:
        """The mean absolute error over the replaced pixels."""
        images, _ = self.augment.apply(batch.images, None, batch.draw)
        return {"loss": self._losses(images, batch.draw)["loss"]}

    def evaluate(self, batches: Iterable[Batch]) -> dict[str, float]:
        """The same on frames that are not trained on, and the error of leaving the noise where it is."""
        return mean_over([self._losses(batch.images.float() / 255, batch.draw) for batch in batches])

    def _losses(self, images: Tensor, draw: BatchRNG) -> dict[str, Tensor]:
        noisy, replaced = corrupted(images, self.settings, draw.fork("noise"))
        noisy, images = self.normalise(noisy), self.normalise(images)
        return {
            "loss": masked_l1(self.network(noisy), images, replaced),
            "untouched": masked_l1(noisy, images, replaced),
        }


def corrupted(images: Tensor, settings: Denoise, draw: BatchRNG) -> tuple[Tensor, Tensor]:
    """Images `(B, C, H, W)` with a share of their pixels replaced by Gaussian noise, and where: bool `(B, 1, H, W)`."""
    threshold = torch.special.ndtri(torch.tensor(settings.noise_ratio)).item()
    replaced = draw.fork("where").field(1, *images.shape[2:]) < threshold
    noise = settings.sigma * draw.fork("what").field(*images.shape[1:])
    return torch.where(replaced, noise.to(images.dtype), images), replaced


def masked_l1(predicted: Tensor, images: Tensor, replaced: Tensor) -> Tensor:
    """Mean absolute error over the replaced pixels and their channels, in float32 or wider."""
    wide = torch.float64 if predicted.dtype == torch.float64 else torch.float32
    error = (predicted.to(wide) - images.to(wide)).abs() * replaced
    return error.sum() / (replaced.sum() * images.shape[1]).clamp_min(1)
