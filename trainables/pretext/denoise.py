"""Masked-noise regression (Umapathy et al. 2022, section II.B): the whole network learns to remove local noise."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from trainables.augment.batch_rng import BatchRNG
from trainables.augment.policy import Policy
from trainables.data.sampling.batches import Batch
from trainables.data.store.frames import FrameStore
from trainables.engine.task import Task
from trainables.networks.backbones import Backbone
from trainables.networks.network import SegmentationNetwork
from trainables.networks.normalise import Normalise
from trainables.pretext.method import NetworkMethod, average_metrics
from trainables.pretext.monitoring.signs import RESTORATION, Sign


@dataclass(frozen=True)
class Denoise(NetworkMethod):
    """Settings of masked-noise regression.

    Attributes:
        noise_ratio: fraction of pixels replaced by noise, in (0, 1); 0.1 in the paper.
        sigma: standard deviation of the noise, whose mean is 0, for images in [0, 1]; above 0, 0.01 in the paper.
    """

    noise_ratio: float = 0.1
    sigma: float = 0.01

    def __post_init__(self) -> None:
        if not 0 < self.noise_ratio < 1 or not self.sigma > 0:
            raise ValueError(
                f"noise_ratio {self.noise_ratio}, sigma {self.sigma}: expected a share in (0, 1) and a sigma above 0"
            )

    @property
    def sign(self) -> Sign:
        """Restoration error beside that of the best simple predictor."""
        return RESTORATION

    def hide(self, images: Tensor, rng: BatchRNG) -> Tensor:
        """Return images with a fraction of the pixels replaced by noise."""
        return add_masked_noise(images, self, rng.fork("noise"))[0]

    def build(self, backbone: Backbone, decoder: nn.Module, augment: Policy, store: FrameStore) -> DenoiseTask:
        """Return the task that trains backbone and decoder."""
        return DenoiseTask(self, backbone, decoder, augment, store)


class DenoiseTask(Task):
    """Training of backbone, decoder and a reconstruction head by L1 on the replaced pixels."""

    def __init__(
        self, settings: Denoise, backbone: Backbone, decoder: nn.Module, augment: Policy, store: FrameStore
    ) -> None:
        super().__init__()
        self.settings, self.augment = settings, augment
        self.normalise = Normalise(store.mean, store.std)
        self.network = SegmentationNetwork(backbone, decoder, store.channels)

    def training_step(self, batch: Batch) -> dict[str, Tensor]:
        """Return the mean absolute error over the replaced pixels."""
        augmented, _ = self.augment.apply(batch.images, None, batch.draw)
        noisy, images, noisy_pixels = self._noisy(augmented, batch.draw)
        return {"loss": masked_l1(self.network(noisy), images, noisy_pixels)}

    def evaluate(self, batches: Iterable[Batch]) -> dict[str, float]:
        """Return the loss without augmentation beside the errors of simple predictors.

        These are the noisy input itself (`untouched`), the mean of each image's other pixels (`mean_error`), and the
        mean of the other pixels among the 8 neighbours (`neighbours_error`); `trivial_error` is the smallest of them.
        """
        found = average_metrics([self._errors(batch) for batch in batches])
        names = ("untouched", "mean_error", "neighbours_error")
        return {**found, "trivial_error": min(found[name] for name in names)}

    def _errors(self, batch: Batch) -> dict[str, Tensor]:
        noisy, images, noisy_pixels = self._noisy(batch.images.float() / 255, batch.draw)
        clean = (~noisy_pixels).to(images.dtype)
        mean = (images * clean).sum((2, 3), keepdim=True) / clean.sum((2, 3), keepdim=True).clamp_min(1)
        share = F.avg_pool2d(clean, 3, 1, 1)
        neighbours = torch.where(share > 0, F.avg_pool2d(images * clean, 3, 1, 1) / share.clamp_min(1e-6), mean)
        predicted = {
            "loss": self.network(noisy),
            "untouched": noisy,
            "mean_error": mean,
            "neighbours_error": neighbours,
        }
        return {name: masked_l1(each, images, noisy_pixels) for name, each in predicted.items()}

    def _noisy(self, images: Tensor, draw: BatchRNG) -> tuple[Tensor, Tensor, Tensor]:
        """Return the normalized noisy and original images, and the mask of replaced pixels."""
        noisy, noisy_pixels = add_masked_noise(images, self.settings, draw.fork("noise"))
        return self.normalise(noisy), self.normalise(images), noisy_pixels


def add_masked_noise(images: Tensor, settings: Denoise, draw: BatchRNG) -> tuple[Tensor, Tensor]:
    """Replace a fraction of the pixels of images `(B, C, H, W)` by Gaussian noise.

    Returns:
        The noisy images, and the mask of replaced pixels, bool `(B, 1, H, W)`.
    """
    threshold = torch.special.ndtri(torch.tensor(settings.noise_ratio)).item()
    noisy_pixels = draw.fork("where").field(1, *images.shape[2:]) < threshold
    noise = settings.sigma * draw.fork("what").field(*images.shape[1:])
    return torch.where(noisy_pixels, noise.to(images.dtype), images), noisy_pixels


def masked_l1(predicted: Tensor, images: Tensor, noisy_pixels: Tensor) -> Tensor:
    """Return the mean absolute error over the replaced pixels and their channels, in float32 or wider."""
    wide = torch.float64 if predicted.dtype == torch.float64 else torch.float32
    error = (predicted.to(wide) - images.to(wide)).abs() * noisy_pixels
    return error.sum() / (noisy_pixels.sum() * images.shape[1]).clamp_min(1)
