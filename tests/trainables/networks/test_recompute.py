"""Activation checkpointing: equal training in less memory."""

from __future__ import annotations

import copy
import gc
import weakref

import pytest
import torch
from torch import Tensor, nn
from toys import toy_store

from trainables.augment.policy import Policy
from trainables.common.errors import UserError
from trainables.data.sampling.batches import Batches
from trainables.downstream.losses import DiceCrossEntropy
from trainables.downstream.segmentation import Segmentation
from trainables.engine.optim.optimizers import SGD
from trainables.engine.runtime import LocalRuntime
from trainables.engine.settings import FitSettings
from trainables.engine.task import Task
from trainables.engine.trainer import fit
from trainables.networks import UNet, UNet3D, UNetEncoder
from trainables.networks.deeplabv3 import DeepLabV3
from trainables.networks.recompute import recompute
from trainables.networks.resnet import ResNet50, TinyResNet
from trainables.networks.timm_backbone import Timm
from trainables.pretext.byol import BYOL
from trainables.pretext.simclr import SimCLR

STORE = toy_store(48, size=32)
VIEWS = Policy(crop=None, blur=None)


def segmentation(network) -> Task:
    return Segmentation(network.build(1, 2), DiceCrossEntropy(), VIEWS, STORE)


TASKS = {
    "UNet": lambda: segmentation(UNet(UNetEncoder(width=4, depth=2))),
    "DeepLabV3": lambda: segmentation(DeepLabV3(TinyResNet(width=8), rates=(1, 2), width=8)),
    "SimCLR": lambda: SimCLR(projection=8).build(TinyResNet(width=8).build(1), VIEWS, STORE),
    "ViT": lambda: SimCLR(projection=8).build(Timm("test_vit").build(1), VIEWS, STORE),
    "EfficientNet": lambda: SimCLR(projection=8).build(Timm("test_efficientnet").build(1), VIEWS, STORE),
    "ConvNeXt": lambda: SimCLR(projection=8).build(Timm("test_convnext").build(1), VIEWS, STORE),
    "BYOL": lambda: BYOL(hidden=8, projection=8).build(TinyResNet(width=8).build(1), VIEWS, STORE),
}


def trained(name: str, **settings: object) -> dict[str, Tensor]:
    """Return the weights and running statistics after six steps."""
    torch.manual_seed(0)
    task = TASKS[name]()
    batches = Batches(STORE, STORE.rows("train"), 8, masks=name in ("UNet", "DeepLabV3"))
    fit(task, batches, None, FitSettings(3, 8, SGD(lr=0.1), precision="float32", **settings), LocalRuntime(), 0)
    return {key: value.clone() for key, value in task.state_dict().items()}


@pytest.mark.parametrize("parts", [None, 4])
@pytest.mark.parametrize("name", TASKS)
def test_training_ends_at_the_same_weights_and_running_statistics(name, parts):
    if name in ("UNet", "DeepLabV3") and parts is not None:
        pytest.skip("this loss does not support micro-batching")
    stored, recomputed = (trained(name, micro_batch=parts, recompute=each) for each in (False, True))
    assert stored.keys() == recomputed.keys()
    for key, value in stored.items():
        torch.testing.assert_close(
            recomputed[key], value, rtol=1e-4, atol=1e-6, msg=lambda text, key=key: f"{key}: {text}"
        )


@pytest.mark.parametrize("norm", ["batch", "instance", "none"])
def test_a_3d_network_gets_equal_gradients_and_running_statistics(norm):
    torch.manual_seed(0)
    plain = UNet3D(UNetEncoder(width=4, depth=2, norm=norm), window=5).build(1, 2)
    checkpointed, images = copy.deepcopy(plain), torch.rand(2, 1, 5, 18, 16)
    recompute(checkpointed)
    for network in (plain, checkpointed):
        network(images).square().mean().backward()
    for (name, value), again in zip(plain.named_parameters(), checkpointed.parameters(), strict=True):
        assert torch.equal(value.grad, again.grad), name
    for (name, value), again in zip(plain.named_buffers(), checkpointed.buffers(), strict=True):
        assert torch.equal(value, again), name


def test_a_3d_network_saves_less_for_the_gradient():
    network = UNet3D(UNetEncoder(width=8, depth=1), window=5).build(1, 2)
    images = torch.rand(2, 1, 5, 16, 16)
    plain = saved_bytes(network, images)
    recompute(network)
    assert saved_bytes(network, images) < 0.5 * plain


def saved_bytes(module: nn.Module, images: Tensor) -> int:
    """Return the bytes of all storages that the forward pass saves for the backward pass."""
    held: dict[int, int] = {}

    def pack(value: Tensor) -> Tensor:
        held[value.untyped_storage().data_ptr()] = value.untyped_storage().nbytes()
        return value

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda value: value):
        out = module(images)
    out.mean().backward()
    return sum(held.values())


def test_activations_inside_a_block_are_not_saved():
    module = nn.Sequential(ResNet50().build(1).layer1)
    images = torch.rand(2, 64, 16, 16)
    plain = saved_bytes(module, images)
    recompute(module)
    assert saved_bytes(module, images) < 0.2 * plain


@pytest.mark.parametrize("times", [1, 2])
def test_every_block_runs_twice_with_a_gradient_and_once_without(times):
    task = TASKS["UNet"]()
    for _ in range(times):
        recompute(task)
    network = task.network
    calls: list[str] = []
    for name, module in network.named_modules():
        if isinstance(module, nn.BatchNorm2d):
            module.register_forward_hook(lambda *_, name=name: calls.append(name))
    network(torch.rand(2, 1, 16, 16)).mean().backward()
    names = {name for name, module in network.named_modules() if isinstance(module, nn.BatchNorm2d)}
    assert all(calls.count(name) == 2 for name in names)
    calls.clear()
    with torch.no_grad():
        network(torch.rand(2, 1, 16, 16))
    assert all(calls.count(name) == 1 for name in names)


def test_a_copy_computes_with_its_own_weights():
    network = TASKS["UNet"]().network
    recompute(network)
    copied, images = copy.deepcopy(network), torch.rand(2, 1, 16, 16)
    before = copied(images)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
    torch.testing.assert_close(copied(images), before)


@pytest.mark.parametrize("recomputed", [False, True])
def test_a_network_ends_with_its_last_reference(recomputed):
    """A network in a reference cycle lives on, with its memory, until garbage is collected."""
    trained("UNet")  # imports what optimizers need, whose errors keep the frames of the first run
    gc.collect()
    gc.disable()
    try:
        task = TASKS["UNet"]()
        blocks = [weakref.ref(module) for module in task.modules()]
        batches = Batches(STORE, STORE.rows("train"), 8, masks=True)
        fit(task, batches, None, FitSettings(1, 8, recompute=recomputed), LocalRuntime(), 0)
        del task
        assert not any(block() for block in blocks)
    finally:
        gc.enable()


def test_a_network_without_blocks_is_refused():
    with pytest.raises(
        UserError, match=r"fit\.recompute: Sequential has no blocks of convolutions\. Fix: remove recompute"
    ):
        recompute(nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU()))
