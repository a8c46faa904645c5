"""Backbones of timm: any encoder that it lists, with random weights; nothing is downloaded."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from trainables.common.errors import UserError, did_you_mean
from trainables.networks.backbones import Backbone, BackboneSettings
from trainables.networks.libraries import timm

TOKEN_LEVELS = 4
"""Number of feature maps of an encoder with a single stride, such as a ViT: those after each quarter of its blocks."""

FLEXIBLE: tuple[Mapping[str, Any], ...] = ({"strict_img_size": False}, {"dynamic_img_size": True}, {})
"""Arguments with which a model takes images of other sizes than its own; a model knows one of the first two or none."""

FINAL_NORM = "norm"
"""Child of a model that normalizes the last block's tokens."""


@dataclass(frozen=True)
class Timm(BackboneSettings):
    """Settings of an encoder of timm (`pip install 'pretext-study[timm]'`), initialized at random.

    A pyramid (ResNet, EfficientNet, ConvNeXt, Swin, ...) returns the feature maps of timm's `features_only`. An encoder
    with a single stride, such as a ViT, returns four maps, after each quarter of its blocks, each followed by the
    encoder's last normalization. A ViT takes images of any size that its patches divide; its position embeddings are
    interpolated.

    Attributes:
        model: name of the model, such as "convnext_tiny"; a tag of pretrained weights is ignored.
        output_stride: stride of the deepest features, 8 or 16, kept by dilation; None, the default, for the model's.
        image_size: side of the images for which the model is built, in pixels, from 1 up; None for its own. Set it for
            a model that takes images of one size only.

    Example:
        >>> Timm("resnet10t").build(in_channels=1).channels
        (64, 64, 128, 256, 512)
    """

    model: str
    output_stride: int | None = None
    image_size: int | None = None

    def __post_init__(self) -> None:
        if self.output_stride not in (None, 8, 16):
            raise ValueError(f"output_stride is {self.output_stride}, expected 8, 16 or null")
        if self.image_size is not None and self.image_size < 1:
            raise ValueError(f"image_size is {self.image_size}, expected a whole number of pixels from 1 up")
        name = self.model.partition(".")[0]
        if not timm().is_model(name):
            raise ValueError(f"timm has no model '{name}'{did_you_mean(name, _similar(name))}")

    def build(self, in_channels: int) -> TimmBackbone:
        """Return the encoder for images with `in_channels` channels.

        Raises:
            UserError: the model has no feature maps, or does not support a setting.
        """
        chosen = {"output_stride": self.output_stride, "img_size": self.image_size}
        return TimmBackbone(self.model, in_channels, {name: v for name, v in chosen.items() if v is not None})


