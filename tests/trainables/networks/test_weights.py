import pytest
import torch

from trainables.common.errors import CheckpointError
from trainables.networks import UNet, UNetEncoder
from trainables.networks.weights import load_weights, part_of


def network(width=4, depth=2, classes=2):
    return UNet(UNetEncoder(width=width, depth=depth)).build(1, classes)


def test_common_parts_are_loaded_and_other_parts_are_unchanged():
    pretrained, built = network(classes=1), network()
    before = {name: value.clone() for name, value in built.state_dict().items()}
    loaded = {k: v for k, v in pretrained.state_dict().items() if k.startswith(("backbone.", "decoder."))}
    load_weights(built, loaded, partly=True)
    for name, value in built.state_dict().items():
        expected = before[name] if name.startswith("head.") else loaded[name]
        assert torch.equal(value, expected), name


def test_none_leaves_the_network_unchanged():
    built = network()
    before = {name: value.clone() for name, value in built.state_dict().items()}
    load_weights(built, None)
    assert all(torch.equal(value, before[name]) for name, value in built.state_dict().items())


def test_weights_of_another_network_raise_an_error_that_names_the_differences():
    deep = {f"backbone.{k}": v for k, v in UNetEncoder(width=4, depth=3).build(1).state_dict().items()}
    with pytest.raises(CheckpointError, match=r"'backbone\.levels\.3.* is unexpected"):
        load_weights(network(), deep, partly=True)
    wide = {f"backbone.{k}": v for k, v in UNetEncoder(width=8, depth=2).build(1).state_dict().items()}
    with pytest.raises(CheckpointError, match=r"is \(8, 1, 3, 3\), expected \(4, 1, 3, 3\)"):
        load_weights(network(), wide, partly=True)
    with pytest.raises(CheckpointError, match=r"'decoder\..* is missing"):
        load_weights(network(), {k: v for k, v in network().state_dict().items() if "decoder" not in k})


def test_part_of_returns_a_part_by_name():
    state = network().state_dict()
    assert part_of(state, "head").keys() == {"weight", "bias"}
    assert part_of(state, "nothing") == {}
