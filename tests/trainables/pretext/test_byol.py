import pytest
import torch

from trainables.pretext.byol import byol_loss


def test_the_loss_is_the_distance_of_normalised_vectors_of_both_views():
    predicted, targets = torch.randn(2, 10, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    expected = 0.0
    for p, t in zip(predicted, targets, strict=True):
        expected += float((p / p.norm() - t / t.norm()).square().sum())
    assert float(byol_loss(predicted, targets)) == pytest.approx(expected / 5, abs=1e-9)  # ten views of five images


def test_no_gradient_reaches_the_target():
    predicted = torch.randn(4, 3, requires_grad=True)
    targets = torch.randn(4, 3, requires_grad=True)
    byol_loss(predicted, targets).backward()
    assert predicted.grad is not None
    assert targets.grad is None
