"""What a pretext method is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from trainables.augment.policy import Policy
from trainables.common.errors import DataError
from trainables.data.store.frames import FrameStore
from trainables.engine.task import Task
from trainables.networks.backbones import Backbone


@dataclass(frozen=True)
class Method:
    """Settings of a pretext method, which builds the task that trains a backbone or a whole network.

    Attributes:
        continues: whether the method trains what an earlier pretext stage left, and cannot begin from random weights.
    """

    continues: ClassVar[bool] = False

    def rows(self, store: FrameStore, rows: np.ndarray) -> np.ndarray:
        """Those of a split's rows that the method can use.

        Raises:
            DataError: the dataset lacks what the method needs.
        """
        return rows


@dataclass(frozen=True)
class BackboneMethod(Method, ABC):
    """A method that trains the backbone alone: any decoder may be put on it afterwards."""

    @abstractmethod
    def build(self, backbone: Backbone, augment: Policy, store: FrameStore) -> Task:
        """The task.

        Args:
            backbone: to be trained in place.
            augment: the study's policy.
            store: whose train split gives the normalisation.
        """


@dataclass(frozen=True)
class NetworkMethod(Method, ABC):
    """A method that trains backbone and decoder; the head on them is its own."""

    @abstractmethod
    def build(self, backbone: Backbone, decoder: nn.Module, augment: Policy, store: FrameStore) -> Task:
        """The task.

        Args:
            backbone: to be trained in place.
            decoder: from the backbone's features to pixel features, `decoder.channels` wide; trained in place.
            augment: the study's policy.
            store: whose train split gives the normalisation.
        """


def training_rows(method: Method, store: FrameStore) -> np.ndarray:
    """Those of the train split's rows that a method can use.

    Raises:
        DataError: there are none.
    """
    usable = method.rows(store, store.rows("train"))
    if not len(usable):
        raise DataError(f"the dataset has no frame in its train split that {type(method).__name__} can use")
    return usable


def pooled(features: Tensor) -> Tensor:
    """Global average of feature maps `(B, D, h, w)`: the image's representation `(B, D)`."""
    return features.mean((2, 3))


def mean_over(batches: list[dict[str, Tensor]]) -> dict[str, float]:
    """The mean of each metric over batches."""
    return {name: float(torch.stack([batch[name].float() for batch in batches]).mean()) for name in batches[0]}
