"""A rehearsal of a study with one failing arm of each kind: all are found at once, and nothing else is touched."""

import json
import re
from dataclasses import dataclass
from pathlib import Path

import pytest
from rich.console import Console

from study.cli.plan import show_plan
from study.cli.rehearse import _write_report, rehearsal_due
from study.config.definition import Study, load_study
from study.planning.calibration import Calibration
from study.progress import Progress
from study.rehearsal import rehearse as module
from study.rehearsal.record import passed_before, record_pass
from study.rehearsal.rehearse import _private_workspace, rehearse
from study.rehearsal.result import Rehearsal
from study.storage.lock import driver_lock, holder
from study.storage.workspace import Workspace

pytestmark = pytest.mark.ray

PLANTED = Path(__file__).parent / "planted.yaml"


@dataclass
class Rehearsed:
    """The study, the workspace that it was rehearsed in, the result, and the folders that the report was asked for."""

    study: Study
    workspace: Workspace
    result: Rehearsal
    reported: list[Path]


@pytest.fixture(scope="module")
def rehearsed(tmp_path_factory: pytest.TempPathFactory) -> Rehearsed:
    study, workspace = load_study(str(PLANTED)), Workspace(tmp_path_factory.mktemp("planted") / "runs")
    reported: list[Path] = []

    def write_report(folder):
        reported.append(folder.root)
        _write_report(folder)
        raise ValueError("planted in the report")

    with Progress(Console(quiet=True)) as progress:
        result = rehearse(study, workspace, progress, write_report=write_report)
    return Rehearsed(study, workspace, result, reported)


def test_every_planted_failure_is_found_and_none_hides_another(rehearsed):
    reasons = {(failure.where, failure.cells): failure.reason for failure in rehearsed.result.failures}
    assert set(reasons) == {
        ("settings", ("arm=start",)),
        ("settings", ("arm=memory",)),
        ("labels", ("arm=labels",)),
        ("pretext", ("arm=head",)),
        ("report", ()),
    }
    assert "cannot start from ImageNet weights" in reasons["settings", ("arm=start",)]
    assert "takes at least" in reasons["settings", ("arm=memory",)]
    assert "downstream.labels is 50, the training split has 12" in reasons["labels", ("arm=labels",)]
    assert reasons["pretext", ("arm=head",)].startswith("out of memory")
    assert reasons["report", ()] == "ValueError: planted in the report"
    assert not rehearsed.result.passed


def test_an_arm_whose_pretraining_failed_is_named_as_not_rehearsed(rehearsed):
    (skipped,) = rehearsed.result.skipped
    assert (skipped.where, skipped.cells) == ("downstream", ("arm=head",))
    assert re.fullmatch(r"not rehearsed because pretext-\w+-[0-9a-f]{12} failed", skipped.reason)


def test_the_other_arms_take_two_steps_with_a_stop_between_them(rehearsed):
    jobs = {job.label.split()[0]: job for job in rehearsed.result.jobs}
    assert set(jobs) == {"pretext", "good", "folds"}
    assert all(job.resumed for job in jobs.values())
    assert all(0.05 < job.gigabytes < 5 for job in jobs.values())
    assert all(0 < job.seconds_per_step < 60 for job in jobs.values())
    assert jobs["good"].cells == ("arm=good", "arm=half")
    assert jobs["pretext"].cells == ("arm=good", "arm=half", "arm=folds")


def test_the_report_is_written_from_the_rehearsed_jobs(rehearsed):
    (folder,) = rehearsed.reported
    assert folder.parents[1].parent == rehearsed.workspace.rehearsals


def test_nothing_of_the_study_is_touched_and_the_rehearsal_is_removed(rehearsed):
    root = rehearsed.workspace.root
    assert {path.name for path in root.iterdir()} == {"data", "rehearsals", "calibration.json", "subject.key"}
    assert not list(rehearsed.workspace.rehearsals.iterdir())


def test_a_plan_uses_the_measured_rates(rehearsed):
    (rates,) = json.loads(rehearsed.workspace.calibration.read_text()).values()
    assert {json.loads(key)[0] for key in rates} == {"pretext", "downstream"}
    only = load_study(str(PLANTED), sets=["only=[{arm: [good, half]}]"])
    before = rehearsed.workspace.calibration.read_bytes()
    console = Console(quiet=True)
    show_plan(only, rehearsed.workspace, Calibration(rehearsed.workspace.calibration), console, as_json=True)
    assert rehearsed.workspace.calibration.read_bytes() == before


def test_a_study_is_rehearsed_before_it_runs_until_it_has_passed(rehearsed):
    workspace = rehearsed.workspace
    long = load_study(str(PLANTED), sets=["only=[{arm: [good, half]}]", "downstream.fit.epochs=1000000"])
    assert rehearsal_due(long, workspace, None)
    record_pass(long, workspace)
    assert passed_before(long, workspace)
    assert not rehearsal_due(long, workspace, None)
    changed = load_study(str(PLANTED), sets=["only=[{arm: good}]", "downstream.fit.epochs=1000000", "seed=3"])
    assert rehearsal_due(changed, workspace, None)
    short = load_study(str(PLANTED), sets=["only=[{arm: good}]", "downstream.fit.epochs=1", "pretext.fit.epochs=1"])
    assert not rehearsal_due(short, workspace, None)


def test_an_interrupted_rehearsal_has_not_passed(tmp_path, monkeypatch):
    from study.execution.launch import StudyResult

    monkeypatch.setattr(module, "run_plan", lambda *arguments: StudyResult(False, {}))
    study = load_study(str(PLANTED), sets=["only=[{arm: good}]"])
    with Progress(Console(quiet=True)) as progress, pytest.raises(KeyboardInterrupt):
        rehearse(study, Workspace(tmp_path / "runs"), progress)


def test_workspaces_of_killed_rehearsals_are_removed_and_those_of_running_ones_kept(tmp_path):
    workspace, study = Workspace(tmp_path).create(), load_study(str(PLANTED))
    killed, running = (Workspace(workspace.rehearsals / f"planted-{name}") for name in ("killed", "running"))
    for each in (killed, running):
        folder = each.study(each.root.name)
        with driver_lock(folder.lock):
            folder.ledger.touch()
    with driver_lock(running.study(running.root.name).lock), _private_workspace(study, workspace) as folder:
        kept = {path.name for path in workspace.rehearsals.iterdir()}
        assert kept == {"planted-running", folder.name}
        assert holder(folder.lock) is not None
    assert [path.name for path in workspace.rehearsals.iterdir()] == ["planted-running"]
