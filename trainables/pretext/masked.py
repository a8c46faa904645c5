"""Masked image modelling for convolutional networks, after SparK (Tian et al. 2023).

A dense convolution leaks visible pixels into masked patches. Therefore the features of masked patches are set to zero
after each level of the encoder, as a sparse convolution would. The decoder fills the gaps. An encoder that mixes
distant pixels by attention sees the image with masked patches at the mean gray value instead (SimMIM, Xie et al. 2022,
without its mask token).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from trainables.augment.batch_rng import BatchRNG
from trainables.augment.policy import Policy
from trainables.common.errors import UserError
from trainables.data.sampling.batches import Batch
from trainables.data.store.frames import FrameStore
from trainables.engine.task import Task
from trainables.networks.backbones import Backbone
from trainables.networks.network import SegmentationNetwork
from trainables.networks.normalise import Normalise
from trainables.pretext.method import NetworkMethod, average_metrics
from trainables.pretext.monitoring.signs import RECONSTRUCTION, Sign


@dataclass(frozen=True)
class MaskedModelling(NetworkMethod):
    """Settings of masked image modelling.

    Attributes:
        mask_ratio: fraction of masked patches, in (0, 1); 0.6 in SparK.
        patch: side of the square patches in pixels, from 2 up and smaller than the image's side; preferably a divisor
            of that, and at least the stride of the backbone's deepest features.
    """

    mask_ratio: float = 0.6
    patch: int = 16

    def __post_init__(self) -> None:
        if not 0 < self.mask_ratio < 1 or self.patch < 2:
            raise ValueError(
                f"mask_ratio {self.mask_ratio}, patch {self.patch}: expected a share in (0, 1) and at least 2"
            )

    @property
    def sign(self) -> Sign:
        """Reconstruction error beside that of each patch's mean."""
        return RECONSTRUCTION

    def hide(self, images: Tensor, rng: BatchRNG) -> Tensor:
        """Return images with black masked patches."""
        masked = patch_mask(images, self, rng.fork("patches"))
        return images * ~pixel_mask(masked, self.patch, images.shape[-2:])

    def build(self, backbone: Backbone, decoder: nn.Module, augment: Policy, store: FrameStore) -> MaskedTask:
        """Return the task that trains backbone and decoder.

        Raises:
            UserError: the patch is as large as the image.
        """
        if self.patch >= store.image_size:
            raise UserError(f"patch is {self.patch}, expected less than the images' side of {store.image_size} pixels")
        return MaskedTask(self, backbone, decoder, augment, store)


class MaskedTask(Task):
    """Training of backbone, decoder and a head that reconstructs masked patches, each normalized by itself."""

    division = "images"

    def __init__(
        self, settings: MaskedModelling, backbone: Backbone, decoder: nn.Module, augment: Policy, store: FrameStore
    ) -> None:
        super().__init__()
        self.settings, self.augment = settings, augment
        self.normalise = Normalise(store.mean, store.std)
        self.network = SegmentationNetwork(backbone, decoder, store.channels)

    def training_step(self, batch: Batch) -> dict[str, Tensor]:
        """Return the mean squared error over the masked patches."""
        return {"loss": self._loss(self.augment.apply(batch.images, None, batch.draw)[0], batch.draw)}

    def evaluate(self, batches: Iterable[Batch]) -> dict[str, float]:
        """Return the mean loss without augmentation, and that of predicting each patch's mean (`mean_error`)."""
        return average_metrics([self._errors(batch.images.float() / 255, batch.draw) for batch in batches])

    def _errors(self, images: Tensor, draw: BatchRNG) -> dict[str, Tensor]:
        images = self.normalise(images)
        masked = patch_mask(images, self.settings, draw.fork("patches"))
        flat = masked_error(torch.zeros_like(images), images, masked, self.settings.patch)
        return {"loss": self._reconstruction_error(images, masked), "mean_error": flat}

    def _loss(self, images: Tensor, draw: BatchRNG) -> Tensor:
        images = self.normalise(images)
        return self._reconstruction_error(images, patch_mask(images, self.settings, draw.fork("patches")))

    def _reconstruction_error(self, images: Tensor, masked: Tensor) -> Tensor:
        """Return the error of reconstructing the masked patches of normalized images."""
        visible = ~pixel_mask(masked, self.settings.patch, images.shape[-2:])
        features = visible_features(self.network.backbone, images, visible)
        predicted = self.network.head(self.network.decoder(features))
        if predicted.shape[-2:] != images.shape[-2:]:
            predicted = F.interpolate(predicted, images.shape[-2:], mode="bilinear", align_corners=False)
        return masked_error(predicted, images, masked, self.settings.patch)


