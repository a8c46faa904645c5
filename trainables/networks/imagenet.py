"""ImageNet's weights as a start."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.error import URLError

import torch
from torch import Tensor

from trainables.common.errors import CheckpointError, UserError
from trainables.networks.backbones import Backbone
from trainables.networks.resnet import ResNet
from trainables.networks.torchvision_ops import torchvision

_CLASSIFIER = ("fc.weight", "fc.bias")


@dataclass(frozen=True)
class ImageNetWeights:
    """Where torchvision's ImageNet weights come from.

    Attributes:
        file: a state dict saved by torchvision's own download, or None.
        download: fetch them when no file is given; nothing is ever fetched otherwise.
    """

    file: str | None = None
    download: bool = False


def load_imagenet(backbone: Backbone, weights: ImageNetWeights) -> None:
    """Start a residual backbone from ImageNet; a single-channel first convolution takes the sum over the colours.

    Raises:
        UserError: the backbone has no ImageNet weights, or neither a file is given nor downloading allowed.
        CheckpointError: the file is not these weights.
    """
    if not isinstance(backbone, ResNet):
        raise UserError(f"{type(backbone).__name__} has no ImageNet weights; resnet50 and resnet18 do")
    name = "resnet50" if hasattr(backbone.layer1[0], "conv3") else "resnet18"
    state = dict(_state(name, weights))
    for surplus in _CLASSIFIER:
        state.pop(surplus, None)
    state["conv1.weight"] = _for_channels(state["conv1.weight"], backbone.conv1.in_channels)
    try:
        backbone.load_state_dict(state)
    except RuntimeError as error:
        raise CheckpointError(f"{weights.file or 'torchvision'}: not the weights of {name}: {error}") from None


def _state(name: str, weights: ImageNetWeights) -> Mapping[str, Tensor]:
    if weights.file is not None:
        return _read(Path(weights.file).expanduser())
    if not weights.download:
        raise UserError(
            f"no ImageNet weights for {name}: give their file (weights: PATH), or allow fetching them (download: true)"
        )
    try:
        chosen = torchvision().models.get_model_weights(name)["IMAGENET1K_V1"]
        fetched: Mapping[str, Tensor] = chosen.get_state_dict(progress=False, check_hash=True)
    except (URLError, OSError) as error:
        raise UserError(f"the ImageNet weights of {name} cannot be fetched ({error}); give their file") from None
    return fetched


def _read(path: Path) -> Mapping[str, Tensor]:
    if not path.is_file():
        raise CheckpointError(f"{path}: no such file, expected ImageNet weights as torchvision saves them")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise CheckpointError(f"{path}: not a file of tensors ({error})") from None
    if not isinstance(state, Mapping) or "conv1.weight" not in state:
        raise CheckpointError(f"{path}: holds no 'conv1.weight', expected ImageNet weights as torchvision saves them")
    return state


def _for_channels(kernel: Tensor, channels: int) -> Tensor:
    """A colour kernel `(O, 3, k, k)` for grey images or any number of channels, keeping the response to grey."""
    if channels == kernel.shape[1]:
        return kernel
    return kernel.sum(1, keepdim=True).expand(-1, channels, -1, -1) / channels
