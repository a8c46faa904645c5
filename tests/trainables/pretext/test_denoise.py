import numpy as np
import pytest
import torch
from toys import toy_store

from trainables.augment.batch_rng import BatchRNG
from trainables.augment.policy import Policy
from trainables.data.sampling.batches import Batch
from trainables.engine.optim.optimizers import Adam
from trainables.engine.runtime import LocalRuntime
from trainables.engine.settings import FitSettings
from trainables.networks import UNet, UNetEncoder
from trainables.pretext.denoise import Denoise, add_masked_noise, masked_l1
from trainables.pretext.pretrain import PretextSettings, pretrain


def test_the_share_of_replaced_pixels_and_what_replaces_them():
    images = torch.full((8, 2, 64, 64), 5.0)
    noisy, noisy_pixels = add_masked_noise(images, Denoise(noise_ratio=0.3, sigma=2.0), BatchRNG(1, 8, 0, 8))
    assert noisy_pixels.shape == (8, 1, 64, 64)
    assert noisy_pixels.float().mean().item() == pytest.approx(0.3, abs=0.01)
    everywhere = noisy_pixels.expand_as(images)
    assert (noisy[~everywhere] == 5.0).all()
    assert noisy[everywhere].mean().item() == pytest.approx(0.0, abs=0.05)
    assert noisy[everywhere].std().item() == pytest.approx(2.0, abs=0.05)
    again, _ = add_masked_noise(images, Denoise(noise_ratio=0.3, sigma=2.0), BatchRNG(1, 8, 0, 8))
    assert torch.equal(noisy, again)


def test_the_noise_is_nearly_black_in_the_image_and_the_network_sees_it_normalised():
    store = toy_store(6, size=16)
    network = UNet(UNetEncoder(width=4, depth=1)).build(1, 1)
    task = Denoise().build(network.backbone, network.decoder, Policy(strength=0), store)
    seen = []
    task.network.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    images = torch.full((6, 1, 16, 16), 255, dtype=torch.uint8)
    task.training_step(Batch(images, None, torch.arange(6), BatchRNG(0, 6, 0, 6)))
    noisy_pixels = seen[0] < 0
    assert noisy_pixels.float().mean().item() == pytest.approx(0.1, abs=0.03)
    torch.testing.assert_close(seen[0][~noisy_pixels].unique(), torch.tensor([(1 - 0.5) / 0.25]))
    grey = seen[0][noisy_pixels] * 0.25 + 0.5  # the toy's mean and deviation
    assert grey.mean().item() == pytest.approx(0, abs=0.003)
    assert grey.std().item() == pytest.approx(0.01, rel=0.2)


def test_the_loss_is_the_mean_error_of_the_replaced_pixels_alone():
    rng = np.random.default_rng(0)
    predicted, images = rng.normal(size=(2, 3, 5, 4)), rng.normal(size=(2, 3, 5, 4))
    noisy_pixels = rng.random((2, 1, 5, 4)) < 0.4
    total, count = 0.0, 0
    for sample, channel, row, column in np.ndindex(*images.shape):
        if noisy_pixels[sample, 0, row, column]:
            total += abs(predicted[sample, channel, row, column] - images[sample, channel, row, column])
            count += 1
    guess = torch.tensor(predicted, requires_grad=True)
    loss = masked_l1(guess, torch.tensor(images), torch.tensor(noisy_pixels))
    assert loss.item() == pytest.approx(total / count, abs=1e-12)
    loss.backward()
    kept = np.broadcast_to(~noisy_pixels, images.shape)
    assert (guess.grad.numpy()[kept] == 0).all()
    assert (guess.grad.numpy()[~kept] != 0).all()


def test_simple_predictors_are_scored_beside_the_network():
    store = toy_store(3, size=16)
    network = UNet(UNetEncoder(width=4, depth=1)).build(1, 1)
    task = Denoise(noise_ratio=0.3).build(network.backbone, network.decoder, Policy(strength=0), store)
    batch = Batch(torch.from_numpy(store.images[:3]), None, torch.arange(3), BatchRNG(0, 3, 0, 3))
    found = task.evaluate([batch])
    noisy, images, replaced = (each.numpy().astype(np.float64) for each in task._noisy(batch.images / 255, batch.draw))
    errors: dict[str, list[float]] = {"mean_error": [], "neighbours_error": [], "untouched": []}
    for sample, _, row, column in zip(*np.nonzero(replaced), strict=True):
        clean = replaced[sample, 0] == 0
        near = np.s_[max(row - 1, 0) : row + 2, max(column - 1, 0) : column + 2]
        image, true = images[sample, 0], images[sample, 0, row, column]
        mean = image[clean].mean()
        neighbours = image[near][clean[near]].mean() if clean[near].any() else mean
        errors["mean_error"].append(abs(mean - true))
        errors["neighbours_error"].append(abs(neighbours - true))
        errors["untouched"].append(abs(noisy[sample, 0, row, column] - true))
    for name, each in errors.items():
        assert found[name] == pytest.approx(np.mean(each), rel=1e-4), name
    assert found["trivial_error"] == min(found[name] for name in errors)


def test_the_network_learns_what_the_noise_hid():
    store = toy_store(48, size=16)
    fit = FitSettings(30, 8, Adam(lr=3e-3), precision="float32")
    plain = Policy(crop=None, flip=None, jitter=None, blur=None)
    settings = PretextSettings(Denoise(noise_ratio=0.2), fit, plain, frames="all")
    network = UNet(UNetEncoder(width=8, depth=2))
    history = pretrain(settings, network, store, LocalRuntime(), seed=0).fitted.history
    assert history[-1]["val/loss"] < 0.6 * history[-1]["val/untouched"]
    assert history[-1]["loss"] < 0.8 * history[0]["loss"]


@pytest.mark.parametrize("bad", [{"noise_ratio": 0}, {"noise_ratio": 1}, {"sigma": 0}])
def test_settings_out_of_range_are_refused(bad):
    with pytest.raises(ValueError, match="expected a share in"):
        Denoise(**bad)
