"""Encoders and decoders of segmentation_models_pytorch, with random weights; nothing is downloaded."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from torch import Tensor, nn

from trainables.common.errors import UserError, did_you_mean
from trainables.networks.backbones import Backbone, BackboneSettings
from trainables.networks.libraries import smp, timm
from trainables.networks.network import NetworkSettings, SegmentationNetwork

Arch = Literal["Unet", "UnetPlusPlus", "MAnet", "FPN", "DeepLabV3Plus", "Segformer", "UPerNet"]
"""Class of segmentation_models_pytorch that has the decoder."""

UNIVERSAL = "tu-"
"""Beginning of the names of encoders that are models of timm."""


@dataclass(frozen=True)
class SmpEncoder(BackboneSettings):
    """Settings of an encoder of segmentation_models_pytorch (`pretext-study[smp]`), initialized at random.

    Attributes:
        encoder: name of the encoder, such as "resnet34" (the default) or "tu-convnext_tiny".
        output_stride: stride of the deepest features, 8 or 16, kept by dilation; None, the default, for 32.

    Example:
        >>> SmpEncoder("resnet18").build(in_channels=1).channels
        (64, 64, 128, 256, 512)
    """

    encoder: str = "resnet34"
    output_stride: int | None = None

    def __post_init__(self) -> None:
        if self.output_stride not in (None, 8, 16):
            raise ValueError(f"output_stride is {self.output_stride}, expected 8, 16 or null")
        names = smp().encoders.get_encoder_names()
        if self.encoder.startswith(UNIVERSAL):
            names = [UNIVERSAL + name for name in timm().list_models()]
        if self.encoder.partition(".")[0] not in names:
            raise ValueError(
                f"segmentation_models_pytorch has no encoder '{self.encoder}'{did_you_mean(self.encoder, names)}"
            )

    def build(self, in_channels: int) -> SmpBackbone:
        """Return the encoder for images with `in_channels` channels.

        Raises:
            UserError: the encoder does not support a setting.
        """
        arguments: dict[str, Any] = {"in_channels": in_channels, "depth": 5, "weights": None}
        try:
            encoder = smp().encoders.get_encoder(self.encoder, output_stride=self.output_stride or 32, **arguments)
        except (NotImplementedError, ValueError, TypeError) as error:
            text = f"{self.encoder} cannot be built with output_stride {self.output_stride} ({error})"
            raise UserError(f"network.backbone: {text}. Fix: set output_stride to null, or choose another") from error
        return SmpBackbone(encoder, self.output_stride or 32)


class SmpBackbone(Backbone):
    """Encoder of segmentation_models_pytorch; its features are the pyramid without the image.

    Args:
        encoder: encoder of the library, whose parameters keep their names behind "model.".
        output_stride: stride of the deepest features.

    Attributes:
        model: the encoder.
        pyramid: number of channels at strides 1, 2, 4, ..., as the library's decoders take them; 0 for an empty map.
    """

    def __init__(self, encoder: Any, output_stride: int) -> None:
        super().__init__()
        self.model = encoder
        self.pyramid = tuple(int(width) for width in encoder.out_channels)
        levels = [level for level in range(1, len(self.pyramid)) if self.pyramid[level]]
        self.channels = tuple(self.pyramid[level] for level in levels)
        self.strides = tuple(min(2**level, output_stride) for level in levels)

    def stages(self) -> list[nn.Module]:
        """Return the encoder's parts with parameters, in the order of their definition."""
        return [part for part in self._parts() if any(True for _ in part.parameters())]

    def masked_modules(self) -> list[nn.Module]:
        """Return the encoder's parts, and in place of a list or sequence of layers each of these."""
        parts = self._parts()
        return [
            each for part in parts for each in (part if isinstance(part, nn.ModuleList | nn.Sequential) else [part])
        ]

    def features(self, images: Tensor) -> list[Tensor]:
        """Return the feature maps below the image's size, shallow to deep."""
        return [level for level in self.model(images)[1:] if level.shape[1]]

    def published_name(self, name: str) -> str:
        """Return the library's name."""
        return name.removeprefix("model.")

    def _parts(self) -> list[nn.Module]:
        """Return the children of the encoder, or of the model that it wraps."""
        inner = self.model
        while len(list(inner.children())) == 1:
            (inner,) = inner.children()
        return list(inner.children())


@dataclass(frozen=True)
class Smp(NetworkSettings):
    """Settings of a network of segmentation_models_pytorch (`pip install 'pretext-study[smp]'`).

    Encoder and decoder are the library's; the head is a convolution of kernel size 1, as in all networks here.

    Attributes:
        backbone: settings of an encoder `smp`; DeepLabV3Plus requires an `output_stride`.
        arch: class of the library that has the decoder, with its default settings; "Unet" by default.

    Example:
        >>> import torch
        >>> network = Smp(SmpEncoder("resnet18"), arch="FPN").build(in_channels=1, classes=3)
        >>> network(torch.zeros(2, 1, 64, 64)).shape
        torch.Size([2, 3, 64, 64])
    """

    backbone: BackboneSettings = field(default_factory=SmpEncoder)
    arch: Arch = "Unet"

    def __post_init__(self) -> None:
        if not isinstance(self.backbone, SmpEncoder):
            raise ValueError("smp requires the backbone smp")
        if self.arch == "DeepLabV3Plus" and self.backbone.output_stride is None:
            raise ValueError("backbone.output_stride is null, expected 16 or 8 for DeepLabV3Plus")

    def build(self, in_channels: int, classes: int) -> SegmentationNetwork:
        """Return a network for images with `in_channels` channels and masks of `classes` classes."""
        assert isinstance(self.backbone, SmpEncoder)
        backbone = self.backbone.build(in_channels)
        arguments: dict[str, Any] = {"encoder_name": self.backbone.encoder, "encoder_weights": None}
        if self.arch == "DeepLabV3Plus":
            arguments["encoder_output_stride"] = self.backbone.output_stride
        model = getattr(smp(), self.arch)(in_channels=in_channels, classes=classes, **arguments)
        return SegmentationNetwork(backbone, SmpDecoder(model, backbone), classes)


class SmpDecoder(nn.Module):
    """Decoder of segmentation_models_pytorch.

    Args:
        model: network of the library, of which the decoder is used.
        backbone: encoder whose features it reads.
    """

    def __init__(self, model: Any, backbone: SmpBackbone) -> None:
        super().__init__()
        self.decoder = model.decoder
        self.channels = int(
            next(layer for layer in model.segmentation_head.modules() if isinstance(layer, nn.Conv2d)).in_channels
        )
        self._pyramid, self._finest = backbone.pyramid, backbone.strides[0]

    def forward(self, features: list[Tensor]) -> Tensor:
        """Return pixel features `(B, channels, h, w)`."""
        batch, _, height, width = features[0].shape
        levels, left = [], list(features)
        for level, channels in enumerate(self._pyramid):
            if level and channels:
                levels.append(left.pop(0))
            else:  # the image, of which decoders read the size alone, and an empty map
                scale = self._finest // 2**level
                levels.append(features[0].new_empty(batch, channels, scale * height, scale * width))
        decoded: Tensor = self.decoder(levels)
        return decoded
