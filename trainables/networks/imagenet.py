"""Initialization of residual backbones with torchvision's ImageNet weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.error import URLError

import torch
from torch import Tensor

from trainables.common.errors import CheckpointError, UserError
from trainables.networks.backbones import Backbone, BackboneSettings
from trainables.networks.resnet import ResNet, ResNet18, ResNet50
from trainables.networks.torchvision_ops import torchvision
from trainables.networks.weight_files.adapt import adapt_channels

_CLASSIFIER = ("fc.weight", "fc.bias")


@dataclass(frozen=True)
class ImageNetWeights:
    """Source of torchvision's ImageNet weights.

    Attributes:
        file: path of a state dict as torchvision downloads it; None by default.
        download: True downloads the weights if `file` is None; False, the default, never downloads anything.
    """

    file: str | None = None
    download: bool = False


def has_imagenet_weights(backbone: BackboneSettings) -> bool:
    """Return True if torchvision has ImageNet weights for a backbone."""
    return isinstance(backbone, ResNet50 | ResNet18)


def load_imagenet(backbone: Backbone, weights: ImageNetWeights) -> None:
    """Load ImageNet weights into a residual backbone, adapted to its number of input channels.

    Args:
        backbone: ResNet-50 or ResNet-18 whose weights are replaced.
        weights: file of the weights, or permission to download them.

    Raises:
        UserError: the backbone has no ImageNet weights, there is neither a file nor permission to download, or the
            download fails.
        CheckpointError: the file is missing or does not contain the weights of this backbone.
    """
    if not isinstance(backbone, ResNet):
        raise UserError(f"{type(backbone).__name__} has no ImageNet weights. Fix: use resnet50 or resnet18")
    name = "resnet50" if hasattr(backbone.layer1[0], "conv3") else "resnet18"
    state = dict(_state(name, weights))
    for key in _CLASSIFIER:
        state.pop(key, None)
    state["conv1.weight"] = adapt_channels(state["conv1.weight"], backbone.conv1.in_channels)
    try:
        backbone.load_state_dict(state)
    except RuntimeError as error:
        raise CheckpointError(f"{weights.file or 'torchvision'}: expected the weights of {name}: {error}") from None


def _state(name: str, weights: ImageNetWeights) -> Mapping[str, Tensor]:
    if weights.file is not None:
        return _read(Path(weights.file).expanduser())
    if not weights.download:
        raise UserError(
            f"the ImageNet weights of {name} have no source. Fix: set their file (weights: PATH) or download: true"
        )
    try:
        chosen = torchvision().models.get_model_weights(name)["IMAGENET1K_V1"]
        downloaded: Mapping[str, Tensor] = chosen.get_state_dict(progress=False, check_hash=True)
    except (URLError, OSError) as error:
        raise UserError(
            f"the ImageNet weights of {name} cannot be downloaded ({error}). Fix: set their file (weights: PATH)"
        ) from None
    return downloaded


def _read(path: Path) -> Mapping[str, Tensor]:
    if not path.is_file():
        raise CheckpointError(f"{path}: no such file, expected ImageNet weights as torchvision saves them")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise CheckpointError(f"{path}: not a file of tensors ({error})") from None
    if not isinstance(state, Mapping) or "conv1.weight" not in state:
        raise CheckpointError(f"{path}: has no 'conv1.weight', expected ImageNet weights as torchvision saves them")
    return state