class TimmBackbone(Backbone):
    """Model of timm without its classifier; parameters keep timm's names behind "model.".

    Args:
        name: name of the model.
        in_channels: number of channels of the images.
        arguments: further arguments of timm's `create_model`.

    Attributes:
        model: timm's model, or its `features_only` wrapper for a model without `forward_intermediates`.
    """

    def __init__(self, name: str, in_channels: int, arguments: Mapping[str, Any]) -> None:
        super().__init__()
        self.model = _create(name, in_chans=in_channels, num_classes=0, **arguments)
        self._returns_levels = hasattr(self.model, "forward_intermediates")
        self._joined: dict[str, str] = {}
        if not self._returns_levels:
            self._joined = {each.replace(".", "_", 1): each for each in self.model.state_dict()}
            self.model = _create(name, in_chans=in_channels, features_only=True, **arguments)
        levels = _feature_maps(name, self.model)
        strides = [level["reduction"] for level in levels]
        self.single_stride = len(set(strides)) == 1 and len(levels) > 1
        self._levels = list(range(len(levels)))
        if self.single_stride:
            count = min(TOKEN_LEVELS, len(levels))
            self._levels = [len(levels) * (quarter + 1) // count - 1 for quarter in range(count)]
        if self._returns_levels:
            self.model.prune_intermediate_layers(self._levels, prune_norm=not self.single_stride, prune_head=False)
            _drop_after(self.model, str(levels[self._levels[-1]]["module"]), keep_norm=self.single_stride)
        self.channels = tuple(int(levels[index]["num_chs"]) for index in self._levels)
        self.strides = tuple(int(strides[index]) for index in self._levels)
        self._modules_of_levels = [str(levels[index]["module"]) for index in self._levels]

    def stages(self) -> list[nn.Module]:
        """Return the parameters up to each feature map, in the order of their definition; the last has the rest."""
        order = {id(parameter): place for place, parameter in enumerate(self.parameters())}
        seen, ends = -1, {}
        for module in self.modules():
            seen = max([seen, *(order[id(p)] for p in module.parameters(recurse=False))])
            ends[id(module)] = max((order[id(p)] for p in module.parameters()), default=seen)
        bounds = [ends[id(module)] for module in self._level_modules()][:-1]
        stages: list[list[nn.Parameter]] = [[] for _ in range(len(bounds) + 1)]
        for place, parameter in enumerate(self.parameters()):
            stages[sum(place > bound for bound in bounds)].append(parameter)
        return [nn.ParameterList(stage) for stage in stages if stage]

    def masked_modules(self) -> list[nn.Module]:
        """Return the modules of the feature maps; none where they are tokens, or have their channels last."""
        layout = getattr(self.model, "output_fmt", "NCHW")
        channels_last = str(getattr(layout, "value", layout)) != "NCHW"
        return [] if self.single_stride or channels_last else self._level_modules()

    def published_name(self, name: str) -> str:
        """Return timm's name; the wrapper of `features_only` joins the first two parts of some names by "_"."""
        name = name.removeprefix("model.")
        return self._joined.get(name, name)

    def features(self, images: Tensor) -> list[Tensor]:
        """Return the feature maps, shallow to deep."""
        if not self._returns_levels:
            return list(self.model(images))
        found: list[Tensor] = self.model.forward_intermediates(
            images, indices=self._levels, norm=self.single_stride, output_fmt="NCHW", intermediates_only=True
        )
        return found

    def _level_modules(self) -> list[nn.Module]:
        """Return the modules of the feature maps; the wrapper of `features_only` joins parts of their names by "_"."""
        named = dict(self.model.named_modules())
        names = ((name, name.replace(".", "_", 1)) for name in self._modules_of_levels)
        return [named[each] for pair in names for each in dict.fromkeys(pair) if each in named]


def _drop_after(model: nn.Module, last: str, *, keep_norm: bool) -> None:
    """Remove the children of a model behind the one with its last feature map, such as the classifier."""
    children = list(model._modules)
    for name in children[children.index(last.partition(".")[0]) + 1 :]:
        if not (keep_norm and name == FINAL_NORM):
            setattr(model, name, nn.Identity())


def _create(name: str, **arguments: Any) -> Any:
    """Return a model of timm without pretrained weights, for images of several sizes if it supports that.

    Raises:
        UserError: the model does not support an argument.
    """
    for flexible in FLEXIBLE:
        try:
            return timm().create_model(name, pretrained=False, **arguments, **flexible)
        except TypeError as error:
            if "unexpected keyword" not in str(error):
                raise
            refused = next((each for each in arguments if f"'{each}'" in str(error)), None)
            if not flexible and refused is not None:
                setting = {"img_size": "image_size"}.get(refused, refused)
                raise UserError(
                    f"network.backbone.{setting}: {name} has no such setting. Fix: set it to null"
                ) from None
        except (NotImplementedError, AssertionError, RuntimeError, AttributeError) as error:
            if "features_only" not in arguments:
                raise
            raise UserError(f"network.backbone.model: {name} has no feature maps ({error})") from error
    raise UserError(f"network.backbone.model: {name} cannot be built for {arguments['in_chans']} channels")


def _feature_maps(name: str, model: Any) -> list[dict[str, Any]]:
    """Return number of channels, stride and module of each feature map of a model."""
    info = getattr(model, "feature_info", None)
    levels: list[dict[str, Any]] = list(getattr(info, "get_dicts", lambda: info or [])())
    if not levels:
        raise UserError(f"network.backbone.model: {name} has no feature maps. Fix: choose another model of timm")
    return levels


def _similar(name: str) -> Iterable[str]:
    """Return timm's models that share the beginning of a name; a few families if there are none."""
    family = name.replace("-", "_").partition("_")[0]
    found: list[str] = timm().list_models(f"{family[:4]}*")
    return found or (
        "resnet50",
        "convnext_tiny",
        "efficientnet_b0",
        "vit_small_patch16_224",
        "swin_tiny_patch4_window7_224",
    )
