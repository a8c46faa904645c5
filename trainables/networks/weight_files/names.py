"""Naming schemes of weight files, and their names as those of timm's models."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from trainables.networks.weight_files import torchvision_names

Format = Literal["auto", "native", "torchvision", "lightly", "monai", "sam", "efficientnet-pytorch"]
"""Naming scheme of a file; "native" are the encoder's own names, perhaps behind a prefix such as "backbone."."""


@dataclass(frozen=True)
class NameScheme:
    """Naming scheme other than the encoder's own.

    Attributes:
        marks: names of which a file has one.
        rename: function from a name and the encoder's names to the encoder's name; None for a tensor without one.
    """

    marks: tuple[str, ...]
    rename: Callable[[str, Collection[str]], str | None]

    def translate(self, tensors: Mapping[str, Tensor], expected: Collection[str]) -> dict[str, Tensor] | None:
        """Return the tensors by the encoder's names; None for tensors that do not have this scheme."""
        if not any(mark in tensors for mark in self.marks):
            return None
        renamed = {name: self.rename(name, expected) or name for name in tensors}
        return {renamed[name]: value for name, value in tensors.items()}


def _by_patterns(patterns: Mapping[str, str]) -> Callable[[str, Collection[str]], str | None]:
    """Return a function that applies every substitution in turn."""

    def rename(name: str, expected: Collection[str]) -> str:
        for pattern, replacement in patterns.items():
            name = re.sub(pattern, replacement, name)
        return name

    return rename


_SEQUENTIAL_RESNET = {0: "conv1", 1: "bn1", 4: "layer1", 5: "layer2", 6: "layer3", 7: "layer4"}


def _rename_lightly(name: str, expected: Collection[str]) -> str | None:
    """Rename children of `nn.Sequential(*list(resnet.children())[:-1])`."""
    number, _, rest = name.partition(".")
    return (
        f"{_SEQUENTIAL_RESNET[int(number)]}.{rest}" if number.isdigit() and int(number) in _SEQUENTIAL_RESNET else None
    )


_EFFICIENTNET_TOP = {
    "_conv_stem": "conv_stem",
    "_bn0": "bn1",
    "_conv_head": "conv_head",
    "_bn1": "bn2",
    "_fc": "classifier",
}
_EFFICIENTNET_BLOCK = {
    "_expand_conv": "conv_pw",
    "_bn0": "bn1",
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn2",
    "_project_conv": "conv_pwl",
    "_bn2": "bn3",
    "_se_reduce": "se.conv_reduce",
    "_se_expand": "se.conv_expand",
}
_EFFICIENTNET_FIRST_BLOCK = {**_EFFICIENTNET_BLOCK, "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}
"""Names in a block without an expansion."""


def _rename_efficientnet(name: str, expected: Collection[str]) -> str | None:
    """Rename a tensor of EfficientNet-PyTorch or of MONAI's EfficientNet; only the latter groups blocks by stage."""
    match = re.fullmatch(r"_blocks\.(\d+)\.(?:(\d+)\.)?(_\w+)\.(.+)", name)
    if match is None:
        part, _, rest = name.partition(".")
        return f"{_EFFICIENTNET_TOP[part]}.{rest}" if part in _EFFICIENTNET_TOP else None
    number, within, part, rest = match.groups()
    blocks = sorted(
        {tuple(map(int, each.split(".")[1:3])) for each in expected if re.match(r"blocks\.\d+\.\d+\.", each)}
    )
    if within is not None:
        block: tuple[int, ...] = (int(number), int(within))
    elif int(number) < len(blocks):
        block = blocks[int(number)]
    else:
        return None
    place = ".".join(map(str, block))
    names = _EFFICIENTNET_BLOCK if f"blocks.{place}.conv_pwl.weight" in expected else _EFFICIENTNET_FIRST_BLOCK
    return f"blocks.{place}.{names[part]}.{rest.removeprefix('conv.')}" if part in names else None


SCHEMES: Mapping[str, NameScheme] = {
    "torchvision": NameScheme(torchvision_names.MARKS, torchvision_names.rename),
    "lightly": NameScheme(("4.0.conv1.weight",), _rename_lightly),
    "monai": NameScheme(
        ("patch_embedding.patch_embeddings.weight", "patch_embedding.position_embeddings"),
        _by_patterns(
            {
                r"^patch_embedding\.patch_embeddings\.(?:1\.)?": "patch_embed.proj.",
                r"^patch_embedding\.position_embeddings$": "pos_embed",
                r"^patch_embedding\.cls_token$": "cls_token",
                r"\.mlp\.linear(\d)\.": r".mlp.fc\1.",
                r"\.attn\.out_proj\.": ".attn.proj.",
            }
        ),
    ),
    "sam": NameScheme(("blocks.0.mlp.lin1.weight",), _by_patterns({r"\.mlp\.lin(\d)\.": r".mlp.fc\1."})),
    "efficientnet-pytorch": NameScheme(("_conv_stem.weight", "_conv_stem.conv.weight"), _rename_efficientnet),
}
"""Schemes by name, tried in this order."""
