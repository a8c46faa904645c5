import pytest
import torch
from torch import nn

from trainables.networks.running_statistics import freeze_bn_stats, freeze_norms, recalibrate, update_bn_once

IMAGES = torch.randn(12, 3, 4, 4, generator=torch.Generator().manual_seed(0)) + torch.arange(12).view(-1, 1, 1, 1) / 6


def network() -> nn.Sequential:
    return nn.Sequential(nn.BatchNorm2d(3, momentum=0.3), nn.Identity(), nn.BatchNorm2d(3)).train()


@pytest.mark.parametrize("calls", [1, 2])
@pytest.mark.parametrize("sizes", [[6, 6], [7, 3, 2]])
def test_micro_batches_update_the_running_mean_once_as_the_logical_batch_does(calls, sizes):
    whole, parts = network()[0], network()
    for _ in range(calls):
        whole(IMAGES)
    with update_bn_once(parts.modules(), len(sizes)):
        for part in IMAGES.split(sizes):
            for _ in range(calls):
                parts[0](part)
    norm = parts[0]
    torch.testing.assert_close(norm.running_mean, whole.running_mean)
    assert int(norm.num_batches_tracked) == int(whole.num_batches_tracked) == calls
    assert norm.momentum == 0.3
    weight = 1 - 0.7**calls
    variances = [part.var((0, 2, 3)) * len(part) / len(IMAGES) for part in IMAGES.split(sizes)]
    torch.testing.assert_close(norm.running_var, (1 - weight) * torch.ones(3) + weight * torch.stack(variances).sum(0))
    assert torch.equal(parts[2].running_mean, torch.zeros(3))  # was not called
    assert int(parts[2].num_batches_tracked) == 0


def test_frozen_statistics_do_not_change_and_the_batch_is_still_normalized():
    norms = network()
    before = {name: value.clone() for name, value in norms.state_dict().items()}
    with freeze_bn_stats(norms.modules()):
        out = norms(IMAGES)
    assert all(torch.equal(value, before[name]) for name, value in norms.state_dict().items())
    torch.testing.assert_close(out.mean((0, 2, 3)), torch.zeros(3), rtol=0, atol=1e-5)
    assert [norm.momentum for norm in (norms[0], norms[2])] == [0.3, 0.1]


def test_a_norm_in_evaluation_mode_is_not_updated():
    norms = network()
    norms[0].eval()
    with update_bn_once(norms.modules(), 2):
        for part in IMAGES.split(6):
            norms(part)
    assert torch.equal(norms[0].running_mean, torch.zeros(3))
    assert int(norms[2].num_batches_tracked) == 1


def test_recalibrated_statistics_are_the_means_of_those_of_the_batches():
    norms = network()
    norms(IMAGES * 5 + 7)  # statistics of other images
    norms.eval()
    weights = {name: value.clone() for name, value in norms.named_parameters()}
    recalibrate(norms, ((part,) for part in IMAGES.split(4)))
    parts = torch.stack([part.mean((0, 2, 3)) for part in IMAGES.split(4)])
    torch.testing.assert_close(norms[0].running_mean, parts.mean(0))
    variances = torch.stack([part.var((0, 2, 3)) for part in IMAGES.split(4)])
    torch.testing.assert_close(norms[0].running_var, variances.mean(0))
    assert not any(norm.training for norm in norms)
    assert [norm.momentum for norm in (norms[0], norms[2])] == [0.3, 0.1]
    assert all(torch.equal(value, weights[name]) for name, value in norms.named_parameters())


def test_a_part_that_is_not_trained_keeps_its_statistics_when_others_are_recalibrated():
    norms = network()
    norms[0].requires_grad_(False)
    norms(IMAGES)
    norms.eval()
    before = norms[0].running_mean.clone()
    recalibrate(norms, [(IMAGES + 3,)])
    assert torch.equal(norms[0].running_mean, before)
    torch.testing.assert_close(norms[2].running_mean, norms[0](IMAGES + 3).mean((0, 2, 3)))


def test_frozen_norms_use_and_keep_their_statistics_while_their_weights_train():
    norms = network()
    freeze_norms(norms[0])
    out = norms[0](IMAGES)
    torch.testing.assert_close(out, IMAGES / (1 + 1e-5) ** 0.5)
    assert torch.equal(norms[0].running_mean, torch.zeros(3))
    assert norms[0].weight.requires_grad
