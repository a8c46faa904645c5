"""What a pretext method is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from trainables.augment.policy import Policy
from trainables.data.frames import FrameStore
from trainables.loop import Task
from trainables.networks.backbones import Backbone


@dataclass(frozen=True)
class Method(ABC):
    """Settings of a pretext method, which builds the task that trains a backbone.

    Attributes:
        trains: which part of the segmentation network the method pretrains.
    """

    trains: ClassVar[Literal["backbone", "network"]] = "backbone"

    @abstractmethod
    def build(self, backbone: Backbone, augment: Policy, store: FrameStore) -> Task:
        """The task.

        Args:
            backbone: to be trained in place.
            augment: the study's policy.
            store: whose train split gives the normalisation.
        """


class Normalise(nn.Module):
    """Images in [0, 1] to zero mean and unit variance of the train split, by channel."""

    mean: Tensor
    std: Tensor

    def __init__(self, store: FrameStore) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(store.mean).float().view(1, -1, 1, 1))
        self.register_buffer("std", torch.tensor(store.std).float().clamp_min(1e-6).view(1, -1, 1, 1))

    def forward(self, images: Tensor) -> Tensor:
        """`(B, C, H, W)` to the same."""
        return (images - self.mean) / self.std


def pooled(features: Tensor) -> Tensor:
    """Global average of feature maps `(B, D, h, w)`: the image's representation `(B, D)`."""
    return features.mean((2, 3))


def mean_over(batches: list[dict[str, Tensor]]) -> dict[str, float]:
    """The mean of each metric over batches."""
    return {name: float(torch.stack([batch[name].float() for batch in batches]).mean()) for name in batches[0]}
