import numpy as np
import pytest
import torch
from torch.nn import functional as F
from toys import toy_store

from trainables.augment.batch_rng import BatchRNG
from trainables.augment.policy import Policy
from trainables.common.errors import UserError
from trainables.engine.optim.optimizers import Adam
from trainables.engine.runtime import LocalRuntime
from trainables.engine.settings import FitSettings
from trainables.networks import DeepLabV3, ResNet18, TinyResNet, UNet, UNetEncoder
from trainables.pretext.masked import MaskedModelling, masked_error, patch_mask, pixel_mask, visible_features
from trainables.pretext.pretrain import PretextSettings, pretrain

SETTINGS = MaskedModelling(mask_ratio=0.5, patch=4)
PLAIN = Policy(crop=None, flip=None, jitter=None, blur=None)


def test_every_image_has_the_same_number_of_masked_patches():
    masked = patch_mask(torch.zeros(6, 1, 16, 20), SETTINGS, BatchRNG(0, 6, 0, 6))
    assert masked.shape == (6, 1, 4, 5)
    assert masked.flatten(1).sum(1).tolist() == [10] * 6
    assert len({tuple(row) for row in masked.flatten(1).int().tolist()}) > 1
    part = patch_mask(torch.zeros(2, 1, 16, 20), SETTINGS, BatchRNG(0, 6, 3, 2))
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


@pytest.mark.parametrize(
    "backbone", [UNetEncoder(width=4, depth=2, norm="instance"), TinyResNet(width=4), ResNet18()], ids=repr
)
def test_features_do_not_depend_on_masked_pixels(backbone):
    built = backbone.build(1).eval()
    images = torch.randn(3, 1, 64, 64, generator=torch.Generator().manual_seed(0))
    masked = patch_mask(images, MaskedModelling(0.5, 32), BatchRNG(1, 3, 0, 3))
    hidden = pixel_mask(masked, 32, (64, 64))
    other = torch.where(hidden, torch.randn(images.shape, generator=torch.Generator().manual_seed(1)), images)
    leaking = built.features(images * ~hidden)
    for one, two, plain in zip(
        visible_features(built, images, ~hidden), visible_features(built, other, ~hidden), leaking, strict=True
    ):
        where = pixel_mask(masked, one.shape[-1] // 2, one.shape[-2:]).expand_as(one)
        assert torch.equal(one, two)
        assert not one[where].any()
        assert plain[where].any()
        assert one[~where].any()
    assert not any(module._forward_hooks for module in built.modules())


def test_features_are_kept_while_any_of_their_pixels_is_visible():
    torch.manual_seed(0)
    backbone = UNetEncoder(width=16, depth=2).build(1).eval()
    visible = torch.zeros(1, 1, 8, 8, dtype=torch.bool)
    visible[..., 5, 6] = True
    levels = visible_features(backbone, torch.randn(1, 1, 8, 8), visible)
    assert [(level[0] != 0).any(0).nonzero().tolist() for level in levels] == [[[5, 6]], [[2, 3]], [[1, 1]]]
    unhidden = backbone.levels[1](F.max_pool2d(levels[0], 2))
    torch.testing.assert_close(levels[1][..., 2, 3], unhidden[..., 2, 3], rtol=0, atol=0)


@pytest.mark.parametrize("side", [16, 18])
def test_the_network_sees_no_pixel_that_it_must_predict(side):
    """Also where the patches do not divide the image."""
    store = toy_store(4, size=20)
    network = UNet(UNetEncoder(width=4, depth=1)).build(1, 1)
    task = MaskedModelling(0.5, 7).build(network.backbone, network.decoder, PLAIN, store)
    images = (torch.randn(4, 1, side, side, generator=torch.Generator().manual_seed(0)) * 0.2 + 0.5).clamp(0.1, 1)
    seen, answers = [], []

    def keep(module: object, inputs: object, output: torch.Tensor) -> None:
        output.retain_grad()
        answers.append(output)

    network.backbone.levels[0].register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    task.network.head.register_forward_hook(keep)
    task._loss(images, BatchRNG(0, 4, 0, 4)).backward()
    asked, shown = answers[0].grad != 0, seen[0] != 0
    assert asked.any()
    assert shown.any()
    assert not (asked & shown).any()
    assert (asked | shown).all()


@pytest.mark.parametrize(
    "network", [UNet(UNetEncoder(width=8, depth=2)), DeepLabV3(TinyResNet(width=8), rates=(1, 2, 3), width=8)]
)
def test_the_loss_falls(network):
    fit = FitSettings(15, 8, Adam(lr=3e-3), precision="float32")
    settings = PretextSettings(MaskedModelling(0.4, 4), fit, PLAIN, "all")
    history = pretrain(settings, network, toy_store(48, size=16), LocalRuntime(), seed=0).fitted.history
    assert history[-1]["loss"] < 0.97 * history[0]["loss"]


@pytest.mark.parametrize("bad", [{"mask_ratio": 0}, {"mask_ratio": 1}, {"patch": 1}])
def test_settings_out_of_range_are_refused(bad):
    with pytest.raises(ValueError, match="expected a share"):
        MaskedModelling(**bad)


def test_masked_patches_are_predicted_from_visible_ones():
    store = toy_store(48, size=16)
    slope = np.linspace(0, 255, 16, dtype=np.uint8)[:, None].repeat(16, 1)
    store.images[:] = np.where(np.arange(48)[:, None, None] % 2, slope, 255 - slope)[:, None]
    settings = PretextSettings(SETTINGS, FitSettings(30, 8, Adam(lr=3e-3), precision="float32"), PLAIN, "all")
    done = pretrain(settings, UNet(UNetEncoder(width=8, depth=2)), store, LocalRuntime(), seed=0)
    last = done.fitted.history[-1]
    assert last["val/mean_error"] == pytest.approx(1, abs=0.01)  # the variance of what is asked for
    assert last["val/loss"] < 0.5
    assert done.learning.verdict == "learned", done.learning.text


def test_noise_cannot_be_continued_and_the_verdict_says_so():
    store = toy_store(48, size=16)
    store.images[:] = np.random.default_rng(0).integers(0, 256, store.images.shape, dtype=np.uint8)
    settings = PretextSettings(SETTINGS, FitSettings(5, 8, Adam(lr=3e-3), precision="float32"), PLAIN, "all")
    done = pretrain(settings, UNet(UNetEncoder(width=8, depth=2)), store, LocalRuntime(), seed=0)
    assert done.learning.verdict == "not learned", done.learning.text


def test_an_image_must_have_more_than_one_patch():
    network = UNet(UNetEncoder(width=4, depth=1)).build(1, 1)
    with pytest.raises(UserError, match=r"patch is 16, expected less than the images' side of 16 pixels"):
        MaskedModelling(patch=16).build(network.backbone, network.decoder, PLAIN, toy_store(3, size=16))
