import pytest
from whole_studies import TINY

from study.declaration.definition import load_study
from study.estimate import dataset_sizes, estimate
from study.plan import Plan


def test_it_covers_every_job_and_grows_with_them():
    study = load_study(str(TINY))
    small = estimate(Plan(study))
    large = estimate(Plan(load_study(str(TINY), sets=["replicates=20", "pretext.fit.epochs=200"])))
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
