import math

import numpy as np
import pytest
import torch

from trainables.pretext.moco import MoCo, info_nce


def test_the_loss_is_that_of_finding_the_own_key_among_all():
    rng = np.random.default_rng(0)
    query, keys, tau = rng.normal(size=(5, 3)), rng.normal(size=(5, 3)), 0.3
    total, hits = 0.0, 0
    for i in range(5):
        similar = [query[i] @ keys[j] / np.linalg.norm(query[i]) / np.linalg.norm(keys[j]) for j in range(5)]
        total -= math.log(math.exp(similar[i] / tau) / sum(math.exp(s / tau) for s in similar))
        hits += int(np.argmax(similar)) == i
    loss, accuracy = info_nce(torch.tensor(query), torch.tensor(keys), tau)
    assert loss.item() == pytest.approx(2 * tau * total / 5, abs=1e-9)
    assert accuracy.item() == pytest.approx(hits / 5)


def test_keys_get_no_gradient():
    query, keys = torch.randn(2, 4, 3, requires_grad=True).unbind(0)
    query.retain_grad()
    keys.retain_grad()
    info_nce(query, keys, 0.2)[0].backward()
    assert query.grad is not None
    assert keys.grad is None


@pytest.mark.parametrize("bad", [{"temperature": 0}, {"momentum": 1.1}, {"projection": 1}])
def test_settings_out_of_range_are_refused(bad):
    with pytest.raises(ValueError, match="expected"):
        MoCo(**bad)
