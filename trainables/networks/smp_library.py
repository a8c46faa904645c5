"""Trained networks as models of segmentation_models_pytorch itself, with the library's own head."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from trainables.networks.libraries import smp
from trainables.networks.network import NetworkSettings, SegmentationNetwork
from trainables.networks.smp_networks import Smp, SmpBackbone, SmpDecoder, SmpEncoder

FULL_SIZE = ("Unet", "UnetPlusPlus", "MAnet")
"""Architectures whose decoder returns features of each pixel, so that the library's head resizes nothing."""


def difference_to_library(settings: NetworkSettings, image_size: int) -> str | None:
    """Return why the library has no model with the logits of a network, or None where it has one.

    Args:
        settings: settings of the network.
        image_size: height and width of its images in pixels.
    """
    if not isinstance(settings, Smp) or not isinstance(settings.backbone, SmpEncoder):
        return "not a network of segmentation_models_pytorch"
    if settings.arch not in FULL_SIZE:
        return f"the library's {settings.arch} enlarges logits with aligned corners, this network without"
    if settings.backbone.output_stride not in (None, 32):
        return f"the library's {settings.arch} has no encoder with output_stride {settings.backbone.output_stride}"
    if image_size % 32:
        return f"the library's {settings.arch} takes multiples of 32 pixels (found {image_size})"
    return None


def library_model(settings: Smp, network: SegmentationNetwork, in_channels: int) -> Any:
    """Return the library's model with the weights of a network, in evaluation mode.

    The library's head is a convolution of 3x3. The network's, of 1x1, is its centre, and the rest is zero.

    Args:
        settings: settings of the network, for which `difference_to_library` finds no difference.
        network: the trained network.
        in_channels: number of channels of its images.
    """
    backbone, decoder = network.backbone, network.decoder
    assert isinstance(settings.backbone, SmpEncoder)
    assert isinstance(backbone, SmpBackbone)
    assert isinstance(decoder, SmpDecoder)
    model = getattr(smp(), settings.arch)(
        encoder_name=settings.backbone.encoder,
        encoder_weights=None,
        in_channels=in_channels,
        classes=network.head.out_channels,
    )
    model.encoder.load_state_dict(backbone.model.state_dict())
    model.decoder.load_state_dict(decoder.decoder.state_dict())
    head: nn.Conv2d = model.segmentation_head[0]
    assert network.head.bias is not None
    assert head.bias is not None
    centre = head.kernel_size[0] // 2
    with torch.no_grad():
        head.weight.zero_()[:, :, centre, centre] = network.head.weight[:, :, 0, 0]
        head.bias.copy_(network.head.bias)
    return model.eval()
