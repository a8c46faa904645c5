"""Low-rank adapters (Hu et al. 2022, "LoRA") by peft, and the plain weights that they amount to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from torch import Tensor, nn

from trainables.common.errors import UserError
from trainables.networks.libraries import peft

ADAPTER = "lora_"
"""Beginning of the names of peft's adapters within a layer."""

_CONVOLUTIONS = (nn.Conv2d, nn.Conv3d)


@dataclass(frozen=True)
class LoRA:
    """Settings of low-rank adapters (`pip install 'pretext-study[lora]'`).

    Each adapted weight W becomes W + alpha / rank B A, where A and B are trained and W stays; B starts at zero.

    Attributes:
        rank: rank of B A, from 1 up.
        alpha: scale of the adapters, above 0.
        layers: "linear" for linear layers; "conv" for convolutions without groups; "all" for both.
    """

    rank: int = 8
    alpha: float = 16.0
    layers: Literal["linear", "conv", "all"] = "all"

    def __post_init__(self) -> None:
        if self.rank < 1 or not self.alpha > 0:
            raise ValueError(f"rank {self.rank}, alpha {self.alpha}: expected at least 1 and above 0")


def add_adapters(backbone: nn.Module, settings: LoRA) -> None:
    """Add trainable adapters to a backbone's layers, in place; all other weights are frozen.

    Raises:
        UserError: peft is not installed, or the backbone has no such layers.
    """
    layers = [name for name, module in backbone.named_modules() if _is_adapted(module, settings)]
    layers = [name for name in layers if not _reads_weight(backbone, name)]
    if not layers:
        found = f"found no {settings.layers} layers" if settings.layers != "all" else "found no layers to adapt"
        raise UserError(
            f"downstream.transfer.lora.layers: {type(backbone).__name__} has none ({found}). Fix: set it to all"
        )
    config = peft().LoraConfig(r=settings.rank, lora_alpha=settings.alpha, target_modules=layers)
    peft().inject_adapter_in_model(config, backbone)
    for name in layers:
        layer: Any = backbone.get_submodule(name)
        if isinstance(layer.base_layer, _CONVOLUTIONS):  # peft leaves it out
            layer.lora_A["default"].dilation = layer.base_layer.dilation


def adapters(module: nn.Module) -> list[nn.Parameter]:
    """Return the parameters of the adapters inside a module; none where it has no adapters."""
    return [value for name, value in module.named_parameters() if f".{ADAPTER}" in name]


def merged_weights(module: nn.Module) -> dict[str, Tensor]:
    """Return a module's state dict with the adapters added to the weights and the plain layers' names."""
    weights = {
        name.replace(".base_layer.", "."): value
        for name, value in module.state_dict().items()
        if f".{ADAPTER}" not in name
    }
    for name, layer in module.named_modules():
        if hasattr(layer, "base_layer"):
            adapted: Any = layer
            kernel = f"{name}.weight"
            weights[kernel] = weights[kernel] + adapted.get_delta_weight("default").to(weights[kernel].dtype)
    return weights


def _is_adapted(module: nn.Module, settings: LoRA) -> bool:
    linear = isinstance(module, nn.Linear) and settings.layers != "conv"
    return linear or (isinstance(module, _CONVOLUTIONS) and module.groups == 1 and settings.layers != "linear")


def _reads_weight(backbone: nn.Module, name: str) -> bool:
    """Return True for a layer whose block reads its weight and passes by its adapters, as attention of BEiT does."""
    block = backbone.get_submodule(name.rpartition(".")[0])
    return name.endswith("qkv") and getattr(block, "q_bias", None) is not None
