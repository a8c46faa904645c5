import pytest
import torch
from torch.nn import functional as F

from trainables.pretext.parts import nt_xent as module
from trainables.pretext.parts.nt_xent import nt_xent


def whole(one, two, temperature):
    """Return the loss from all similarities at once, by torch's cross-entropy."""
    views = F.normalize(torch.cat([one, two]), dim=1)
    similarity = (views @ views.T / temperature).fill_diagonal_(float("-inf"))
    partner = torch.arange(len(views)).roll(len(one))
    return F.cross_entropy(similarity, partner)


@pytest.mark.parametrize("block", [1, 7, 100, 2**24])
@pytest.mark.parametrize("temperature", [0.01, 0.5])
def test_blocks_change_neither_loss_nor_gradient(monkeypatch, block, temperature):
    monkeypatch.setattr(module, "BLOCK", block)
    one, two = (torch.randn(13, 6, dtype=torch.float64, requires_grad=True) for _ in range(2))
    loss, _ = nt_xent(one, two, temperature)
    expected = whole(one, two, temperature)
    torch.testing.assert_close(loss, expected)
    mine = torch.autograd.grad(loss, (one, two))
    torch.testing.assert_close(mine, torch.autograd.grad(expected, (one, two)), rtol=1e-9, atol=1e-9)


def test_nothing_of_the_square_of_the_batch_is_kept_for_the_gradient(monkeypatch):
    monkeypatch.setattr(module, "BLOCK", 2**10)
    one, two = (torch.randn(256, 8, requires_grad=True) for _ in range(2))
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t.numel()) or t, lambda t: t):
        nt_xent(one, two, 0.1)
    assert max(kept) <= 512 * 8
