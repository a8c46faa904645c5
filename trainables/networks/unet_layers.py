"""Layers of UNets in two or three dimensions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from torch import Tensor, nn
from torch.nn import functional as F

Norm = Literal["none", "batch", "instance"]
"""Normalization after each convolution."""

Dims = Literal[2, 3]
"""Dimensions of a convolution: rows and columns, or time, rows and columns."""


@dataclass(frozen=True)
class Layers:
    """Layer classes of two or three dimensions.

    Attributes:
        conv: convolution class.
        up_conv: transposed convolution class.
        norms: constructors of a normalization layer from its number of channels.
        pool: max pooling function.
        halving: kernel size and stride that halve rows and columns.
    """

    conv: type[nn.Conv2d] | type[nn.Conv3d]
    up_conv: type[nn.ConvTranspose2d] | type[nn.ConvTranspose3d]
    norms: Mapping[Norm, Callable[[int], nn.Module]]
    pool: Callable[..., Tensor]
    halving: Any


LAYERS: Mapping[Dims, Layers] = {
    2: Layers(
        nn.Conv2d,
        nn.ConvTranspose2d,
        {
            "none": lambda channels: nn.Identity(),
            "batch": nn.BatchNorm2d,
            "instance": lambda channels: nn.InstanceNorm2d(channels, affine=True),
        },
        F.max_pool2d,
        (2, 2),
    ),
    3: Layers(
        nn.Conv3d,
        nn.ConvTranspose3d,
        {
            "none": lambda channels: nn.Identity(),
            "batch": nn.BatchNorm3d,
            "instance": lambda channels: nn.InstanceNorm3d(channels, affine=True),
        },
        F.max_pool3d,
        (1, 2, 2),
    ),
}


def conv_pair(inputs: int, outputs: int, norm: Norm, dims: Dims) -> nn.Sequential:
    """Return two convolutions of kernel size 3, each followed by normalization and ReLU."""
    layers: list[nn.Module] = []
    for channels in (inputs, outputs):
        conv = LAYERS[dims].conv(channels, outputs, 3, padding=1, bias=norm == "none")
        nn.init.kaiming_normal_(conv.weight, nonlinearity="relu")  # the paper's section 3: deviation sqrt(2 / fan-in)
        if conv.bias is not None:
            nn.init.zeros_(conv.bias)
        layers += [conv, LAYERS[dims].norms[norm](outputs), nn.ReLU()]
    return nn.Sequential(*layers)
