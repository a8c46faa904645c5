import numpy as np
import pytest
import torch
from toys import toy_store

from trainables.augment.draw import Draw
from trainables.augment.policy import Policy
from trainables.loop import FitSettings
from trainables.networks import DeepLabV3, TinyResNet, UNet, UNetEncoder
from trainables.optim.optimizers import Adam
from trainables.pretext.masked import MaskedModelling, masked_error, patch_mask, seen_features, spread
from trainables.pretext.pretrain import PretextSettings, pretrain
from trainables.runtime import LocalRuntime

SETTINGS = MaskedModelling(share=0.5, patch=4)


def test_every_image_has_the_same_number_of_masked_patches():
    masked = patch_mask(torch.zeros(6, 1, 16, 20), SETTINGS, Draw(0, 6, 0, 6))
    assert masked.shape == (6, 1, 4, 5)
    assert masked.flatten(1).sum(1).tolist() == [10] * 6
    assert len({tuple(row) for row in masked.flatten(1).int().tolist()}) > 1
    part = patch_mask(torch.zeros(2, 1, 16, 20), SETTINGS, Draw(0, 6, 3, 2))
    assert torch.equal(part, masked[3:5])


def test_the_error_is_that_of_the_masked_patches_normalised_by_themselves():
    rng = np.random.default_rng(0)
    predicted, images = rng.normal(size=(2, 2, 8, 10)), rng.normal(size=(2, 2, 8, 10))
    masked = rng.random((2, 1, 2, 3)) < 0.5
    masked[0, 0, 0, 0] = True
    total, count = 0.0, 0
    for sample, channel, row, column in np.ndindex(2, 2, 2, 3):
        if masked[sample, 0, row, column]:
            where = (sample, channel, slice(4 * row, 4 * row + 4), slice(4 * column, 4 * column + 4))
            target = (images[where] - images[where].mean()) / np.sqrt(images[where].var() + 1e-6)
            total += ((predicted[where] - target) ** 2).sum()
            count += target.size
    loss = masked_error(torch.tensor(predicted), torch.tensor(images), torch.tensor(masked), 4)
    assert loss.item() == pytest.approx(total / count, abs=1e-9)


@pytest.mark.parametrize("backbone", [UNetEncoder(width=4, depth=2, norm="instance"), TinyResNet(width=4)])
def test_what_is_masked_cannot_be_seen(backbone):
    built = backbone.build(1).eval()
    images = torch.randn(3, 1, 32, 32, generator=torch.Generator().manual_seed(0))
    masked = patch_mask(images, MaskedModelling(0.5, 16), Draw(1, 3, 0, 3))
    hidden = spread(masked, (32, 32))
    other = torch.where(hidden, torch.randn(images.shape, generator=torch.Generator().manual_seed(1)), images)
    for one, two in zip(seen_features(built, images, masked), seen_features(built, other, masked), strict=True):
        assert torch.equal(one, two)
        assert not one[spread(masked, one.shape[-2:]).expand_as(one)].any()
    assert not built._forward_hooks
    assert not any(module._forward_hooks for module in built.modules())


@pytest.mark.parametrize(
    "network", [UNet(UNetEncoder(width=8, depth=2)), DeepLabV3(TinyResNet(width=8), rates=(1, 2, 3), width=8)]
)
def test_the_loss_falls(network):
    fit = FitSettings(15, 8, Adam(lr=3e-3), precision="float32")
    plain = Policy(crop=None, flip=None, jitter=None, blur=None)
    settings = PretextSettings(MaskedModelling(0.4, 4), fit, plain, "all")
    history = pretrain(settings, network, toy_store(48, size=16), LocalRuntime(), seed=0).fitted.history
    assert history[-1]["loss"] < 0.97 * history[0]["loss"]


@pytest.mark.parametrize("bad", [{"share": 0}, {"share": 1}, {"patch": 1}])
def test_settings_out_of_range_are_refused(bad):
    with pytest.raises(ValueError, match="expected a share"):
        MaskedModelling(**bad)
