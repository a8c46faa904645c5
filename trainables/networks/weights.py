"""Loading pretrained weights: all requested weights are loaded, or an error names the differences."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from trainables.common.errors import CheckpointError


def load_weights(network: nn.Module, weights: Mapping[str, Tensor] | None, *, partly: bool = False) -> None:
    """Load pretrained weights into a network, in place.

    Args:
        network: network with the children "backbone", "decoder" and "head", its parts.
        weights: tensors by name ("backbone....", "decoder...."); None leaves the network unchanged.
        partly: True loads the parts that both network and weights have, and ignores the others; False, the default,
            requires each part. All weights of a loaded part must fit.

    Raises:
        CheckpointError: names or shapes differ; the message names up to four differences.
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
    """Return the weights of one part by name, without the part's prefix; empty if there are none.

    Example:
        >>> list(part_of({"backbone.conv.weight": Tensor(), "head.bias": Tensor()}, "backbone"))
        ['conv.weight']
    """
    return {key.removeprefix(f"{part}."): value for key, value in weights.items() if key.startswith(f"{part}.")}


def _differences(expected: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> list[str]:
    """Return a description of each difference: shapes first, then missing and unexpected names."""
    missing = [f"'{name}' is missing" for name in expected if name not in found]
    unexpected = [f"'{name}' is unexpected" for name in found if name not in expected]
    shapes = [
        f"'{name}' is {tuple(found[name].shape)}, expected {tuple(expected[name].shape)}"
        for name in expected
        if name in found and found[name].shape != expected[name].shape
    ]
    return [*shapes, *missing, *unexpected]
