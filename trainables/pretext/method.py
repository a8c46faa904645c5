"""Base classes of pretext methods."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from trainables.augment.batch_rng import BatchRNG
from trainables.augment.policy import Policy
from trainables.common.errors import DataError
from trainables.data.store.frames import FrameStore
from trainables.engine.task import Task
from trainables.networks.backbones import Backbone
from trainables.networks.network import SegmentationNetwork
from trainables.pretext.monitoring.signs import Sign

HEAD = "pretext_head"
"""Part of pretrained weights that holds the method's own last layer."""


@dataclass(frozen=True)
class Method:
    """Settings of a pretext method, which builds the task that trains a backbone or a whole network.

    Attributes:
        continues: True where the method needs the weights of an earlier pretext stage (`init_from`).
        compares_views: True where the method compares augmented views, so that the augmentation makes its task.
    """

    continues: ClassVar[bool] = False
    compares_views: ClassVar[bool] = False

    def rows(self, store: FrameStore, rows: np.ndarray) -> np.ndarray:
        """Return the rows of a split that the method can use.

        Args:
            store: frame store of the dataset.
            rows: row numbers `(N,)` of the split.

        Raises:
            DataError: the dataset lacks what the method needs.
        """
        return rows

    @property
    def sign(self) -> Sign | None:
        """Validation metric in which the method's learning shows; None leaves the verdict unknown."""
        return None

    def labels(self, store: FrameStore, rows: np.ndarray) -> Tensor | None:
        """Return the label maps that the method derives for frames and predicts, uint8 `(B, S, S)`; by default None."""
        return None

    def hide(self, images: Tensor, rng: BatchRNG) -> Tensor:
        """Return augmented images in [0, 1] as the network sees them; by default unchanged."""
        return images


@dataclass(frozen=True)
class BackboneMethod(Method, ABC):
    """Method that trains the backbone only; any decoder can be added afterwards."""

    @abstractmethod
    def build(self, backbone: Backbone, augment: Policy, store: FrameStore) -> Task:
        """Return the task that trains the given modules.

        Args:
            backbone: module that is trained in place.
            augment: augmentation policy of the study.
            store: frame store whose training split determines the normalization.
        """


@dataclass(frozen=True)
class NetworkMethod(Method, ABC):
    """Method that trains backbone and decoder, with a head of its own."""

    @abstractmethod
    def build(self, backbone: Backbone, decoder: nn.Module, augment: Policy, store: FrameStore) -> Task:
        """Return the task that trains the given modules.

        Args:
            backbone: module that is trained in place.
            decoder: module from backbone features to `decoder.channels` pixel features, trained in place.
            augment: augmentation policy of the study.
            store: frame store whose training split determines the normalization.
        """


def training_rows(method: Method, store: FrameStore) -> np.ndarray:
    """Return the rows of the training split that a method can use.

    Raises:
        DataError: the split has no such row.
    """
    usable = method.rows(store, store.rows("train"))
    if not len(usable):
        raise DataError(no_usable_frame(method))
    return usable


def no_usable_frame(method: Method) -> str:
    """Return the message for a dataset without training frames that a method can use."""
    return f"the dataset has no frame in its train split that {type(method).__name__} can use"


def head_of(task: Task) -> nn.Module | None:
    """Return the last layer of a task that trains a whole network; None for other tasks."""
    network = getattr(task, "network", None)
    return network.head if isinstance(network, SegmentationNetwork) else None


def global_average_pool(features: Tensor) -> Tensor:
    """Return the global average `(B, D)` of feature maps `(B, D, h, w)`."""
    return features.mean((2, 3))


def average_metrics(batches: list[dict[str, Tensor]]) -> dict[str, float]:
    """Return the mean of each metric over batches."""
    return {name: float(torch.stack([batch[name].float() for batch in batches]).mean()) for name in batches[0]}
