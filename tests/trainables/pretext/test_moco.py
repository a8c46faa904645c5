import math

import numpy as np
import pytest
import torch
from toys import toy_store

from trainables.augment.policy import Policy
from trainables.networks import UNetEncoder
from trainables.pretext.moco import MoCo, info_nce


def by_the_algorithm(query: np.ndarray, keys: np.ndarray, tau: float) -> tuple[float, float]:
    """2 tau times the mean of -log(exp(s_ii / tau) / sum over j of exp(s_ij / tau)), and the share found."""
    total, hits, count = 0.0, 0, len(query)
    for i in range(count):
        similar = [query[i] @ keys[j] / np.linalg.norm(query[i]) / np.linalg.norm(keys[j]) for j in range(count)]
        total -= math.log(math.exp(similar[i] / tau) / sum(math.exp(s / tau) for s in similar))
        hits += int(np.argmax(similar)) == i
    return 2 * tau * total / count, hits / count


def test_the_loss_is_that_of_finding_the_own_key_among_all():
    query, keys = np.random.default_rng(0).normal(size=(2, 5, 3))
    loss, accuracy = info_nce(torch.tensor(query), torch.tensor(keys), 0.3)
    expected, found = by_the_algorithm(query, keys, 0.3)
    assert loss.item() == pytest.approx(expected, abs=1e-9)
    assert accuracy.item() == pytest.approx(found)


def test_both_views_look_among_the_keys_of_the_other_alone():
    predicted, targets = np.random.default_rng(1).normal(size=(2, 10, 3))
    settings = MoCo(temperature=0.3, hidden=4, projection=3)
    task = settings.build(UNetEncoder(width=4, depth=2).build(1), Policy(), toy_store())
    losses = task.compare(torch.tensor(predicted), torch.tensor(targets))
    first, second = (by_the_algorithm(predicted[rows], targets[rows], 0.3) for rows in (slice(5), slice(5, 10)))
    assert losses["loss"].item() == pytest.approx(first[0] + second[0], abs=1e-9)
    assert losses["contrastive_accuracy"].item() == pytest.approx((first[1] + second[1]) / 2)


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
