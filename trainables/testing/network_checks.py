"""Checks of backbones and segmentation networks."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from trainables.networks.backbones import Backbone, BackboneSettings
from trainables.networks.network import NetworkSettings
from trainables.networks.weights import load_weights

SIZE = 64
"""Side of the square images that the checks use."""


def features_have_the_stated_channels(settings: BackboneSettings) -> None:
    """Check that `features` returns a map for each of `channels`, from large to small."""
    backbone = _backbone(settings)
    maps = backbone.features(_images())
    assert tuple(each.shape[1] for each in maps) == backbone.channels
    sides = [each.shape[-1] for each in maps]
    assert sides == sorted(sides, reverse=True), f"expected maps from large to small, found the sides {sides}"
    assert torch.equal(backbone(_images()), maps[-1]), "calling the backbone must return its deepest map"


def features_have_the_stated_strides(settings: BackboneSettings) -> None:
    """Check that a feature map has one row for `strides` rows of the image, from which decoders are sized."""
    backbone = _backbone(settings)
    sides = [each.shape[-1] for each in backbone.features(_images())]
    expected = tuple(round(SIZE / stride) for stride in backbone.strides)
    assert tuple(sides) == expected, (
        f"found maps of sides {sides}, expected {list(expected)} for images of {SIZE} pixels"
    )


def stages_hold_each_parameter_once(settings: BackboneSettings) -> None:
    """Check that `stages` divides all parameters, so that layer decay reaches each of them once."""
    backbone = _backbone(settings)
    staged = [parameter for stage in backbone.stages() for parameter in stage.parameters()]
    assert len(staged) == len({id(each) for each in staged}), "a parameter is in two stages"
    missing = [name for name, each in backbone.named_parameters() if all(each is not other for other in staged)]
    assert not missing, f"in no stage: {missing[:4]}"


def a_seed_repeats_the_weights(settings: BackboneSettings | NetworkSettings) -> None:
    """Check that weights are drawn from torch's global generator and from nothing else."""
    one, again, other = (_build(settings, seed).state_dict() for seed in (0, 0, 1))
    assert all(torch.equal(one[key], again[key]) for key in one), "two builds of one seed differ"
    assert any(not torch.equal(one[key], other[key]) for key in one), "the seed changes nothing"


def inputs_may_have_several_channels(settings: BackboneSettings) -> None:
    """Check that a backbone is built for the images' number of channels."""
    for channels in (1, 2, 3):
        torch.manual_seed(0)
        assert settings.build(channels).eval()(torch.rand(2, channels, SIZE, SIZE)).isfinite().all()


def logits_have_the_size_of_the_images(settings: NetworkSettings) -> None:
    """Check that a network returns logits of every class for every pixel, of every frame of a network over time."""
    logits = _build(settings, 0).eval()(_images(settings))
    expected = (2, 3, *([settings.frames] if settings.temporal else []), SIZE, SIZE)
    assert tuple(logits.shape) == expected, f"found logits {tuple(logits.shape)}, expected {expected}"
    assert logits.isfinite().all()


def gradients_reach_every_parameter(settings: NetworkSettings) -> None:
    """Check that every parameter takes part in the segmentation."""
    network = _build(settings, 0)
    network(_images(settings)).square().mean().backward()
    idle = [name for name, each in network.named_parameters() if each.requires_grad and each.grad is None]
    assert not idle, f"without a gradient: {idle[:4]}"


def parts_are_named_as_transfer_expects(settings: NetworkSettings) -> None:
    """Check that parameters lie in `backbone`, `decoder` and `head`, which fine-tuning loads, freezes and scales."""
    network = _build(settings, 0)
    parts = {name.partition(".")[0] for name in network.state_dict()}
    assert parts <= {"backbone", "decoder", "head"}, f"found the parts {sorted(parts)}"
    assert {"backbone", "head"} <= parts


def weights_can_be_stored_and_loaded(settings: NetworkSettings) -> None:
    """Check that a network with another network's weights returns its logits."""
    one, other = _build(settings, 0).eval(), _build(settings, 1).eval()
    load_weights(other, one.state_dict())
    with torch.no_grad():
        assert torch.equal(one(_images(settings)), other(_images(settings)))


def images_are_segmented_independently(settings: NetworkSettings) -> None:
    """Check that, in evaluation, an image's logits do not depend on the others of its batch."""
    network, images = _build(settings, 0).eval(), _images(settings)
    with torch.no_grad():
        torch.testing.assert_close(network(images)[:1], network(images[:1]), atol=1e-4, rtol=1e-4)


BACKBONE_CHECKS: tuple[Callable[[BackboneSettings], None], ...] = (
    features_have_the_stated_channels,
    features_have_the_stated_strides,
    stages_hold_each_parameter_once,
    a_seed_repeats_the_weights,
    inputs_may_have_several_channels,
)
"""Checks of a backbone."""

NETWORK_CHECKS: tuple[Callable[[NetworkSettings], None], ...] = (
    logits_have_the_size_of_the_images,
    gradients_reach_every_parameter,
    parts_are_named_as_transfer_expects,
    weights_can_be_stored_and_loaded,
    images_are_segmented_independently,
    a_seed_repeats_the_weights,
)
"""Checks of a segmentation network."""


def _images(settings: NetworkSettings | None = None) -> Tensor:
    frames = (settings.frames,) if settings is not None and settings.temporal else ()
    return torch.rand(2, 1, *frames, SIZE, SIZE, generator=torch.Generator().manual_seed(0))


def _backbone(settings: BackboneSettings) -> Backbone:
    torch.manual_seed(0)
    return settings.build(1).eval()


def _build(settings: BackboneSettings | NetworkSettings, seed: int) -> nn.Module:
    torch.manual_seed(seed)
    return settings.build(1, 3) if isinstance(settings, NetworkSettings) else settings.build(1)
