"""Stages that only tests/toy_stage.py knows work in every study once they are registered."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from whole_studies import TINY, finished

from study.config.definition import Study, load_study
from study.config.plain import canonical, plain
from study.config.problems import SpecError
from study.config.stage_settings import STAGE_SETTINGS
from study.execution.execute import execute
from study.planning.calibration import Calibration
from study.planning.datasets import Dataset
from study.planning.estimate import estimate
from study.planning.jobs import Job, ResourceRequest
from study.planning.plan import Plan
from study.scheduling.scheduler import JobScheduler
from study.stages import STAGES
from study.storage.artifacts import ArtifactStore
from study.storage.ledger import Ledger
from study.storage.workspace import JobFolder, Workspace
from trainables.data.store.prepare import prepare
from trainables.engine.runtime import LocalRuntime

TESTS = Path(__file__).parents[2]
SETS = (
    "factors={pretext.method: null, downstream.label_fraction: null, stages.threshold.factor: [0.5, 2.0]}",
    "pretext.method=random",
    "downstream.targets=propagated",
    "downstream.fit={epochs: 1, precision: float32}",
    "network={name: unet, backbone: {width: 4, depth: 2}}",
    "data.phantom.subjects=10",
    "search.trials=1",
    "replicates=1",
)


@pytest.fixture(autouse=True)
def toy_stages() -> Iterator[None]:
    importlib.import_module("toy_stage")
    yield
    del sys.modules["toy_stage"]
    for name in ("brightness", "threshold"):
        del STAGES._entries[name]
    del STAGE_SETTINGS._entries["threshold"]


def toy_study(*sets: str) -> Study:
    return load_study(str(TINY), sets=[*SETS, *sets], name="toy")


def test_its_settings_are_a_section_of_the_study_file():
    study = toy_study()
    factors = [study.resolve(cell.overrides).stages["threshold"].factor for cell in study.cells()]
    assert factors == [0.5, 2.0]
    assert study.document()["stages"] == {"threshold": {"name": "threshold", "factor": 0.5}}


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("stages.threshold={factr: 1.0}", r"stages\.threshold\.factr: unknown key.*did you mean 'factor'"),
        ("stages.treshold={factor: 1.0}", r"stages\.treshold: unknown stage 'treshold'.*did you mean 'threshold'"),
        ("stages.threshold.factor=-1.0", r"factor is -1\.0, expected at least 0"),
    ],
)
def test_a_wrong_section_is_refused_with_its_place(setting, message):
    with pytest.raises(SpecError, match=message):
        load_study(str(TINY), sets=[setting])


def test_its_jobs_replace_those_of_the_stage_that_provides_the_same_output():
    plan = Plan(toy_study())
    jobs = [plan.shared_jobs(cell.key, {}) for cell in plan.cells]
    assert [[job.stage for job in each] for each in jobs] == [["brightness", "threshold"]] * 2
    (one, first), (other, second) = jobs
    assert one == other
    assert first.digest != second.digest
    assert first.inputs == {"brightness": one.digest}
    assert first.config["inputs"] == first.inputs
    assert plan.trial(plan.cells[0].key, 0, {}).inputs == {"labels": first.digest}
    assert plan.planned() == {"brightness": 1, "threshold": 2, "trial": 2, "replicate": 2}


def test_jobs_whose_output_nothing_reads_are_not_planned():
    plan = Plan(toy_study("downstream.targets=labelled"))
    assert all(plan.shared_jobs(cell.key, {}) == [] for cell in plan.cells)
    assert "brightness" not in plan.planned()


def test_it_requests_the_resources_of_its_section():
    plan = Plan(toy_study("resources.stages.threshold.cpus=2"))
    brightness, threshold = plan.shared_jobs(plan.cells[0].key, {})
    assert (brightness.resources, threshold.resources) == (ResourceRequest(), ResourceRequest(cpus=2))


def test_without_a_workload_it_counts_as_zero_hours(tmp_path):
    rates = Calibration(tmp_path / "calibration.json")
    rates.rate = lambda key, measure: 1.0  # type: ignore[method-assign]
    hours = estimate(Plan(toy_study()), rates).hours
    assert hours["threshold"] == 0
    assert hours["trial"] > 0


def run_in_process(study: Study, root: Path) -> tuple[JobScheduler, list[Job]]:
    """Run a study's jobs one after another in this process; return its scheduler and the jobs in their order."""
    datasets: dict[str, Dataset] = {}

    def dataset(settings):
        key = canonical(plain(settings))
        if key not in datasets:
            store = prepare(settings, None, root / "data", b"key", workers=1)
            datasets[key] = Dataset(str(store.folder), store.fingerprint)
        return datasets[key]

    artifacts = ArtifactStore(root / "artifacts")
    ledger = Ledger(root / "ledger.jsonl", lambda: 0.0)
    scheduler = JobScheduler(Plan(study, dataset), ledger, artifacts.has)
    ran = []
    while (job := scheduler.next_job(ResourceRequest(cpus=100))) is not None:
        ran.append(job)
        scheduler.finish(job.id, execute(job, JobFolder(root / job.id), artifacts, LocalRuntime()))
    return scheduler, ran


def test_a_study_runs_it_before_the_jobs_that_read_its_artifact(tmp_path):
    scheduler, ran = run_in_process(toy_study(), tmp_path)
    assert scheduler.done
    assert {event.outcome.status for event in scheduler.outcomes.values()} == {"completed"}
    stages = [job.stage for job in ran]
    assert stages[0] == "brightness"
    assert sorted(stages) == ["brightness", *["downstream"] * 4, *["threshold"] * 2]
    artifacts = ArtifactStore(tmp_path / "artifacts")
    low, high = (job.digest for job in ran if job.stage == "threshold")
    assert np.mean(artifacts.array(low, "masks")) > np.mean(artifacts.array(high, "masks")) > 0
    again, further = run_in_process(toy_study(), tmp_path)
    assert again.done
    assert further == []


def entry_point(folder: Path) -> Path:
    """Install the toy stages as a package manager would: by a folder of metadata on the module search path."""
    info = folder / "toy_stage-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: toy-stage\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[pretext_study.components]\ntoy = toy_stage\n")
    return folder


@pytest.mark.slow
@pytest.mark.ray
def test_the_command_line_and_its_workers_find_an_installed_plugin(tmp_path):
    paths = [str(entry_point(tmp_path / "site")), str(TESTS), str(TESTS.parent)]
    sets = [word for setting in SETS for word in ("--set", setting)]
    ran = subprocess.run(
        [sys.executable, "-m", "study", "run", str(TINY), *sets, "--name", "toy", "--workspace", str(tmp_path)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr[-3000:]
    folder = Workspace(tmp_path).study("toy")
    ended = {event.job: event.kind for event in finished(folder)}
    assert sorted(ended.values()) == ["brightness", *["replicate"] * 2, *["threshold"] * 2, *["trial"] * 2]
    assert json.loads(folder.plan.read_text())["planned_jobs"]["threshold"] == 2
