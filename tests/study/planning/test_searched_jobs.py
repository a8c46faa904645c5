"""Shared jobs that a search makes anew count as part of a study's cost."""

import pytest
from whole_studies import TINY

from study.config.definition import load_study
from study.planning.calibration import Calibration
from study.planning.estimate import estimate
from study.planning.finished import FinishedWork
from study.planning.plan import Plan
from study.planning.searched_jobs import searched_jobs, searched_paths

TRIALS = 12
SIMCLR = "method=simclr,label_fraction=1.0"
TEMPERATURE = "search.space.pretext.method.temperature={uniform: [0.1, 0.5]}"
SIZE = "search.space.pretext.fit.batch_size={choice: [4, 8]}"
PROBABILITY = "search.space.pretext.augment.flip.p={choice: [0.1, 0.2, 0.3]}"


def plan_of(*sets: str) -> Plan:
    return Plan(
        load_study(str(TINY), sets=[f"search.trials={TRIALS}", "factors.pretext.method=[random, simclr]", *sets])
    )


@pytest.mark.parametrize(
    ("sets", "versions"),
    [
        ((), []),
        ((SIZE,), [2]),
        ((SIZE, PROBABILITY), [6]),
        ((TEMPERATURE,), [TRIALS]),
        (("search.space.network.backbone.width={int: [4, 6]}",), [3]),
        (("search.space.downstream.augment.strength={uniform: [0, 1]}",), []),
    ],
)
def test_a_pretraining_has_a_version_for_each_value_that_the_search_can_try(sets, versions):
    plan = plan_of(*sets)
    assert [count for _, count in searched_jobs(plan, SIMCLR)] == versions
    assert searched_jobs(plan, "method=random,label_fraction=1.0") == []
    searched = [text.removeprefix("search.space.").partition("=")[0] for text in sets if "downstream" not in text]
    assert searched_paths(plan) == searched


def test_the_hours_count_the_pretrainings_of_the_search_that_are_left(tmp_path):
    rates = Calibration(tmp_path / "calibration.json")
    one, many = estimate(plan_of(), rates), estimate(plan_of(TEMPERATURE), rates)
    # Both label fractions share the default pretraining, and their searches need others.
    assert many.hours["pretext"] == pytest.approx((1 + 2 * (TRIALS - 1)) * one.hours["pretext"])
    half = FinishedWork(jobs={(cell.key, "trial"): 6 for cell in plan_of().cells})
    left = estimate(plan_of(TEMPERATURE), rates, half)
    assert left.hours["pretext"] == pytest.approx((1 + 2 * (TRIALS - 1 - 6)) * one.hours["pretext"])
