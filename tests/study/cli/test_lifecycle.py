"""Commands that retry, extend, stop and compare studies."""

import contextlib
import json
import shutil
import zlib
from pathlib import Path

import pytest
from whole_studies import TINY, call, final_metrics, finished, study

from study.cli import lifecycle
from study.cli.lifecycle import study_from_plan
from study.config.catalog import available
from study.config.definition import load_study
from study.execution.plan_record import refuse_changes
from study.planning.jobs import Outcome, ResourceRequest
from study.planning.plan import Plan
from study.scheduling.scheduler import JobScheduler
from study.scheduling.state import StudyState
from study.storage.ledger import Ledger, read_ledger
from study.storage.plan_file import read_plan, write_plan
from study.storage.workspace import Workspace
from trainables.common.files import write_json

EVERYTHING = ResourceRequest(cpus=100)


def begun(root: Path, failing: str):
    """Return a study on disk whose jobs all ended, those with `failing` in their names as failed."""
    folder = Workspace(root).study("tiny")
    folder.root.mkdir(parents=True)
    plan = Plan(load_study(str(TINY)))
    write_json(folder.plan, {"name": "tiny", "spec": plan.study.document(), "planned_jobs": plan.planned()})
    made: set[str] = set()
    with contextlib.closing(Ledger(folder.ledger, iter(range(10**6)).__next__)) as ledger:
        run_out(JobScheduler(plan, ledger, made.__contains__), made, folder, failing)
    return folder, plan, made


def run_out(scheduler: JobScheduler, made: set[str], folder, failing: str) -> list[str]:
    ran = []
    while (job := scheduler.next_job(EVERYTHING)) is not None:
        ran.append(job.id)
        failed = bool(failing) and failing in job.id
        outcome = Outcome("failed", {}, 0, 1.0, "broken") if failed else Outcome("completed", {"val/dice": 0.5}, 3, 1.0)
        folder.job(job.id).root.mkdir(parents=True, exist_ok=True)
        write_json(folder.job(job.id).result, {"status": outcome.status})
        if not failed:
            made.add(job.digest)
        scheduler.finish(job.id, outcome)
    return ran


@pytest.mark.parametrize("failing", ["replicate-1", "trial-2", "pretext"])
def test_failed_jobs_are_run_again_and_nothing_else(tmp_path, capsys, failing):
    folder, plan, made = begun(tmp_path, failing)
    before = StudyState.replay(read_ledger(folder.ledger)).outcomes
    failed = {job for job, event in before.items() if event.outcome.status == "failed"}
    assert failed
    code, said = call(capsys, "retry", "tiny", "--workspace", str(tmp_path))
    assert code == 0
    with contextlib.closing(Ledger(folder.ledger, iter(range(10**6)).__next__)) as ledger:
        again = run_out(JobScheduler(plan, ledger, made.__contains__), made, folder, "")
    after = StudyState.replay(read_ledger(folder.ledger)).outcomes
    if failing == "trial-2":  # their cells have chosen without them
        assert again == []
        assert f"{len(failed)} failed trials stay failed" in said
        return
    assert failed <= set(again)
    assert not {job for job in again if job not in failed and job in before}
    assert all(event.outcome.status == "completed" for event in after.values())
    assert len(after) == sum(plan.planned().values())


def test_a_failed_trial_of_a_cell_that_still_searches_is_retried_with_its_settings(tmp_path, capsys):
    folder = Workspace(tmp_path).study("tiny")
    folder.root.mkdir(parents=True)
    plan, made = Plan(load_study(str(TINY))), set()
    write_json(folder.plan, {"name": "tiny", "spec": plan.study.document()})
    with contextlib.closing(Ledger(folder.ledger, iter(range(10**6)).__next__)) as ledger:
        scheduler = JobScheduler(plan, ledger, made.__contains__)
        while (job := scheduler.next_job(EVERYTHING)) is not None and job.kind != "trial":
            made.add(job.digest)
            scheduler.finish(job.id, Outcome("completed", {}, 1, 1.0))
        assert job is not None
        scheduler.finish(job.id, Outcome("failed", {}, 0, 1.0, "broken"))
    call(capsys, "retry", "tiny", "--workspace", str(tmp_path))
    with contextlib.closing(Ledger(folder.ledger, iter(range(10**6)).__next__)) as ledger:
        scheduler = JobScheduler(plan, ledger, made.__contains__)
        waiting = {next_job.id: next_job for next_job in iter(lambda: scheduler.next_job(EVERYTHING), None)}
        assert waiting[job.id].params == job.params
        scheduler.finish(job.id, Outcome("completed", {"val/dice": 0.9}, 3, 1.0))
        assert scheduler.outcomes[job.id].outcome.status == "completed"


def test_a_study_is_rebuilt_from_its_plan():
    study_of = load_study(str(TINY))
    plan = json.loads(json.dumps({"spec": study_of.document()}))
    assert study_from_plan(plan).document() == study_of.document()
    more = study_from_plan(plan, replicates=9)
    assert more.spec.replicates.runs == 9
    assert [cell.key for cell in more.cells()] == [cell.key for cell in study_of.cells()]


@pytest.mark.parametrize("name", [name for name, _ in available()])
def test_a_shipped_study_is_extended_as_the_same_study(tmp_path, name):
    original, folder = load_study(name), Workspace(tmp_path).study(name)
    factors = {factor.name: list(factor.levels) for factor in original.spec.factors}
    write_plan(folder.plan, {"spec": original.document(), "factors": factors})
    rebuilt = study_from_plan(read_plan(folder.plan))
    refuse_changes(folder, rebuilt)
    assert [cell.key for cell in rebuilt.cells()] == [cell.key for cell in original.cells()]
    assert list(rebuilt.spec.search.space) == list(original.spec.search.space)
    write_json(folder.plan, {"spec": original.document(), "factors": factors})  # as earlier versions wrote it
    refuse_changes(folder, study_from_plan(read_plan(folder.plan)))


