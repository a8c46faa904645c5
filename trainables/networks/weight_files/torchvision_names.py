"""Names of torchvision's ViT, ConvNeXt, Swin and EfficientNet as those of timm's models; its ResNets' are equal."""

from __future__ import annotations

import re
from collections.abc import Collection

MARKS = ("conv_proj.weight", "features.0.0.weight")
"""First tensors of torchvision's models with other names than timm's."""

_VIT = {
    r"^class_token$": "cls_token",
    r"^conv_proj\.": "patch_embed.proj.",
    r"^encoder\.pos_embedding$": "pos_embed",
    r"^encoder\.layers\.encoder_layer_(\d+)\.": r"blocks.\1.",
    r"^encoder\.ln\.": "norm.",
    r"\.ln_([12])\.": r".norm\1.",
    r"\.self_attention\.in_proj_": ".attn.qkv.",
    r"\.self_attention\.out_proj\.": ".attn.proj.",
    r"\.mlp\.(?:linear_1|0)\.": ".mlp.fc1.",
    r"\.mlp\.(?:linear_2|3)\.": ".mlp.fc2.",
}
_CONVNEXT_BLOCK = {"0": "conv_dw", "2": "norm", "3": "mlp.fc1", "5": "mlp.fc2"}
_SWIN_BLOCK = {"mlp.0": "mlp.fc1", "mlp.3": "mlp.fc2"}


def rename(name: str, expected: Collection[str]) -> str | None:
    """Return timm's name of a tensor of torchvision; None for one that timm's model does not have.

    Args:
        name: torchvision's name.
        expected: names of timm's model.
    """
    if not name.startswith("features."):
        for pattern, replacement in _VIT.items():
            name = re.sub(pattern, replacement, name)
        return name
    if "stem.0.weight" in expected:
        return _rename_convnext(name)
    if "patch_embed.norm.weight" in expected:
        return _rename_swin(name)
    return _rename_efficientnet(name, expected)


def _rename_convnext(name: str) -> str | None:
    """Rename a tensor of ConvNeXt: odd features are stages, even ones halve the image between them."""
    _, number, child, *rest = name.split(".")
    stage, end = (int(number) - 1) // 2, ".".join(rest)
    if number == "0":
        return f"stem.{child}.{end}"
    if int(number) % 2 == 0:
        return f"stages.{int(number) // 2}.downsample.{child}.{end}"
    if end == "layer_scale":
        return f"stages.{stage}.blocks.{child}.gamma"
    _, part, leaf = rest
    return f"stages.{stage}.blocks.{child}.{_CONVNEXT_BLOCK[part]}.{leaf}" if part in _CONVNEXT_BLOCK else None


def _rename_swin(name: str) -> str | None:
    """Rename a tensor of Swin: odd features are stages, even ones merge the patches between them."""
    _, number, child, *rest = name.split(".")
    end = ".".join(rest)
    if number == "0":
        return f"patch_embed.{'proj' if child == '0' else 'norm'}.{end}"
    if int(number) % 2 == 0:
        return f"layers.{int(number) // 2}.downsample.{child}.{end}"
    for part, ours in _SWIN_BLOCK.items():
        end = end.replace(f"{part}.", f"{ours}.")
    return f"layers.{(int(number) - 1) // 2}.blocks.{child}.{end}"


def _rename_efficientnet(name: str, expected: Collection[str]) -> str | None:
    """Rename a tensor of EfficientNet: a stem, stages of blocks, and a last convolution."""
    _, number, child, *rest = name.split(".")
    if rest[0] != "block":
        top = {"0": "conv_stem", "1": "bn1"} if number == "0" else {"0": "conv_head", "1": "bn2"}
        return f"{top[child]}.{'.'.join(rest)}" if child in top else None
    _, part, layer, *leaf = rest
    block = f"blocks.{int(number) - 1}.{child}"
    expands = f"{block}.conv_pwl.weight" in expected
    parts = ["conv_dw", "se", "conv_pw"] if not expands else ["conv_pw", "conv_dw", "se", "conv_pwl"]
    place = int(part)
    if place >= len(parts):
        return None
    if parts[place] == "se":
        return f"{block}.se.{'conv_reduce' if layer == 'fc1' else 'conv_expand'}.{'.'.join(leaf)}"
    norm = f"bn{[each for each in parts if each != 'se'].index(parts[place]) + 1}"
    return f"{block}.{parts[place] if layer == '0' else norm}.{'.'.join(leaf)}"
