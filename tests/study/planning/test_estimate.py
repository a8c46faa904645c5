import json
import time

import pytest
from whole_studies import TINY

from study.config.definition import load_study
from study.planning.calibration import Calibration
from study.planning.dataset_sizes import dataset_sizes
from study.planning.estimate import estimate
from study.planning.plan import Plan
from trainables.common.errors import UserError


def test_it_covers_every_job_and_grows_with_them(tmp_path):
    study = load_study(str(TINY))
    rates = Calibration(tmp_path / "calibration.json")
    small = estimate(Plan(study), rates)
    large = estimate(Plan(load_study(str(TINY), sets=["replicates=20", "pretext.fit.epochs=200"])), rates)
    assert set(small.hours) == {"pretext", "trial", "replicate"}
    assert all(hours > 0 for hours in small.hours.values())
    assert large.hours["replicate"] > 3 * small.hours["replicate"]
    assert large.hours["pretext"] > 20 * small.hours["pretext"]
    assert small.total == pytest.approx(sum(small.hours.values()))


def test_a_phantoms_sizes_are_known_before_it_is_made():
    sizes = dataset_sizes(load_study(str(TINY)).spec.data)
    assert sizes.sequences["train"] == pytest.approx(12)
    assert sizes.labelled["train"] == pytest.approx(24)
    assert sizes.frames["train"] > sizes.labelled["train"]


def test_a_rate_is_measured_once_unless_renewed_or_damaged(tmp_path):
    path = tmp_path / "calibration.json"
    assert Calibration(path).rate("a", lambda: 2.0) == 2.0
    assert Calibration(path).rate("b", lambda: 3.0) == 3.0
    assert Calibration(path).rate("a", lambda: pytest.fail("it was measured before")) == 2.0
    assert Calibration(path, remeasure=True).rate("a", lambda: 5.0) == 5.0
    path.write_text("{")
    assert Calibration(path).rate("a", lambda: 7.0) == 7.0


def test_settings_that_slow_a_step_have_a_rate_of_their_own(tmp_path):
    path = tmp_path / "calibration.json"
    counts = []
    for sets in ([], ["downstream.fit.recompute=true"]):
        estimate(Plan(load_study(str(TINY), sets=sets)), Calibration(path))
        (known,) = json.loads(path.read_text()).values()
        counts.append(len(known))
    assert counts[1] == counts[0] + 1


def test_a_step_that_could_fill_the_memory_is_not_measured_but_one_measured_before_counts(tmp_path):
    plan, rates = Plan(load_study(str(TINY))), Calibration(tmp_path / "calibration.json")
    with pytest.raises(UserError, match=r"takes at least .* GB is not measured here \(0.001 GB of memory are free\)"):
        estimate(plan, rates, rough=True, free=1e-3)
    assert not (tmp_path / "calibration.json").exists()
    estimate(plan, rates)
    assert estimate(plan, rates, free=1e-3).total > 0


def test_a_study_of_ten_thousand_trials_is_planned_at_once(tmp_path):
    rates = Calibration(tmp_path / "calibration.json")
    many = ["search.trials=105", "factors.downstream.fit.batch_size=[4,8,12,16]", "factors.network.width=[8,16,32,64]"]
    estimate(Plan(load_study("quickstart", sets=many)), rates)
    started = time.process_time()
    plan = Plan(load_study("quickstart", sets=many))
    assert plan.planned()["trial"] > 10_000
    assert estimate(plan, rates).total > 0
    assert time.process_time() - started < 2
