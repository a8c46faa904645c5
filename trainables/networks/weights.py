"""Putting weights of one network into another: every one that is asked for, or an error that names what differs."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from trainables.common.errors import CheckpointError


def load_weights(network: nn.Module, weights: Mapping[str, Tensor] | None, *, partly: bool = False) -> None:
    """Load weights in place.

    Args:
        network: whose parts ("backbone", "decoder") are its children.
        weights: by key, "backbone...." and perhaps "decoder...."; None leaves the network as it is.
        partly: whether a part of the network, or of the weights, may have no counterpart. Within a part that both have,
            every weight must fit.

    Raises:
        CheckpointError: the weights are another network's; the message names what differs.
    """
    if weights is None:
        return
    expected = network.state_dict()
    if partly:
        common = {part for part, _ in network.named_children()} & {key.partition(".")[0] for key in weights}
        expected = {key: value for key, value in expected.items() if key.partition(".")[0] in common}
        weights = {key: value for key, value in weights.items() if key.partition(".")[0] in common}
    problems = _differences(expected, weights)
    if problems:
        shown = "; ".join(problems[:4])
        raise CheckpointError(f"the pretrained weights do not fit the network: {len(problems)} differences, {shown}")
    network.load_state_dict(dict(weights), strict=False)


def part_of(weights: Mapping[str, Tensor], part: str) -> dict[str, Tensor]:
    """The weights of one part, its prefix dropped; empty when there are none."""
    return {key.removeprefix(f"{part}."): value for key, value in weights.items() if key.startswith(f"{part}.")}


def _differences(expected: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> list[str]:
    missing = [f"'{name}' is missing" for name in expected if name not in found]
    surplus = [f"'{name}' is not part of it" for name in found if name not in expected]
    shapes = [
        f"'{name}' is {tuple(found[name].shape)}, expected {tuple(expected[name].shape)}"
        for name in expected
        if name in found and found[name].shape != expected[name].shape
    ]
    return [*shapes, *missing, *surplus]
