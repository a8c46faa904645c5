"""Encoders of timm: features equal to timm's own, stages, decoders, and errors."""

import sys

import pytest
import torch
from toys import toy_store

from trainables.augment.policy import Policy
from trainables.common.errors import UserError
from trainables.data.sampling.batches import Batches
from trainables.engine.optim.optimizers import SGD
from trainables.engine.runtime import LocalRuntime
from trainables.engine.settings import FitSettings
from trainables.engine.trainer import fit
from trainables.networks import DeepLabV3, UNet
from trainables.networks.batchnorm import synchronise
from trainables.networks.libraries import _load, timm
from trainables.networks.light_decoders import Linear, Setr
from trainables.networks.network import NetworkSettings
from trainables.networks.timm_backbone import Timm
from trainables.pretext import METHODS
from trainables.pretext.masked import visible_features
from trainables.pretext.method import BackboneMethod, NetworkMethod

MODELS = ["resnet10t", "convnext_atto", "test_efficientnet", "efficientnet_lite0", "test_convnext", "densenet121"]
VITS = ["test_vit", "vit_tiny_patch16_224", "eva02_tiny_patch14_224"]
VIT = Timm("test_vit")
STORE = toy_store(12, size=32)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("channels", [1, 3])
def test_the_features_of_a_pyramid_are_timms_own(model, channels):
    torch.manual_seed(0)
    ours = Timm(model).build(channels).eval()
    torch.manual_seed(0)
    theirs = timm().create_model(model, features_only=True, feature_cls=None, in_chans=channels).eval()
    if hasattr(theirs, "feature_info"):
        assert ours.channels == tuple(theirs.feature_info.channels())
        assert ours.strides == tuple(theirs.feature_info.reduction())
    full = timm().create_model(model, in_chans=channels).eval()
    missing = full.load_state_dict(ours.model.state_dict(), strict=False).missing_keys if model != "densenet121" else []
    assert not [key for key in missing if not key.startswith(("head", "fc", "classifier", "conv_head", "bn2"))]
    images = torch.randn(2, channels, 64, 64)
    if model == "densenet121":
        theirs.load_state_dict(ours.model.state_dict())
        expected = theirs(images)
    else:
        expected = full.forward_intermediates(images, intermediates_only=True)
    for one, two in zip(ours.features(images), expected, strict=True):
        torch.testing.assert_close(one, two, rtol=0, atol=1e-6)


