"""Networks of segmentation_models_pytorch: equal to the library's, pretrained as any backbone."""

from typing import get_args

import pytest
import torch
from toys import toy_store

from trainables.augment.policy import Policy
from trainables.engine.optim.optimizers import SGD
from trainables.engine.runtime import LocalRuntime
from trainables.engine.settings import FitSettings
from trainables.networks import UNet
from trainables.networks.libraries import smp
from trainables.networks.smp_networks import Arch, Smp, SmpEncoder
from trainables.networks.weight_files.load import load_file
from trainables.networks.weight_files.read import WeightsFile
from trainables.pretext.masked import MaskedModelling, visible_features
from trainables.pretext.pretrain import PretextSettings, pretrain
from trainables.pretext.simclr import SimCLR

STORE = toy_store(12, size=32)
ENCODERS = ["resnet18", "mit_b0", "tu-convnext_atto", "tu-test_efficientnet"]


def settings(arch: str, encoder: str) -> Smp:
    return Smp(SmpEncoder(encoder, 16 if arch == "DeepLabV3Plus" else None), arch=arch)


@pytest.mark.parametrize("arch", get_args(Arch))
@pytest.mark.parametrize("encoder", ["resnet18", "mit_b0"])
def test_decoded_features_are_the_librarys_own(arch, encoder):
    if (arch, encoder) in (("DeepLabV3Plus", "mit_b0"), ("UnetPlusPlus", "mit_b0")):
        pytest.skip("the library has no such pair")
    torch.manual_seed(0)
    ours = settings(arch, encoder).build(1, 3).eval()
    stride = {"encoder_output_stride": 16} if arch == "DeepLabV3Plus" else {}
    theirs = getattr(smp(), arch)(encoder, encoder_weights=None, in_channels=1, classes=3, **stride).eval()
    theirs.encoder.load_state_dict(ours.backbone.model.state_dict())
    theirs.decoder.load_state_dict(ours.decoder.decoder.state_dict())
    images = torch.randn(2, 1, 64, 64)
    expected = theirs.decoder(theirs.encoder(images))
    torch.testing.assert_close(ours.decoder(ours.backbone.features(images)), expected, rtol=0, atol=1e-6)
    assert ours(images).shape == (2, 3, 64, 64)


@pytest.mark.parametrize("encoder", ENCODERS)
def test_every_parameter_is_in_one_stage_and_trained(encoder):
    network = settings("Unet", encoder).build(1, 3)
    held = [id(p) for stage in network.backbone.stages() for p in stage.parameters()]
    assert sorted(held) == sorted(id(p) for p in network.backbone.parameters())
    network(torch.randn(2, 1, 64, 64)).square().mean().backward()
    assert not [name for name, p in network.named_parameters() if p.grad is None]
    maps = network.backbone.features(torch.randn(2, 1, 64, 64))
    assert tuple(each.shape[1] for each in maps) == network.backbone.channels
    assert tuple(64 // each.shape[2] for each in maps) == network.backbone.strides


@pytest.mark.parametrize("encoder", ["resnet18", "tu-test_efficientnet"])
@pytest.mark.parametrize("method", [SimCLR(projection=4), MaskedModelling(patch=8)], ids=["simclr", "masked"])
def test_an_encoder_is_pretrained_as_any_backbone(encoder, method):
    fitting = FitSettings(1, 4, SGD(lr=0.1), precision="float32", steps_per_epoch=1)
    step = PretextSettings(method, fitting, Policy(blur=None), guard="off")
    network = settings("FPN", encoder)
    done = pretrain(step, network, STORE, LocalRuntime(), seed=0)
    start = {key: value for key, value in done.weights.items() if key.startswith("backbone.")}
    built = network.build(1, 2)
    assert not built.load_state_dict(start, strict=False).unexpected_keys


@pytest.mark.parametrize("encoder", ["resnet18", "efficientnet-b0", "tu-test_efficientnet", "tu-convnext_atto"])
def test_masked_patches_stay_empty_inside_an_encoder(encoder):
    torch.manual_seed(0)
    visible = torch.zeros(1, 1, 128, 128, dtype=torch.bool)
    visible[..., :64] = True
    maps = visible_features(SmpEncoder(encoder).build(1), torch.randn(4, 1, 128, 128), visible)
    for each in maps:
        half = each.shape[-1] // 2
        assert float(each[..., half:].abs().max()) == 0
        assert float(each[..., :half].abs().max()) > 0


def test_weights_of_torchvision_load(tmp_path):
    theirs = SmpEncoder("resnet18").build(3).model.state_dict()  # torchvision's names
    torch.save({**theirs, "fc.weight": torch.zeros(1000, 512)}, tmp_path / "resnet18.pth")
    report = load_file(SmpEncoder("resnet18").build(1), WeightsFile(str(tmp_path / "resnet18.pth")))
    assert (report.share, report.adapted, report.left_over) == (1.0, ("conv1.weight",), ("fc.weight",))


def test_what_cannot_be_built_is_refused():
    with pytest.raises(ValueError, match=r"has no encoder 'resnet33'; did you mean 'resnet34'\?"):
        SmpEncoder("resnet33")
    with pytest.raises(ValueError, match=r"did you mean 'tu-convnext_tiny'\?"):
        SmpEncoder("tu-convnext_tinny")
    with pytest.raises(ValueError, match=r"output_stride is null, expected 16 or 8 for DeepLabV3Plus"):
        Smp(arch="DeepLabV3Plus")
    with pytest.raises(ValueError, match="smp requires the backbone smp"):
        Smp(UNet().backbone)