def patch_mask(images: Tensor, settings: MaskedModelling, draw: BatchRNG) -> Tensor:
    """Return a random patch mask, bool `(B, 1, rows, columns)`, with equally many masked patches in every image."""
    rows, columns = (-(-side // settings.patch) for side in images.shape[2:])
    count = min(max(1, round(settings.mask_ratio * rows * columns)), rows * columns - 1)
    order = draw.uniform(0, 1, rows * columns).argsort(1)
    masked = torch.zeros(len(images), rows * columns, dtype=torch.bool, device=images.device)
    return masked.scatter_(1, order[:, :count], value=True).view(-1, 1, rows, columns)


def pixel_mask(masked: Tensor, patch: int, size: torch.Size | tuple[int, ...]) -> Tensor:
    """Return a patch mask `(B, 1, rows, columns)` as a pixel mask `(B, 1, *size)`; border patches may be smaller."""
    return masked.repeat_interleave(patch, 2).repeat_interleave(patch, 3)[..., : size[0], : size[1]]


def visible_features(backbone: Backbone, images: Tensor, visible: Tensor) -> list[Tensor]:
    """Return the backbone's feature maps of the `visible` pixels, a mask `(B, 1, H, W)`.

    After every stage of a convolutional backbone, features without a visible pixel in their cell are set to zero.
    """
    handles = []

    def hide(module: nn.Module, inputs: object, output: Tensor) -> Tensor:
        if not isinstance(output, Tensor) or output.ndim != 4:  # tokens
            return output
        return output * F.adaptive_max_pool2d(visible.float(), output.shape[-2:]).to(output.dtype)

    try:
        for module in backbone.masked_modules():
            handles.append(module.register_forward_hook(hide))
        return backbone.features(images * visible)
    finally:
        for handle in handles:
            handle.remove()


def masked_error(predicted: Tensor, images: Tensor, masked: Tensor, patch: int) -> Tensor:
    """Return the mean squared error over masked patches, with each patch's target normalized over its pixels.

    Args:
        predicted: reconstructed images `(B, C, H, W)`.
        images: original images `(B, C, H, W)`.
        masked: patch mask, bool `(B, 1, ceil(H / patch), ceil(W / patch))`.
        patch: side of the patches in pixels; patches at the lower and right border may be smaller.
    """
    wide = torch.float64 if predicted.dtype == torch.float64 else torch.float32
    with torch.autocast(images.device.type, enabled=False):
        images, predicted = images.to(wide), predicted.to(wide)
        padding = [(-side) % patch for side in images.shape[2:]]
        matched = F.pad(torch.ones_like(images), (0, padding[1], 0, padding[0]))
        padded = F.pad(images, (0, padding[1], 0, padding[0]))
        share = F.avg_pool2d(matched, patch)
        mean = F.avg_pool2d(padded, patch) / share
        variance = F.avg_pool2d(padded.square(), patch) / share - mean.square()
        scale = torch.rsqrt(variance.clamp_min(0) + 1e-6)
        mean, scale = (F.interpolate(each, scale_factor=patch, mode="nearest") for each in (mean, scale))
        height, width = images.shape[2:]
        target = (images - mean[..., :height, :width]) * scale[..., :height, :width]
        hidden = pixel_mask(masked, patch, (height, width)).to(wide)
        return ((predicted - target).square() * hidden).sum() / (hidden.sum() * images.shape[1])
