"""Repair of a study whose disk lacks what its ledger says is done."""

import contextlib
import os
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from whole_studies import TINY, final_metrics, finished, study

from study.config.definition import load_study
from study.execution.repair import missing_jobs, repair
from study.planning.jobs import Job, Outcome, ResourceRequest
from study.planning.plan import Plan
from study.scheduling.scheduler import JobScheduler
from study.storage.artifacts import ArtifactStore
from study.storage.events import JobFinished
from study.storage.ledger import Ledger, read_ledger
from study.storage.remote import Storage
from study.storage.workspace import StudyFolder, Workspace
from trainables.common.files import write_json


class Finished:
    """A finished study whose jobs left empty files; `drain` runs what is left and returns its jobs."""

    def __init__(self, root: Path) -> None:
        self.folder: StudyFolder = Workspace(root).study("tiny")
        self.artifacts = ArtifactStore(root / "artifacts")
        self.plan = Plan(load_study(str(TINY)))
        self.drain()

    def drain(self, *, fix: bool = False, storage: Storage | None = None) -> list[str]:
        with contextlib.closing(Ledger(self.folder.ledger, lambda: 0.0)) as ledger:
            scheduler, ran = JobScheduler(self.plan, ledger, self.artifacts.has), []
            if fix:
                repair(scheduler, self.folder, self.artifacts, storage)
            while (job := scheduler.next_job(ResourceRequest(cpus=99))) is not None:
                ran.append(job.id)
                self.leave_files(job)
                scheduler.finish(job.id, Outcome("completed", {"val/dice": 0.5}, 3, 1.0))
            assert scheduler.done
            self.missing = [job.id for job in missing_jobs(scheduler, self.folder, self.artifacts)]
        return ran

    def leave_files(self, job: Job) -> None:
        own = self.folder.job(job.id)
        write_json(own.config, {"digest": job.digest})
        write_json(own.result, {"digest": job.digest})
        own.test.write_text("subject,row,dice\nA,0,0.5\n")
        np.savez_compressed(own.predictions, rows=np.arange(1), masks=np.zeros((1, 4, 4), np.uint8))
        if job.kind != "trial":
            self.artifacts.put(job.digest, {})

    def of_kind(self, kind: str) -> list[str]:
        return sorted(event.job for event in finished(self.folder) if event.kind == kind)


def test_a_study_with_all_its_files_has_nothing_to_repair(tmp_path):
    whole = Finished(tmp_path)
    assert whole.missing == []
    assert whole.drain(fix=True) == []


def test_a_lost_folder_and_a_lost_file_are_made_again(tmp_path):
    study = Finished(tmp_path)
    first, second, *_ = study.of_kind("replicate")
    shutil.rmtree(study.folder.job(first).root)
    study.folder.job(second).predictions.unlink()
    assert study.drain() == []
    assert sorted(study.missing) == [first, second]
    assert sorted(study.drain(fix=True)) == [first, second]
    assert study.missing == []
    assert study.drain(fix=True) == []


@pytest.mark.parametrize("name", ["predictions", "test", "config", "result"])
def test_a_damaged_file_is_made_again(tmp_path, name):
    study = Finished(tmp_path)
    first, *_ = study.of_kind("replicate")
    path = getattr(study.folder.job(first), name)
    os.truncate(path, path.stat().st_size // 2)
    assert study.drain() == []
    assert study.missing == []  # a launch only looks for files
    assert study.drain(fix=True) == [first]
    assert study.drain(fix=True) == []


def test_a_lost_pretraining_is_made_again_once_although_nothing_waits_for_it(tmp_path):
    study = Finished(tmp_path)
    (pretext,) = study.of_kind("pretext")
    (digest,) = [event.digest for event in finished(study.folder) if event.kind == "pretext"]
    shutil.rmtree(study.artifacts.folder(digest))
    assert study.drain(fix=True) == [pretext]
    assert study.drain(fix=True) == []


def test_lost_trials_are_left_as_they_are(tmp_path):
    study = Finished(tmp_path)
    for trial in study.of_kind("trial"):
        shutil.rmtree(study.folder.job(trial).root)
    assert study.drain(fix=True) == []


def test_what_the_remote_store_has_is_fetched(tmp_path):
    study = Finished(tmp_path / "workspace")
    storage, (first, *_) = Storage(str(tmp_path / "store")), study.of_kind("replicate")
    own = study.folder.job(first).root
    (end,) = [event for event in finished(study.folder) if event.job == first]
    storage.put_folder(own, f"studies/tiny/jobs/{first}-{end.digest[:8]}", "result.json")
    shutil.rmtree(own)
    assert study.drain(fix=True, storage=storage) == []
    assert study.missing == []


@pytest.mark.ray
@pytest.mark.slow
def test_a_repaired_study_has_its_results_again(uninterrupted, tmp_path):
    root = tmp_path / "workspace"
    shutil.copytree(uninterrupted, root)
    folder = Workspace(root).study("tiny")
    before = final_metrics(folder)
    lost = sorted(before)[0]
    shutil.rmtree(folder.job(lost).root)
    shutil.rmtree(root / "artifacts")
    said = study(root, "run", str(TINY))
    assert said.returncode == 0, said.stderr
    assert "Fix: study repair tiny" in said.stderr
    repaired = study(root, "repair", "tiny")
    assert repaired.returncode == 0, repaired.stderr
    assert lost in repaired.stderr
    assert final_metrics(folder) == before
    ends = Counter(event.kind for event in read_ledger(folder.ledger) if isinstance(event, JobFinished))
    assert ends["pretext"] == 2
    assert study(root, "report", "tiny").returncode == 0
