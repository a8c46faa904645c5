"""Launch of a study with fakes in place of Ray, MLflow, the training and the preparation of frames."""

import contextlib
import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import ANY, Mock, create_autospec

import pytest
from toys import toy_store
from whole_studies import PLANNED, TINY

from study.config.definition import load_study
from study.execution import gpus, launch
from study.execution.errors import ClusterLost, FolderNotShared
from study.execution.job_driver import JobDriver
from study.execution.launch import StudyResult
from study.execution.sweep import Sweep
from study.planning.jobs import Job, Outcome, ResourceRequest
from study.progress import Progress
from study.scheduling.budget import BudgetSpent
from study.storage.artifacts import ArtifactStore
from study.storage.events import TimeSpent
from study.storage.ledger import Ledger
from study.storage.lock import Locked, driver_lock, holder
from study.storage.remote import ARTIFACT, FRAMES, Storage
from study.storage.workspace import StudyFolder, Workspace
from study.tracking.tracker import Tracker
from trainables.common.errors import UserError
from trainables.common.files import write_json
from trainables.data.store.frames import FrameStore

ALL = sum(PLANNED.values())


@dataclass
class Launcher:
    """Launches of one study in one workspace, with their fakes.

    Attributes:
        workspace: workspace of the study.
        stops: for each sweep that ends early, the number of jobs that it runs and the error that it raises; None for
            one that asks for a new session.
        behind: True if MLflow lacks a job.
        remote: store into which jobs put their artifacts; None for the workspace alone.
        gpus: GPUs of the cluster.
        cpus: CPUs of the cluster.
        jobs: jobs that sweeps have run, in order.
        sessions: address of each Ray session.
        tracker: tracker of the last launch.
        messages: messages of all launches.
    """

    workspace: Workspace
    stops: list[tuple[int, Exception | None]] = field(default_factory=list)
    behind: bool = False
    remote: Storage | None = None
    gpus: float = 0.0
    cpus: float = 2.0
    jobs: list[Job] = field(default_factory=list)
    sessions: list[str | None] = field(default_factory=list)
    tracker: Mock = field(default_factory=Mock)
    messages: list[str] = field(default_factory=list)

    @property
    def folder(self) -> StudyFolder:
        return self.workspace.study("tiny")

    def launch(self, *sets: str, address: str | None = None) -> StudyResult:
        progress = create_autospec(Progress, instance=True)
        progress.message.side_effect = self.messages.append
        return launch.run(load_study(str(TINY), sets=sets), self.workspace, progress, address)

    @contextlib.contextmanager
    def session(self, address: str | None) -> Iterator[dict[str, float]]:
        assert holder(self.folder.lock) is not None
        self.sessions.append(address)
        yield {"CPU": self.cpus, "GPU": self.gpus}

    def sweep(self, driver: JobDriver, scratch: Path) -> Mock:
        made: Mock = create_autospec(Sweep, instance=True)
        made.run.side_effect = lambda: self.run_jobs(driver)
        return made

    def run_jobs(self, driver: JobDriver) -> bool:
        """Run jobs as a sweep does, up to the next stop."""
        count, error = self.stops.pop(0) if self.stops else (ALL + 1, None)
        for _ in range(count):
            job = driver.next_job(lambda: ResourceRequest(cpus=100))
            if job is None:
                return False
            folder = self.folder.job(job.id)
            write_json(folder.config, job.plain())
            write_json(folder.result, dataclasses.asdict(Outcome("completed", {"val/dice": 0.5}, 4, 1.0)))
            if job.shared:
                made = ArtifactStore(self.workspace.artifacts).put(job.digest, {})
                if self.remote is not None:
                    self.remote.put_folder(made, f"artifacts/{job.digest}", ARTIFACT)
            driver.ended(job.id, None, error=False)
            self.jobs.append(job)
        if error is not None:
            raise error
        return True

    def new_tracker(self, *arguments: Any) -> Mock:
        self.tracker = create_autospec(Tracker, instance=True)
        self.tracker.behind.return_value = self.behind
        return self.tracker

    def tracked(self) -> list[tuple[str, str]]:
        """Return the id and digest of each job whose end the last launch has tracked, sorted."""
        calls = [call.args for call in self.tracker.job_finished.call_args_list]
        assert all((job.id, job.digest) == (finished.job, finished.digest) for job, finished in calls)
        return sorted((job.id, job.digest) for job, _ in calls)


