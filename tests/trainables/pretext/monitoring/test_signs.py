import itertools
import math

import numpy as np
import pytest
import torch

from trainables.pretext.monitoring.embedding_metrics import embedding_metrics
from trainables.pretext.monitoring.signs import MATCHING, Sign

ERROR = Sign("loss", "mean_error", "error", "error", "mean", 0.1, 0.3, "")
BOXES = Sign("dice", 0.2, "score", "Dice", "nothing", 0.1, 0.5, "")


def matching(accuracy, chance=1 / 127):
    return {"val/matching_accuracy": accuracy, "val/matching_chance": chance}


@pytest.mark.parametrize(
    ("sign", "metrics", "expected"),
    [
        (MATCHING, matching(1 / 127), 0.0),
        (MATCHING, matching(0.0), 0.0),
        (MATCHING, matching(1.0), 1.0),
        (MATCHING, matching(127**-0.5), 0.5),
        (ERROR, {"val/loss": 0.6, "val/mean_error": 0.8}, 0.25),
        (ERROR, {"val/loss": 1.0, "val/mean_error": 0.8}, -0.25),
        (BOXES, {"val/dice": 0.6}, 0.5),
    ],
)
def test_skill_is_0_at_chance_and_1_when_perfect(sign, metrics, expected):
    assert sign.skill(metrics) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("sign", "metrics"),
    [
        (MATCHING, matching(math.nan)),
        (MATCHING, matching(1.0, chance=1.0)),
        (ERROR, {"val/loss": 0.0, "val/mean_error": 0.0}),
    ],
)
def test_skill_is_nan_where_nothing_can_be_learned(sign, metrics):
    assert math.isnan(sign.skill(metrics))


def test_the_text_shows_the_baseline():
    assert MATCHING.text(matching(0.031, 0.0079)) == "matched views 3.1% (chance 0.8%)"
    assert ERROR.text({"val/loss": 0.6, "val/mean_error": 0.8}) == "error 0.6 (mean 0.8)"


def test_embeddings_find_their_partner_as_often_as_a_loop_says():
    generator = torch.Generator().manual_seed(0)
    one = torch.nn.functional.normalize(torch.randn(12, 5, generator=generator), dim=1)
    two = torch.nn.functional.normalize(one + 0.8 * torch.randn(12, 5, generator=generator), dim=1)
    subjects = torch.tensor([0, 0, 1, 1, 1, 2, 3, 4, 5, 6, 7, 8])
    found = embedding_metrics(one, two, subjects)
    views, owner = torch.cat([one, two]).double().numpy(), np.tile(subjects.numpy(), 2)
    nearer, matched, chance, distances = [], [], [], []
    for n, view in enumerate(views):
        partner = views[(n + 12) % 24]
        others = views[owner != owner[n]]
        closer = np.linalg.norm(view - partner) < np.linalg.norm(view - others, axis=1)
        nearer.append(closer.mean())
        matched.append(closer.all())
        chance.append(1 / (1 + len(others)))
    for n, m in itertools.product(range(12), range(12, 24)):
        if owner[n] != owner[m]:
            distances.append(((views[n] - views[m]) ** 2).sum())
    expected = {"partner_nearer": nearer, "matching_accuracy": matched, "matching_chance": chance}
    for name, values in {**expected, "unrelated_distance": distances}.items():
        assert found[name].item() == pytest.approx(np.mean(values), rel=1e-5), name
