"""What a pretext method is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

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


def pooled(features: Tensor) -> Tensor:
    """Global average of feature maps `(B, D, h, w)`: the image's representation `(B, D)`."""
    return features.mean((2, 3))


def mean_over(batches: list[dict[str, Tensor]]) -> dict[str, float]:
    """The mean of each metric over batches."""
    return {name: float(torch.stack([batch[name].float() for batch in batches]).mean()) for name in batches[0]}
