import math

import pytest

from trainables.pretext.monitoring.learning import assess
from trainables.pretext.monitoring.signs import MATCHING

CHANCE = 1 / 127
"""Matching accuracy of unrelated embeddings in a batch of 64 images."""


def row(accuracy, std=1.0, rank=30.0, **more):
    return {
        "loss": 1.0,
        "val/matching_accuracy": accuracy,
        "val/matching_chance": CHANCE,
        "val/embedding_std": std,
        "val/effective_rank": rank,
        **more,
    }


@pytest.mark.parametrize(
    ("history", "verdict"),
    [
        ([row(0.03, rank=22.0)], "not learned"),  # SimCLR on CAMUS with too strong views: Dice below a random start's
        ([row(0.023, rank=47.0)], "not learned"),
        ([row(0.19, rank=35.0)], "learned"),
        ([row(0.28, rank=35.0)], "learned"),
        ([row(1.0, rank=43.0)], "learned"),
        ([row(0.1)], "weak"),
        ([row(0.9), row(0.03)], "not learned"),
        ([row(0.5, std=0.001)], "collapsed"),
        ([row(0.5, rank=1.01)], "collapsed"),
        ([row(0.5, **{"val/prediction_std": 0.0})], "collapsed"),
        ([row(math.nan, std=math.nan)], "collapsed"),
        ([{"loss": 1.0}, {"loss": 150.0}], "diverged"),
        ([{"loss": 1.0}], "unknown"),
    ],
)
def test_planted_failures_are_named(history, verdict):
    assert assess(MATCHING, history, row(0.01)).verdict == verdict


def test_a_task_that_the_untrained_network_solves_as_well_is_weak():
    found = assess(MATCHING, [row(0.95)], {**row(0.94)})
    assert found.verdict == "weak"
    assert "the untrained network does it as well" in found.reason
    assert "too easy" in found.advice


def test_a_verdict_names_its_numbers_and_what_to_try():
    found = assess(MATCHING, [row(0.031, rank=22.0, **{"val/uniformity": -0.67})], row(0.012, rank=9.2))
    assert found.reason == (
        "skill 0.28, learned from 0.6: matched views 3.1% (chance 0.8%); "
        "untrained 1.2%; effective rank 22 (untrained 9.2); uniformity -0.67"
    )
    assert "weaken the crop" in found.advice
    assert found.text.startswith("not learned: skill 0.28")
    assert 0.2 < found.skill < 0.4


def test_a_method_without_a_sign_has_no_verdict():
    assert assess(None, [{"loss": 1.0}]).verdict == "unknown"


def test_a_handful_of_images_decides_nothing():
    few = assess(MATCHING, [row(0.03)], images=15)
    assert few.verdict == "unknown"
    assert few.reason.startswith("only 15 validation images, expected at least 16; matched views 3.0%")
    assert assess(MATCHING, [row(0.03)], images=16).verdict == "not learned"
    assert assess(MATCHING, [row(0.5, std=0.001)], images=2).verdict == "collapsed"