@pytest.mark.parametrize("content", ["", '{"name": "tiny"', "[]", "{}"])
@pytest.mark.parametrize("command", [("status",), ("extend", "--replicates", "9"), ("report",)])
def test_a_damaged_plan_is_an_error_that_names_the_file(tmp_path, capsys, content, command):
    folder, *_ = begun(tmp_path, "")
    folder.plan.write_text(content)
    code, said = call(capsys, command[0], "tiny", *command[1:], "--workspace", str(tmp_path))
    assert code == 2
    assert f"{folder.plan}: " in said
    assert "Fix: " in said


def test_fewer_replicates_are_no_extension(tmp_path, capsys):
    begun(tmp_path, "")
    code, said = call(capsys, "extend", "tiny", "--replicates", "1", "--workspace", str(tmp_path))
    assert code == 2
    assert "expected 2 or more" in said


def test_the_same_extension_goes_on_after_an_interruption(tmp_path, capsys, monkeypatch):
    begun(tmp_path, "")
    ran = []
    monkeypatch.setattr(lifecycle, "run_study", lambda study, *_: ran.append(study.spec.replicates.runs) or 0)
    assert call(capsys, "extend", "tiny", "--replicates", "2", "--workspace", str(tmp_path))[0] == 0
    assert ran == [2]


def test_a_study_that_does_not_run_cannot_be_stopped(tmp_path, capsys):
    begun(tmp_path, "")
    code, said = call(capsys, "stop", "tiny", "--workspace", str(tmp_path))
    assert (code, "is not running" in said) == (2, True)


@pytest.mark.ray
@pytest.mark.slow
def test_an_extended_study_keeps_its_results_and_is_compared_with_another(uninterrupted, tmp_path, capsys):
    root = tmp_path / "workspace"
    shutil.copytree(uninterrupted, root)
    shutil.copytree(root / "studies" / "tiny", root / "studies" / "other")
    more = study(root, "extend", "tiny", "--replicates", "3")
    assert more.returncode == 0, more.stderr
    folder = Workspace(root).study("tiny")
    before, after = final_metrics(Workspace(uninterrupted).study("tiny")), final_metrics(folder)
    assert len(after) == len(before) * 3 // 2
    assert all(after[job] == value for job, value in before.items())
    best = json.loads(call(capsys, "best", "tiny", "--json", "--workspace", str(root))[1])
    assert [row["val/dice"] for row in best] == sorted((row["val/dice"] for row in best), reverse=True)
    rows = json.loads(call(capsys, "compare", "tiny", "other", "--json", "--workspace", str(root))[1])
    assert len(rows) == len(best)
    assert all(row["difference"] == 0 and row["replicates"] == 2 for row in rows)


@pytest.mark.ray
@pytest.mark.drill
def test_a_search_for_two_objectives_has_a_pareto_front_and_can_be_extended(tmp_path):
    two = ("--set", "search.objectives=[val/dice, seconds]", "--set", "search.sampler=nsga2", "--set", "replicates=1")
    two += ("--set", "search.pruner={name: none}", "--set", "factors.downstream.label_fraction=[1.0]")
    ran = study(tmp_path, "run", str(TINY), *two)
    assert ran.returncode == 0, ran.stderr
    folder = Workspace(tmp_path).study("tiny")
    fronts = json.loads(study(tmp_path, "best", "tiny", "--pareto-front", "--json").stdout)
    trials = [event for event in finished(folder) if event.kind == "trial"]
    for cell in {trial.cell for trial in trials}:
        points = {t.index: (-t.outcome.metrics["val/dice"], t.outcome.seconds) for t in trials if t.cell == cell}
        kept = {each["trial"] for each in fronts if each["cell"] == cell}
        for index, (cost, seconds) in points.items():
            beaten = any((c <= cost and s <= seconds and (c, s) != (cost, seconds)) for c, s in points.values())
            assert (index in kept) == (not beaten)
    more = study(tmp_path, "extend", "tiny", "--trials", "5")
    assert more.returncode == 0, more.stderr
    after = [event for event in finished(folder) if event.kind == "trial"]
    assert len(after) == 10
    assert [t for t in after if t.index < 3] == trials
    fewer = study(tmp_path, "extend", "tiny", "--trials", "4")
    assert fewer.returncode == 2


def test_a_ledger_that_names_another_folder_deletes_nothing(tmp_path, capsys):
    folder, *_ = begun(tmp_path, "")
    victim = tmp_path / "victim"
    victim.mkdir()
    (victim / "result.json").write_text("mine")
    body = json.dumps(
        {"event": "job_finished", "time": 1.0, "job": "../../../victim", "kind": "replicate", "cell": "all", "index": 0,
         "params": {}, "digest": "d", "outcome": {"status": "failed", "metrics": {}, "epochs": 0, "seconds": 0.0,
                                                  "reason": "", "learning": None}}
    )  # fmt: skip
    with folder.ledger.open("a") as file:
        file.write(f"{zlib.crc32(body.encode()):08x} {body}\n")
    code, said = call(capsys, "retry", "tiny", "--workspace", str(tmp_path))
    assert code == 2
    assert "job is '../../../victim', expected the name of a folder" in said
    assert (victim / "result.json").read_text() == "mine"