@pytest.fixture
def launcher(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Launcher:
    made = Launcher(Workspace(tmp_path / "workspace"))
    frames = dataclasses.replace(toy_store(), folder=tmp_path / "frames")
    write_json(frames.folder / FRAMES, {})
    monkeypatch.setattr(FrameStore, "open", create_autospec(FrameStore.open, return_value=frames))
    monkeypatch.setattr(launch, "prepare", create_autospec(launch.prepare, return_value=frames))
    monkeypatch.setattr(launch, "ray_session", create_autospec(launch.ray_session, side_effect=made.session))
    monkeypatch.setattr(launch, "require_shared", create_autospec(launch.require_shared))
    monkeypatch.setattr(gpus, "_gpus_of", create_autospec(gpus._gpus_of, return_value=0.0))
    monkeypatch.setattr(launch, "Sweep", create_autospec(launch.Sweep, side_effect=made.sweep))
    monkeypatch.setattr(launch, "Tracker", create_autospec(launch.Tracker, side_effect=made.new_tracker))
    return made


def test_a_launch_runs_all_jobs_and_tracks_its_end(launcher):
    assert launcher.launch() == StudyResult(True, {"completed": ALL})
    assert len({job.id for job in launcher.jobs}) == len(launcher.jobs) == ALL
    assert launcher.sessions == [None]
    assert launcher.folder.plan.exists()
    launcher.tracker.start.assert_called_once_with()
    launcher.tracker.close.assert_called_once_with("FINISHED", ANY)
    assert holder(launcher.folder.lock) is None


def test_a_finished_study_starts_neither_ray_nor_mlflow(launcher):
    launcher.launch()
    before = launcher.folder.ledger.read_bytes()
    assert launcher.launch() == StudyResult(True, {"completed": ALL})
    assert len(launcher.sessions) == 1
    launcher.tracker.start.assert_not_called()
    assert launcher.folder.ledger.read_bytes() == before


def test_a_finished_study_that_mlflow_lacks_is_sent_without_ray(launcher):
    launcher.launch()
    launcher.behind = True
    assert launcher.launch().complete
    assert len(launcher.sessions) == 1
    assert launcher.tracked() == sorted((job.id, job.digest) for job in launcher.jobs)
    launcher.tracker.close.assert_called_once_with("FINISHED", ANY)


def test_a_spent_budget_ends_the_launch_and_the_next_one_runs_the_rest(launcher):
    launcher.stops = [(5, BudgetSpent("budget.hours (1) is spent"))]
    assert launcher.launch() == StudyResult(False, {"completed": 5}, "budget.hours (1) is spent")
    launcher.tracker.close.assert_called_once_with("KILLED", ANY)
    assert launcher.launch() == StudyResult(True, {"completed": ALL})
    assert launcher.tracked() == sorted((job.id, job.digest) for job in launcher.jobs)
    assert len({job.id for job in launcher.jobs}) == len(launcher.jobs) == ALL


def test_a_budget_that_is_spent_already_starts_no_ray(launcher):
    launcher.folder.root.mkdir(parents=True)
    with contextlib.closing(Ledger(launcher.folder.ledger, lambda: 0.0)) as ledger:
        ledger.append(TimeSpent(3600.0, 0.0))
    assert launcher.launch("budget.hours=1") == StudyResult(False, {}, "budget.hours (1) is spent")
    assert launcher.sessions == []


def test_an_error_of_the_sweep_is_raised_with_the_study_tracked_as_killed(launcher):
    launcher.stops = [(5, ClusterLost("no node left"))]
    with pytest.raises(ClusterLost, match="no node left"):
        launcher.launch()
    launcher.tracker.close.assert_called_once_with("KILLED", ANY)
    assert holder(launcher.folder.lock) is None


def test_a_sweep_that_asks_for_it_continues_in_a_new_session(launcher):
    launcher.stops = [(5, None)]
    assert launcher.launch(address="head:6379").complete
    assert launcher.sessions == ["head:6379", "head:6379"]
    assert len(launcher.jobs) == ALL


def test_a_request_that_never_fits_is_refused(launcher):
    too_many = "resources.downstream.cpus=100000"
    with pytest.raises(UserError, match=r"resources\.downstream: .* 100000 cpus"):
        launcher.launch(too_many)
    launch.prepare.assert_not_called()  # this machine is known before a cluster is
    with pytest.raises(UserError, match=r"the cluster has 2\. Fix: .*--set resources\.max\.cpus=N"):
        launcher.launch(too_many, address="head:6379")
    assert launcher.jobs == []


def test_a_cluster_that_grows_may_have_no_worker_yet(launcher):
    launcher.cpus = 0.0
    with pytest.raises(UserError, match="the cluster has 0"):
        launcher.launch(address="head:6379")
    assert launcher.launch("resources.max.cpus=8", address="head:6379").complete


def test_a_refused_study_does_not_take_its_name(launcher):
    with pytest.raises(UserError, match="the cluster has 2"):
        launcher.launch("resources.downstream.cpus=100000", address="head:6379")
    assert not launcher.folder.plan.exists()
    assert launcher.launch("seed=1", address="head:6379").complete
    with pytest.raises(UserError, match="the cluster has 2"):
        launcher.launch("seed=1", "replicates=3", "resources.downstream.cpus=100000", address="head:6379")
    assert launcher.folder.plan.exists()


def test_a_cluster_whose_nodes_do_not_share_the_workspace_is_refused_before_the_first_job(launcher, tmp_path):
    launch.require_shared.side_effect = FolderNotShared("node worker: found no such folder")
    with pytest.raises(FolderNotShared, match="node worker"):
        launcher.launch(address="head:6379")
    launch.require_shared.assert_called_once_with(launcher.folder.root)
    assert launcher.jobs == []
    launch.require_shared.side_effect = None
    assert launcher.launch(f"storage={tmp_path / 'store'}", address="head:6379").complete
    launch.require_shared.assert_called_with(tmp_path / "store")


@pytest.mark.parametrize("gpus", [0.0, 8.0])
def test_a_launch_warns_of_gpus_that_no_stage_asks_for(launcher, gpus):
    launcher.gpus = gpus
    launcher.launch()
    assert any("no stage asks for a GPU (found 8)" in message for message in launcher.messages) == bool(gpus)


def test_a_changed_study_is_refused_before_its_frames_are_prepared(launcher):
    launcher.launch()
    launch.prepare.reset_mock()
    with pytest.raises(UserError, match="seed: 0 -> 1"):
        launcher.launch("seed=1")
    launch.prepare.assert_not_called()


def test_a_study_has_one_driver(launcher):
    with driver_lock(launcher.folder.lock), pytest.raises(Locked, match="already being run"):
        launcher.launch()
    assert not launcher.folder.plan.exists()


@pytest.fixture
def put(monkeypatch: pytest.MonkeyPatch) -> Mock:
    replaced: Mock = create_autospec(Storage.put_folder, side_effect=Storage.put_folder)
    monkeypatch.setattr(Storage, "put_folder", replaced)
    return replaced


def test_frames_and_artifacts_are_uploaded_once(launcher, tmp_path, put):
    storage = f"storage={tmp_path / 'store'}"
    launcher.stops = [(5, BudgetSpent("budget.hours (1) is spent"))]
    launcher.launch()
    put.assert_not_called()
    (pretext,) = [job for job in launcher.jobs if job.shared]
    launcher.launch(storage)
    launcher.launch(storage)
    uploaded = [call.args[2:] for call in put.call_args_list]
    assert uploaded == [("data/toy", FRAMES), (f"artifacts/{pretext.digest}", ARTIFACT)]


def test_an_artifact_that_a_job_has_uploaded_is_not_uploaded_again(launcher, tmp_path, put):
    launcher.remote = Storage(str(tmp_path / "store"))
    assert launcher.launch(f"storage={tmp_path / 'store'}").complete
    assert [call.args[3] for call in put.call_args_list] == [FRAMES, ARTIFACT]
