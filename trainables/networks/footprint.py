"""Lower bound of the memory of a training step, from the shapes of a network's activations; nothing is computed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from trainables.common.errors import UserError

BYTES = 4
"""Bytes of a float32 value."""


@dataclass(frozen=True)
class Footprint:
    """Memory of a training step.

    Attributes:
        activations: bytes in float32 that the forward pass keeps for the gradient.
        weights: bytes of the weights and of their gradients.
    """

    activations: int
    weights: int


def footprint(build: Callable[[], nn.Module], shape: tuple[int, ...]) -> Footprint | None:
    """Return the memory of a forward pass in training mode; None for a network that shapes alone cannot run.

    Args:
        build: function that returns the network; it is called with torch's meta device, which holds no values.
        shape: shape of the images.

    Raises:
        ValueError: the network cannot be trained on images of this shape.

    Example:
        >>> from trainables.networks.unet import UNet, UNetEncoder
        >>> found = footprint(lambda: UNet(UNetEncoder(width=8, depth=2)).build(1, 2), (2, 1, 64, 64))
        >>> found.activations > 2 * 8 * 64 * 64 * 4 * 4, found.weights > 0  # two pairs of convolutions at full size
        (True, True)
    """
    kept: dict[int, Tensor] = {}

    def keep(tensor: Tensor) -> Tensor:
        kept[tensor.untyped_storage()._cdata] = tensor
        return tensor

    try:
        with torch.device("meta"):
            network = build()
            images = torch.empty(shape)
            with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
                output = network.train()(images)
    except NotImplementedError:
        return None
    except UserError as error:
        raise ValueError(str(error)) from error
    except (RuntimeError, ValueError, AssertionError) as error:
        if "meta" in str(error):
            return None
        raise ValueError(str(error)) from error
    del output
    own = {parameter.untyped_storage()._cdata for parameter in network.parameters()}
    trained = sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad)
    every = sum(parameter.numel() for parameter in network.parameters())
    activations = sum(tensor.untyped_storage().nbytes() for name, tensor in kept.items() if name not in own)
    return Footprint(activations, BYTES * (every + trained))
