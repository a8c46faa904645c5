import pytest
import torch
from torch import nn

from trainables.common.errors import CheckpointError, UserError
from trainables.networks import BACKBONES, NETWORKS
from trainables.networks.backbones import BackboneSettings
from trainables.networks.deeplabv3 import DeepLabV3
from trainables.networks.imagenet import ImageNetWeights, load_imagenet
from trainables.networks.light_decoders import Linear, Setr
from trainables.networks.network import NetworkSettings
from trainables.networks.resnet import ResNet18, ResNet50, TinyResNet
from trainables.networks.torchvision_ops import torchvision
from trainables.networks.unet import UNet, UNetEncoder

SMALL: list[NetworkSettings] = [
    DeepLabV3(backbone=TinyResNet(width=8), rates=(1, 2), width=8),
    DeepLabV3(backbone=ResNet18(), rates=(1, 2), width=8),
    UNet(backbone=UNetEncoder(width=4, depth=2)),
    UNet(backbone=UNetEncoder(width=4, depth=3, norm="instance")),
    UNet(backbone=UNetEncoder(width=4, depth=1, norm="none")),
    UNet(backbone=ResNet18()),
    UNet(backbone=TinyResNet(width=4)),
    DeepLabV3(backbone=UNetEncoder(width=4, depth=2), rates=(1, 2), width=8),
    Setr(backbone=TinyResNet(width=8), width=8),
]


@pytest.mark.parametrize("settings", SMALL, ids=str)
@pytest.mark.parametrize("size", [(32, 32), (37, 50)])
def test_every_pixel_is_classified_and_every_weight_trained(settings, size):
    network = settings.build(2, 3)
    logits = network(torch.randn(2, 2, *size))
    assert logits.shape == (2, 3, *size)
    logits.square().mean().backward()
    assert [name for name, p in network.named_parameters() if p.grad is None] == []


def test_torchvisions_resnet50_loads_in_both_directions():
    ours, theirs = ResNet50(dilated=True).build(3), torchvision().models.resnet50()
    loaded = theirs.load_state_dict(ours.state_dict(), strict=False)
    assert loaded.missing_keys == ["fc.weight", "fc.bias"]
    assert loaded.unexpected_keys == []
    theirs.eval()
    undilated = ResNet50(dilated=False).build(3)
    undilated.load_state_dict(ours.state_dict())
    undilated.eval()
    images = torch.randn(1, 3, 64, 64)
    expected = nn.Sequential(*list(theirs.children())[:-2])(images)
    torch.testing.assert_close(undilated(images), expected)


@pytest.mark.parametrize(("dilated", "stride"), [(True, 8), (False, 32)])
def test_dilation_sets_the_stride(dilated, stride):
    features = ResNet50(dilated=dilated).build(1)(torch.randn(1, 1, 64, 64))
    assert features.shape == (1, 2048, 64 // stride, 64 // stride)


def test_the_original_unet_has_its_papers_size():
    network = NETWORKS["unet"]().build(1, 2)
    assert isinstance(network.backbone, nn.Module)
    assert network.backbone.channels == (64, 128, 256, 512, 1024)
    plain = UNet(backbone=UNetEncoder(norm="none")).build(1, 2)
    assert sum(p.numel() for p in plain.parameters()) == 31_030_658  # Ronneberger et al.: 31 million


@pytest.mark.parametrize("channels", [1, 2, 3])
def test_imagenet_weights_respond_equally_to_gray_images_with_any_number_of_channels(tmp_path, channels):
    torch.manual_seed(0)
    theirs = torchvision().models.resnet18()
    torch.save(theirs.state_dict(), tmp_path / "resnet18.pth")
    ours = ResNet18().build(channels)
    load_imagenet(ours, ImageNetWeights(str(tmp_path / "resnet18.pth")))
    gray = torch.randn(1, 1, 32, 32)
    expected = theirs.conv1(gray.expand(-1, 3, -1, -1))
    torch.testing.assert_close(ours.conv1(gray.expand(-1, channels, -1, -1)), expected, rtol=1e-4, atol=1e-5)


def test_imagenet_weights_keep_their_kernel_for_colors(tmp_path):
    theirs = torchvision().models.resnet18()
    torch.save(theirs.state_dict(), tmp_path / "resnet18.pth")
    ours = ResNet18().build(3)
    load_imagenet(ours, ImageNetWeights(str(tmp_path / "resnet18.pth")))
    assert torch.equal(ours.conv1.weight, theirs.conv1.weight)


def test_imagenet_weights_are_not_downloaded_by_default_and_errors_name_the_problem(tmp_path):
    with pytest.raises(UserError, match=r"have no source\. Fix: set their file"):
        load_imagenet(ResNet18().build(1), ImageNetWeights())
    with pytest.raises(UserError, match=r"TinyBackbone has no ImageNet weights\. Fix: use resnet50 or resnet18"):
        load_imagenet(TinyResNet().build(1), ImageNetWeights())
    with pytest.raises(CheckpointError, match="no such file"):
        load_imagenet(ResNet18().build(1), ImageNetWeights(str(tmp_path / "none.pth")))
    torch.save({"weight": torch.zeros(1)}, tmp_path / "other.pth")
    with pytest.raises(CheckpointError, match=r"conv1\.weight"):
        load_imagenet(ResNet18().build(1), ImageNetWeights(str(tmp_path / "other.pth")))


def test_every_registered_backbone_returns_feature_maps_with_its_channels():
    for name, settings in BACKBONES.items():
        small = {
            "resnet_tiny": {"width": 8},
            "unet_encoder": {"width": 8},
            "timm": {"model": "test_vit"},
            "smp": {"encoder": "resnet18"},
        }
        chosen: BackboneSettings = settings(**small.get(name, {}))
        backbone = chosen.build(1)
        maps = backbone.features(torch.randn(2, 1, 32, 32))
        assert tuple(m.shape[1] for m in maps) == backbone.channels
        assert tuple(32 // m.shape[2] for m in maps) == backbone.strides
        assert backbone.feature_channels == maps[-1].shape[1]


def test_a_linear_read_out_is_batch_norm_and_a_linear_map_of_the_features():
    torch.manual_seed(0)
    network = Linear(TinyResNet(width=4), levels=2).build(1, 3).train()
    images = torch.randn(2, 1, 32, 32)
    features = torch.cat(network.backbone.features(images)[-2:], 1)
    centred = features - features.mean((0, 2, 3), keepdim=True)
    normalized = centred / (features.var((0, 2, 3), keepdim=True, correction=0) + 1e-5).sqrt()
    logits = torch.einsum("bdhw,kd->bkhw", normalized, network.head.weight[:, :, 0, 0])
    logits = logits + network.head.bias[None, :, None, None]
    expected = nn.functional.interpolate(logits, (32, 32), mode="bilinear", align_corners=False)
    torch.testing.assert_close(network(images), expected, rtol=1e-4, atol=1e-5)


def test_the_original_unet_keeps_the_scale_of_its_activations():
    torch.manual_seed(0)
    encoder = UNetEncoder(width=16, depth=4, norm="none").build(1)
    deepest = encoder(torch.randn(4, 1, 64, 64))
    assert 0.3 < float(deepest.std()) < 3
