"""Low-rank adapters: merged weights equal adapted networks, and only adapters train."""

import pytest
import torch
from torch import nn

from trainables.common.errors import UserError
from trainables.networks import UNet3D, UNetEncoder
from trainables.networks.lora import LoRA, adapters, add_adapters, merged_weights
from trainables.networks.resnet import ResNet18, TinyResNet
from trainables.networks.timm_backbone import Timm

BUILDS = {
    "resnet": lambda: TinyResNet(width=4).build(1),
    "vit": lambda: Timm("test_vit").build(1),
    "efficientnet": lambda: Timm("test_efficientnet").build(1),
    "unet3d": lambda: UNet3D(UNetEncoder(width=4, depth=2)).build(1, 2).backbone,
}


def adapted(name: str, settings: LoRA) -> nn.Module:
    torch.manual_seed(0)
    backbone = BUILDS[name]()
    add_adapters(backbone, settings)
    for parameter in adapters(backbone):
        nn.init.normal_(parameter, std=0.1)
    return backbone.eval()


@pytest.mark.parametrize("name", BUILDS)
def test_merged_weights_are_those_of_a_plain_network_with_equal_features(name):
    backbone = adapted(name, LoRA(rank=2, alpha=3.0))
    torch.manual_seed(0)
    plain = BUILDS[name]().eval()
    images = torch.randn(2, 1, 4, 32, 32) if name == "unet3d" else torch.randn(2, 1, 32, 32)
    before = plain.features(images)[-1]
    plain.load_state_dict(merged_weights(backbone))
    torch.testing.assert_close(plain.features(images)[-1], backbone.features(images)[-1], rtol=1e-4, atol=1e-4)
    assert (before - plain.features(images)[-1]).norm() > 0.1 * before.norm()


def test_an_adapted_weight_is_the_sum_of_the_paper():
    settings = LoRA(rank=2, alpha=3.0, layers="linear")
    backbone = adapted("vit", settings)
    layer = backbone.get_submodule("model.blocks.0.mlp.fc1")
    low_rank = layer.lora_B["default"].weight @ layer.lora_A["default"].weight
    expected = layer.base_layer.weight + settings.alpha / settings.rank * low_rank
    torch.testing.assert_close(merged_weights(backbone)["model.blocks.0.mlp.fc1.weight"], expected)


def test_adapters_change_nothing_at_first_and_alone_are_trainable():
    torch.manual_seed(0)
    backbone = ResNet18().build(1).eval()
    images = torch.randn(1, 1, 32, 32)
    before = backbone(images)
    add_adapters(backbone, LoRA(layers="conv"))
    torch.testing.assert_close(backbone(images), before)
    assert {id(p) for p in backbone.parameters() if p.requires_grad} == {id(p) for p in adapters(backbone)}
    grouped = [id(p) for stage in backbone.stages() for p in stage.parameters()]
    assert sorted(grouped) == sorted(id(p) for p in backbone.parameters())


@pytest.mark.parametrize(
    ("layers", "kinds"), [("linear", {"Linear"}), ("conv", {"Conv2d"}), ("all", {"Linear", "Conv2d"})]
)
def test_the_chosen_layers_are_adapted(layers, kinds):
    backbone = Timm("test_convnext").build(1)
    add_adapters(backbone, LoRA(layers=layers))
    found = {type(module).__name__ for module in backbone.modules() if hasattr(module, "lora_A")}
    assert found == kinds
    assert not hasattr(backbone.get_submodule("model.stages.0.blocks.0.conv_dw"), "lora_A")  # one group a channel


def test_every_adapter_is_reached_by_the_gradient():
    for model in ("test_vit", "eva02_tiny_patch14_224"):
        backbone = Timm(model, image_size=28 if "14" in model else None).build(1)
        add_adapters(backbone, LoRA(rank=2))
        backbone(torch.randn(1, 1, *([28, 28] if "14" in model else [32, 32]))).square().mean().backward()
        assert all(parameter.grad is not None for parameter in adapters(backbone)), model


def test_what_cannot_be_adapted_is_refused():
    with pytest.raises(UserError, match=r"lora\.layers: TinyBackbone has none \(found no linear layers\)"):
        add_adapters(TinyResNet(width=4).build(1), LoRA(layers="linear"))
    for bad in ({"rank": 0}, {"alpha": 0.0}):
        with pytest.raises(ValueError, match="expected at least 1 and above 0"):
            LoRA(**bad)
