import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from toys import toy_store

from trainables.pretext.global_contrastive import GlobalContrastive, part_contrast, parts_of
from trainables.pretext.simclr import nt_xent


def test_the_loss_is_that_of_finding_ones_own_part():
    rng = np.random.default_rng(0)
    one, two, parts, tau = rng.normal(size=(5, 3)), rng.normal(size=(5, 3)), [0, 1, 0, 2, 1], 0.4
    views = [z / np.linalg.norm(z) for z in np.concatenate([one, two])]
    label = parts * 2
    total = 0.0
    for i in range(10):
        repelled = sum(math.exp(views[i] @ views[j] / tau) for j in range(10) if label[j] != label[i])
        lost = []
        for p in range(10):
            if p != i and label[p] == label[i]:
                attracted = math.exp(views[i] @ views[p] / tau)
                lost.append(-math.log(attracted / (attracted + repelled)))
        total += sum(lost) / len(lost)
    found = part_contrast(torch.tensor(one), torch.tensor(two), torch.tensor(parts), tau)
    assert found.item() == pytest.approx(total / 10, abs=1e-9)


def test_where_every_image_is_a_part_of_its_own_it_is_nt_xent():
    one, two = torch.randn(2, 6, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    parts = part_contrast(one, two, torch.arange(6), 0.2)
    torch.testing.assert_close(parts, nt_xent(one, two, 0.2)[0], rtol=0, atol=1e-9)


def test_slices_are_divided_evenly_and_frames_of_a_cycle_not():
    store = toy_store(12)
    index = store.index.copy()
    index["sequence"] = [0] * 8 + [1] * 4
    index["frame"] = [*range(8), *range(4)]
    index["stack"] = [1] * 8 + [0] * 4
    parts = parts_of(replace(store, index=index), 4)
    assert parts[:8].tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    assert len(set(parts[8:].tolist())) == 4
    assert parts[8:].min() >= 4


@pytest.mark.parametrize("bad", [{"temperature": 0}, {"partitions": 0}, {"projection": 1}])
def test_settings_out_of_range_are_refused(bad):
    with pytest.raises(ValueError, match="expected"):
        GlobalContrastive(**bad)
