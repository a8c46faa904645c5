import pytest
import torch

from trainables.common.errors import CheckpointError
from trainables.networks import UNet, UNet3D, UNetEncoder
from trainables.networks.weights import load_weights


def pair(norm="batch", width=4, depth=2):
    settings = UNet3D(UNetEncoder(width, depth, norm), window=5)
    torch.manual_seed(0)
    flat, temporal = settings.image_network.build(1, 3), settings.build(1, 3)
    for module in flat.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
    return settings, flat.eval(), temporal.eval()


@pytest.mark.parametrize("norm", ["batch", "none"])
@pytest.mark.parametrize("size", [(16, 16), (18, 13)])
def test_with_weights_of_a_2d_unet_each_frame_is_segmented_as_by_the_2d_unet(norm, size):
    settings, flat, temporal = pair(norm)
    load_weights(temporal, settings.adapt_weights(dict(flat.state_dict())))
    images = torch.rand(2, 1, 5, *size, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        found = temporal(images)
        frames = torch.stack([flat(images[:, :, time]) for time in range(5)], 2)
    assert found.shape == (2, 3, 5, *size)
    torch.testing.assert_close(found, frames, rtol=1e-4, atol=1e-5)


def test_logits_of_a_frame_depend_on_all_frames_of_the_window():
    _, _, temporal = pair()
    images = torch.rand(1, 1, 5, 16, 16, generator=torch.Generator().manual_seed(1)).requires_grad_()
    temporal(images)[0, 1, 2].sum().backward()
    assert (images.grad.abs().sum((0, 1, 3, 4)) > 0).all()


def test_a_pretrained_backbone_is_loaded_alone_and_another_width_is_refused():
    settings, flat, temporal = pair()
    weights = {key: value for key, value in flat.state_dict().items() if key.startswith("backbone.")}
    load_weights(temporal, settings.adapt_weights(weights), partly=True)
    kernel = temporal.state_dict()["backbone.levels.0.0.weight"]
    torch.testing.assert_close(kernel[:, :, 1], weights["backbone.levels.0.0.weight"])
    assert not kernel[:, :, [0, 2]].any()
    other = UNet3D(UNetEncoder(8, 2), window=5)
    with pytest.raises(CheckpointError, match="do not fit"):
        load_weights(other.build(1, 3), other.adapt_weights(weights), partly=True)


def test_settings_are_validated():
    with pytest.raises(ValueError, match="window is 2, expected a whole number of frames from 3 up"):
        UNet3D(window=2)
    assert UNet3D().image_network == UNet()
