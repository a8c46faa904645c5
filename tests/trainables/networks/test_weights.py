import pytest
import torch

from trainables.common.errors import CheckpointError
from trainables.networks import UNet, UNetEncoder
from trainables.networks.weights import load_weights, part_of


def network(width=4, depth=2, classes=2):
    return UNet(UNetEncoder(width=width, depth=depth)).build(1, classes)


def test_parts_that_both_have_are_loaded_and_the_rest_stays():
    theirs, mine = network(classes=1), network()
    before = {name: value.clone() for name, value in mine.state_dict().items()}
    kept = {k: v for k, v in theirs.state_dict().items() if k.startswith(("backbone.", "decoder."))}
    load_weights(mine, kept, partly=True)
    for name, value in mine.state_dict().items():
        expected = before[name] if name.startswith("head.") else kept[name]
        assert torch.equal(value, expected), name


def test_nothing_to_load_changes_nothing():
    mine = network()
    before = {name: value.clone() for name, value in mine.state_dict().items()}
    load_weights(mine, None)
    assert all(torch.equal(value, before[name]) for name, value in mine.state_dict().items())


def test_another_networks_weights_are_refused_with_what_differs():
    deep = {f"backbone.{k}": v for k, v in UNetEncoder(width=4, depth=3).build(1).state_dict().items()}
    with pytest.raises(CheckpointError, match=r"'backbone\.levels\.3.* is not part of it"):
        load_weights(network(), deep, partly=True)
    wide = {f"backbone.{k}": v for k, v in UNetEncoder(width=8, depth=2).build(1).state_dict().items()}
    with pytest.raises(CheckpointError, match=r"is \(8, 1, 3, 3\), expected \(4, 1, 3, 3\)"):
        load_weights(network(), wide, partly=True)
    with pytest.raises(CheckpointError, match=r"'decoder\..* is missing"):
        load_weights(network(), {k: v for k, v in network().state_dict().items() if "decoder" not in k})


def test_a_part_by_its_name():
    whole = network().state_dict()
    assert part_of(whole, "head").keys() == {"weight", "bias"}
    assert part_of(whole, "nothing") == {}
