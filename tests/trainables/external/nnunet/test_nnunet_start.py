"""Checkpoints of nnU-Net and nnssl as initial weights of a planned network."""

import numpy as np
import pytest
import torch
from torch import nn

from trainables.common.errors import CheckpointError
from trainables.external.nnunet.start import check_start, load_start
from trainables.networks.weight_files.read import WeightsFile

architectures = pytest.importorskip("dynamic_network_architectures.architectures.unet")


def planned(features=(4, 8), classes: int = 2) -> nn.Module:
    network: nn.Module = architectures.PlainConvUNet(
        1, 2, features, nn.Conv2d, 3, (1, 2), (1, 1), classes, (1,), True, nn.InstanceNorm2d, {}, nonlin=nn.LeakyReLU
    )
    return network


def saved(tmp_path, weights, **beside) -> WeightsFile:
    path = tmp_path / "checkpoint.pth"
    torch.save({"network_weights": weights, **beside}, path)
    return WeightsFile(str(path))


def test_a_checkpoint_gives_all_but_the_layers_of_the_classes(tmp_path):
    theirs, ours = planned(), planned(classes=3)
    logged = {"logging": {"ema_fg_dice": [np.float64(0.5)]}, "init_args": {"fold": 0}, "current_epoch": 3}
    report = load_start(ours, saved(tmp_path, theirs.state_dict(), **logged))
    assert report.missing == ()
    assert all(".seg_layers." in name for name in report.left_over)
    for name, value in ours.state_dict().items():
        assert torch.equal(value, theirs.state_dict()[name]) == (".seg_layers." not in name), name


def test_an_encoder_alone_starts_the_encoder(tmp_path):
    theirs, ours = planned(), planned()
    before = {name: value.clone() for name, value in ours.state_dict().items()}
    encoder = {name: value for name, value in theirs.state_dict().items() if name.startswith("encoder.")}
    load_start(ours, saved(tmp_path, {f"module.{name}": value for name, value in encoder.items()}))
    assert torch.equal(ours.encoder.state_dict()["stages.0.0.convs.0.conv.weight"], encoder[FIRST])
    decoder = "decoder.stages.0.convs.0.conv.weight"
    assert torch.equal(ours.state_dict()[decoder], before[decoder])


FIRST = "encoder.stages.0.0.convs.0.conv.weight"


def test_other_networks_are_refused(tmp_path):
    with pytest.raises(CheckpointError, match="nnU-Net planned another encoder for these data than the file's"):
        load_start(planned((8, 16)), saved(tmp_path, planned().state_dict()))
    check_start(saved(tmp_path, planned().state_dict()))
    with pytest.raises(CheckpointError, match=r"has no encoder of nnU-Net \(found conv1.weight"):
        check_start(saved(tmp_path, {"conv1.weight": torch.zeros(2)}))
