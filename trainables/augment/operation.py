"""Kinds of augmentation operations: the base classes from which every operation derives."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ClassVar

from torch import Tensor

from trainables.augment.batch_rng import BatchRNG
from trainables.common.registry import Registry

MeansAtBrightness = Callable[[Tensor, Tensor], Tensor]
"""Function from rows `(N,)` and brightness factors `(N,)` to the means `(N,)` of those images after brightening."""


class Operation:
    """Settings of one augmentation operation; a frozen dataclass derived from the class of the operation's kind.

    Attributes:
        channels: names of the channels that the images must have; None for any channels.
    """

    channels: ClassVar[tuple[str, ...] | None] = None


class AffineOperation(Operation, ABC):
    """Operation on coordinates that an affine map describes; all of a policy are composed into one resampling."""

    @abstractmethod
    def compose(
        self, matrix: Tensor, offset: Tensor, rng: BatchRNG, strength: float, size: tuple[int, int]
    ) -> tuple[Tensor, Tensor]:
        """Return the maps of a batch after this operation: input coordinates = matrix @ output coordinates + offset.

        Args:
            matrix: linear parts of the maps so far `(B, 2, 2)`, between (x, y) coordinates in [-1, 1].
            offset: translations of the maps so far `(B, 2)`.
            rng: random numbers of this operation.
            strength: factor on the distance from the identity, above 0.
            size: height and width of the input images in pixels.
        """


class DisplacementOperation(Operation, ABC):
    """Operation on coordinates that displaces each pixel separately, after the affine map."""

    @abstractmethod
    def displacement(self, rng: BatchRNG, strength: float, size: tuple[int, int]) -> Tensor:
        """Return displacements (x, y) in [-1, 1] coordinates, float32 `(B, 2, *size)`, for outputs of `size`."""


class IntensityOperation(Operation, ABC):
    """Operation on gray values in [0, 1]."""

    @abstractmethod
    def __call__(self, images: Tensor, rng: BatchRNG, strength: float) -> Tensor:
        """Return the changed images.

        Args:
            images: float32 `(B, C, H, W)` in [0, 1].
            rng: random numbers of this operation.
            strength: factor on the distance from no change, above 0.
        """


class PointwiseOperation(IntensityOperation):
    """Operation that maps each gray value of an image to a new one, independent of the pixel's position."""

    def map_levels(self, levels: Tensor, rng: BatchRNG, strength: float, means: MeansAtBrightness) -> Tensor:
        """Return the new values of the 256 gray levels of uint8 images, float32 `(B, 1, 1, 256)` in [0, 1].

        Args:
            levels: values of the gray levels so far, float32 `(B, 1, 1, 256)`.
            rng: random numbers of this operation.
            strength: factor on the distance from no change, above 0.
            means: means of the images before the first pointwise operation, for operations that need them.
        """
        return self(levels, rng, strength)


OPERATIONS: Registry[type[Operation]] = Registry("augmentation operation", {})
"""Operations of plug-ins, which a study names in `augment.added`; those of this program are the fields of `Policy`."""


def operation_name(operation: Operation) -> str:
    """Return the name under which an operation's class is registered."""
    return next(name for name, cls in OPERATIONS.items() if cls is type(operation))
