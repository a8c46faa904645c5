"""Arms: configurations that take the same steps are rehearsed once, all others by themselves."""

import pytest
from toys import toy_store
from whole_studies import TINY

from study.config.definition import Study, load_study
from study.planning.datasets import Dataset
from study.rehearsal.arms import Arm, RehearsalPlan, arms_of
from study.stages.configuration import REHEARSAL
from trainables.data.store.frames import FrameStore


@pytest.fixture(autouse=True)
def store(monkeypatch: pytest.MonkeyPatch) -> None:
    """60 training subjects with one labelled frame each."""
    monkeypatch.setattr(FrameStore, "open", lambda folder: toy_store(frames=180))


def study(*sets: str) -> Study:
    return load_study(str(TINY), sets=["factors={pretext.method: null, downstream.label_fraction: null}", *sets])


def arms(of: Study, refused: list[tuple[str, str]] | None = None) -> list[Arm]:
    note = [] if refused is None else refused
    return arms_of(of, lambda settings: Dataset("/frames", "toy"), lambda cell, why: note.append((cell, why)))


def test_cells_with_labels_for_a_full_batch_are_alike():
    fractions = "factors={downstream.label_fraction: [1.0, 0.5, 0.05]}"
    assert [arm.cells for arm in arms(study(fractions))] == [
        ("label_fraction=1.0", "label_fraction=0.5"),
        ("label_fraction=0.05",),  # three frames, in a batch of 8
    ]


def test_other_differences_make_arms_of_their_own():
    assert len(arms(study("factors={downstream.fit.batch_size: [4, 8], pretext.method: [random, simclr]}"))) == 4


def test_cells_without_enough_labels_are_refused():
    refused: list[tuple[str, str]] = []
    assert len(arms(study("factors={downstream.labels: [5, 500]}"), refused)) == 1
    assert refused == [("labels=500", "downstream.labels is 500, the training split has 60 labelled subjects")]


def test_a_searched_category_is_an_arm_of_its_own():
    found = arms(study("search.space={downstream.loss: {choice: [dice, cross_entropy]}}"))
    assert [arm.params["downstream.loss"] for arm in found] == ["dice", "cross_entropy"]
    assert [arm.cells for arm in found] == [("all",), ("all",)]
    assert len({arm.cell.key for arm in found}) == 2


def test_the_plan_marks_and_shortens_every_job():
    of = study("factors={pretext.method: [simclr]}", "tracking=http://127.0.0.1:1")
    plan = RehearsalPlan(of, lambda settings: Dataset("/frames", "toy"), of.cells(), "rehearsal-of-it")
    replicate = plan.replicate(plan.cells[0].key, 0, {})
    jobs = [*plan.sources_of(replicate), replicate]
    assert [job.stage for job in jobs] == ["pretext", "downstream"]
    assert all(job.config[REHEARSAL] and job.epochs == 2 for job in jobs)
    assert plan.planned() == {"pretext": 1, "trial": 0, "replicate": 1}
    assert (plan.spec.name, plan.spec.tracking) == ("rehearsal-of-it", None)
