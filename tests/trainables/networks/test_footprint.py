"""The memory of a training step by shapes alone, beside that of a real one."""

import pytest
import torch

from trainables.networks.deeplabv3 import DeepLabV3
from trainables.networks.footprint import footprint
from trainables.networks.resnet import TinyResNet
from trainables.networks.unet import UNet, UNetEncoder
from trainables.networks.unet3d import UNet3D

NETWORKS = {
    "deeplabv3": (DeepLabV3(TinyResNet(width=8), rates=(1, 2), width=16), (2, 1, 32, 32)),
    "unet": (UNet(UNetEncoder(width=4, depth=2)), (2, 1, 32, 32)),
    "unet3d": (UNet3D(UNetEncoder(width=4, depth=2), window=3), (2, 1, 3, 16, 16)),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_it_is_what_a_real_forward_pass_keeps(name):
    settings, shape = NETWORKS[name]
    network, kept = settings.build(1, 2).train(), {}
    own = {parameter.untyped_storage().data_ptr() for parameter in network.parameters()}

    def keep(tensor):
        kept[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        network(torch.rand(shape)).sum()
    real = sum(tensor.untyped_storage().nbytes() for place, tensor in kept.items() if place not in own)
    found = footprint(lambda: settings.build(1, 2), shape)
    assert found is not None
    assert found.activations == pytest.approx(real, rel=0.02)
    assert found.weights == 8 * sum(parameter.numel() for parameter in network.parameters())


def test_a_batch_of_one_behind_global_pooling_cannot_be_normalized():
    with pytest.raises(ValueError, match="more than 1 value per channel"):
        footprint(lambda: NETWORKS["deeplabv3"][0].build(1, 2), (1, 1, 32, 32))


def test_a_network_that_reads_values_has_no_known_footprint():
    class Reads(torch.nn.Linear):
        def forward(self, images):
            return super().forward(images) if images.sum().item() else images

    assert footprint(lambda: Reads(4, 4), (2, 4)) is None
