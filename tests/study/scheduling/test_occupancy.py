"""Simulated schedules, beside sums that can be made by hand."""

from itertools import pairwise
from pathlib import Path

import pytest

from study.config.definition import load_study
from study.planning.plan import Plan
from study.scheduling.occupancy import occupancies, occupancy

TINY = Path(__file__).parents[1] / "tiny.yaml"
HOURS = {"pretext": 4.0, "trial": 1.0, "replicate": 2.0}


def plan_of(*sets: str) -> Plan:
    return Plan(load_study(str(TINY), sets=sets))


def test_one_slot_takes_the_sum_of_all_jobs():
    plan = plan_of()
    found = occupancy(plan, HOURS, 1)
    assert found.hours == sum(HOURS[kind] * count for kind, count in plan.planned().items())
    assert found.share == pytest.approx(1.0)


def test_a_sequential_search_is_as_long_as_its_trials_on_any_number_of_slots():
    one_cell = ("factors.pretext.method=[random]", "factors.downstream.label_fraction=[1.0]", "search.trials=9")
    sequential = occupancy(plan_of(*one_cell, "search.parallel=1"), HOURS, 16)
    assert sequential.hours == 9 * HOURS["trial"] + HOURS["replicate"]
    parallel = occupancy(plan_of(*one_cell, "search.parallel=3"), HOURS, 16)
    assert parallel.hours == 3 * HOURS["trial"] + HOURS["replicate"]
    assert parallel.busy[0] == pytest.approx(3.0)


def test_more_slots_are_listed_as_long_as_they_help():
    found = occupancies(plan_of(), HOURS)
    assert [each.slots for each in found] == [2**power for power in range(len(found))]
    assert all(later.hours < earlier.hours for earlier, later in pairwise(found))


def test_a_large_study_is_not_simulated():
    assert occupancies(plan_of("search.trials=3000"), HOURS) == []
