"""How a downstream network starts: from nothing, from ImageNet, or from a pretrained backbone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from trainables.errors import CheckpointError


def load_backbone(backbone: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Load a pretrained backbone's weights, every one of them.

    Raises:
        CheckpointError: the weights are another network's; the message names what differs.
    """
    expected = backbone.state_dict()
    problems = _differences(expected, state)
    if problems:
        shown = "; ".join(problems[:4])
        raise CheckpointError(f"the pretrained backbone does not fit the network: {len(problems)} differences, {shown}")
    backbone.load_state_dict(dict(state))


def _differences(expected: Mapping[str, Tensor], found: Mapping[str, Any]) -> list[str]:
    missing = [f"'{name}' is missing" for name in expected if name not in found]
    surplus = [f"'{name}' is not part of it" for name in found if name not in expected]
    shapes = [
        f"'{name}' is {tuple(found[name].shape)}, expected {tuple(expected[name].shape)}"
        for name in expected
        if name in found and found[name].shape != expected[name].shape
    ]
    return [*shapes, *missing, *surplus]