@pytest.mark.parametrize("model", VITS)
def test_a_vit_returns_the_normalized_maps_of_four_depths(model):
    ours = Timm(model, image_size=56 if "14" in model else None).build(1).eval()
    sizes = {"img_size": 56} if "14" in model else {"dynamic_img_size": True}
    theirs = timm().create_model(model, in_chans=1, num_classes=0, **sizes).eval()
    theirs.load_state_dict(ours.model.state_dict(), strict=False)
    images = torch.randn(2, 1, 56 if "14" in model else 48, 56 if "14" in model else 48)
    depth = len(theirs.blocks)
    wanted = [depth // 4 * (n + 1) - 1 for n in range(4)] if depth % 4 == 0 else [0, 2, 3, 5]
    expected = theirs.forward_intermediates(images, indices=wanted, norm=True, intermediates_only=True)
    for one, two in zip(ours.features(images), expected, strict=True):
        torch.testing.assert_close(one, two, rtol=0, atol=1e-6)


def test_swin_takes_images_of_other_sizes_than_its_own():
    swin = Timm("swin_tiny_patch4_window7_224").build(1)
    maps = swin.features(torch.randn(1, 1, 64, 64))
    assert [tuple(each.shape[1:]) for each in maps] == [(96, 16, 16), (192, 8, 8), (384, 4, 4), (768, 2, 2)]
    assert swin.masked_modules() == []


def test_dilation_keeps_the_stride():
    dilated = Timm("resnet10t", output_stride=8).build(1)
    assert dilated.strides == (2, 4, 8, 8, 8)
    assert dilated(torch.randn(2, 1, 32, 32)).shape == (2, 512, 4, 4)


@pytest.mark.parametrize("model", [*MODELS, "test_vit"])
def test_the_stages_hold_every_parameter_once_and_end_at_the_feature_maps(model):
    backbone = Timm(model).build(1)
    stages = [{id(p) for p in stage.parameters()} for stage in backbone.stages()]
    assert sorted(key for stage in stages for key in stage) == sorted(id(p) for p in backbone.parameters())
    maps = backbone.features(torch.randn(2, 1, 64, 64))
    maps[-2].square().mean().backward()  # all stages but the last
    untouched = {id(p) for p in backbone.parameters() if p.grad is None}
    assert untouched == stages[-1] or (model == "test_vit" and len(stages[-1] - untouched) == 2)  # the shared norm


NETWORKS: list[NetworkSettings] = [
    DeepLabV3(Timm("convnext_atto"), rates=(1, 2), width=8),
    DeepLabV3(VIT, rates=(1, 2), width=8),
    UNet(Timm("test_efficientnet")),
    UNet(Timm("resnet10t", output_stride=16)),
    UNet(Timm("convnext_atto")),
    UNet(VIT),
    Linear(VIT, levels=4),
    Linear(Timm("test_efficientnet"), levels=3),
    Setr(VIT, width=8),
]


@pytest.mark.parametrize("settings", NETWORKS, ids=str)
def test_every_decoder_segments_over_every_encoder(settings):
    network = settings.build(1, 3)
    logits = network(torch.randn(2, 1, 64, 64))
    assert logits.shape == (2, 3, 64, 64)
    logits.square().mean().backward()
    unused = [name for name, p in network.named_parameters() if p.grad is None]
    last_only = not isinstance(settings, UNet)  # others read the deepest features
    assert not [name for name in unused if not (last_only and ".norm" in name)]


@pytest.mark.parametrize("backbone", [VIT, Timm("test_efficientnet")], ids=["vit", "efficientnet"])
@pytest.mark.parametrize("name", [name for name in METHODS if name not in ("position", "global_contrastive")])
def test_every_method_trains_every_encoder(name, backbone):
    torch.manual_seed(0)
    method = METHODS[name](**{"projection": 8} if hasattr(METHODS[name], "projection") else {})
    whole = UNet(backbone).build(1, 1)
    views = Policy(blur=None)
    if isinstance(method, BackboneMethod):
        task = method.build(whole.backbone, views, STORE)
    else:
        assert isinstance(method, NetworkMethod)
        task = method.build(whole.backbone, whole.decoder, views, STORE)
    before = {key: value.clone() for key, value in whole.state_dict().items()}
    batches = Batches(STORE, STORE.rows("train"), 4)
    settings = FitSettings(1, 4, SGD(lr=0.1), precision="float32", steps_per_epoch=1)
    fitted = fit(task, batches, None, settings, LocalRuntime(), 0)
    assert all(torch.isfinite(torch.tensor(row["loss"])) for row in fitted.history)
    part = "decoder" if method.continues else "backbone"
    assert any(not torch.equal(value, before[key]) for key, value in whole.state_dict().items() if key.startswith(part))


def test_activations_fused_with_batch_norm_survive_its_synchronization():
    torch.manual_seed(0)
    backbone = Timm("test_efficientnet").build(1)
    images = torch.randn(4, 1, 32, 32)
    expected, keys = backbone(images), list(backbone.state_dict())
    synchronise(backbone)
    assert list(backbone.state_dict()) == keys
    torch.testing.assert_close(backbone(images), expected)


def test_an_unknown_model_and_what_a_model_lacks_are_errors():
    with pytest.raises(ValueError, match=r"timm has no model 'convnext_tinny'; did you mean 'convnext_tiny'\?"):
        Timm("convnext_tinny")
    with pytest.raises(UserError, match=r"network\.backbone\.output_stride: test_vit has no such setting"):
        Timm("test_vit", output_stride=8).build(1)
    with pytest.raises(UserError, match=r"network\.backbone\.image_size: resnet10t has no such setting"):
        Timm("resnet10t", image_size=64).build(1)
    with pytest.raises(UserError, match=r"coat_tiny has no feature maps"):
        Timm("coat_tiny").build(1)
    with pytest.raises(ValueError, match=r"output_stride is 4, expected 8, 16 or null"):
        Timm("resnet10t", output_stride=4)
    with pytest.raises(UserError, match=r"network.levels is 5, expected at most the 4 feature maps of the backbone"):
        Linear(VIT, levels=5).build(1, 2)


def test_a_missing_library_names_its_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", None)
    _load.cache_clear()
    try:
        with pytest.raises(UserError, match=r"timm is not installed. Fix: pip install 'pretext-study\[timm\]'"):
            Timm("resnet10t")
    finally:
        _load.cache_clear()


@pytest.mark.parametrize("model", ["resnet10t", "convnext_atto", "test_efficientnet", "densenet121"])
def test_masked_patches_stay_empty_inside_a_convolutional_encoder(model):
    visible = torch.zeros(1, 1, 128, 128, dtype=torch.bool)
    visible[..., :64] = True
    for each in visible_features(Timm(model).build(1), torch.randn(4, 1, 128, 128), visible):
        half = each.shape[-1] // 2
        assert float(each[..., half:].abs().max()) == 0
        assert float(each[..., :half].abs().max()) > 0
