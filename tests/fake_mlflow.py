"""An MLflow client in memory, and a study folder for it to record."""

import contextlib
import json
import uuid
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from study.planning.jobs import Job, Outcome, ResourceRequest
from study.storage.events import JobFinished
from study.storage.workspace import StudyFolder, Workspace


@dataclass
class FakeRun:
    """A run as the server stores it: metric rows form a set, as MLflow keeps a row that is sent twice once."""

    name: str
    tags: dict[str, str]
    status: str = "RUNNING"
    params: dict[str, str] = field(default_factory=dict)
    metrics: set[tuple[str, float, int, int]] = field(default_factory=set)
    files: list[str] = field(default_factory=list)
    datasets: list[Any] = field(default_factory=list)


@dataclass
class FakeClient:
    """The part of `MlflowClient` that the tracker uses. While `down` is true, every call raises.

    Attributes:
        down: true while the server does not answer.
        fail_at: name of the one method that raises, or "".
        calls: number of calls by method.
    """

    down: bool = False
    fail_at: str = ""
    runs: dict[str, FakeRun] = field(default_factory=dict)
    experiments: dict[str, dict[str, str]] = field(default_factory=dict)
    calls: dict[str, int] = field(default_factory=lambda: defaultdict(int))

    def run_of(self, job_id: str) -> FakeRun:
        """Return the only run of a job that is not superseded."""
        (found,) = (r for r in self.runs.values() if r.tags["study.job"] == job_id and "superseded" not in r.tags)
        return found

    def _answer(self, method: str) -> None:
        self.calls[method] += 1
        if self.down or method == self.fail_at:
            raise ConnectionError("server is away")

    def get_experiment_by_name(self, name):
        self._answer("get_experiment_by_name")
        return SimpleNamespace(experiment_id=name) if name in self.experiments else None

    def create_experiment(self, name, artifact_location=None):
        self._answer("create_experiment")
        self.experiments[name] = {"location": artifact_location}
        return name

    def set_experiment_tag(self, experiment_id, key, value):
        self._answer("set_experiment_tag")
        self.experiments[experiment_id][key] = value

    def search_runs(self, experiment_ids, filter_string="", max_results=1000):
        self._answer("search_runs")
        conditions = [part.split(" = ") for part in filter_string.split(" and ")]
        wanted = {key.removeprefix("tags.").strip("`"): value.strip("'") for key, value in conditions}
        found = [i for i, run in self.runs.items() if wanted.items() <= run.tags.items()]
        return [SimpleNamespace(info=SimpleNamespace(run_id=run_id)) for run_id in found[:max_results]]

    def create_run(self, experiment_id, tags=None, run_name=None):
        self._answer("create_run")
        run_id = uuid.uuid4().hex
        self.runs[run_id] = FakeRun(run_name, dict(tags))
        return SimpleNamespace(info=SimpleNamespace(run_id=run_id))

    def update_run(self, run_id, status=None):
        self._answer("update_run")
        self.runs[run_id].status = status

    def set_terminated(self, run_id, status=None):
        self._answer("set_terminated")
        self.runs[run_id].status = status

    def set_tag(self, run_id, key, value):
        self._answer("set_tag")
        self.runs[run_id].tags[key] = value

    def log_batch(self, run_id, metrics=(), params=()):
        self._answer("log_batch")
        self.runs[run_id].metrics |= {(m.key, m.value, m.timestamp, m.step) for m in metrics}
        self.runs[run_id].params |= {p.key: p.value for p in params}

    def log_dict(self, run_id, dictionary, artifact_file):
        self._answer("log_dict")
        self.runs[run_id].files.append(artifact_file)

    def log_inputs(self, run_id, datasets=None):
        self._answer("log_inputs")
        self.runs[run_id].datasets += datasets

    def log_artifact(self, run_id, local_path):
        self._answer("log_artifact")
        self.runs[run_id].files.append(Path(local_path).name)

    def log_artifacts(self, run_id, local_dir, artifact_path=None):
        self._answer("log_artifacts")
        self.runs[run_id].files += [f"{artifact_path}/{path.name}" for path in Path(local_dir).iterdir()]


def new_folder(root: Path) -> tuple[Workspace, StudyFolder]:
    """Return a workspace and the folder of its study `mine`, which has a plan."""
    workspace = Workspace(root)
    folder = workspace.study("mine")
    folder.root.mkdir(parents=True, exist_ok=True)
    folder.plan.write_text(json.dumps({"factors": {"method": ["simclr"]}, "spec": {"search": {"space": {"lr": {}}}}}))
    return workspace, folder


def new_job(job_id: str = "simclr-trial-0", digest: str = "d" * 64, **changes: Any) -> Job:
    """Return a trial of a cell."""
    values: dict[str, Any] = {
        "id": job_id,
        "kind": "trial",
        "stage": "downstream",
        "cell": "simclr",
        "levels": {"method": "simclr"},
        "index": 0,
        "params": {"lr": 0.1},
        "config": {"data": "f" * 64},
        "digest": digest,
        "inputs": {},
        "frames": "/somewhere/echonet-abc",
        "epochs": 3,
        "resources": ResourceRequest(),
    }
    return Job(**{**values, **changes})


def write_epochs(folder: StudyFolder, job: Job, first: int, last: int, end: str = "\n") -> None:
    """Append one metrics line for each epoch from `first` to `last` to the job's file."""
    path = folder.job(job.id).metrics
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        for epoch in range(first, last + 1):
            line = {"epoch": epoch, "time": 100.0 + epoch, "metrics": {"loss": 1 / epoch}}
            file.write(json.dumps(line) + (end if epoch == last else "\n"))


def ended(job: Job, status: str = "completed", reason: str | None = None, digest: str | None = None) -> JobFinished:
    """Return the ledger's event of a job's end."""
    outcome = Outcome(status, {"val/dice": 0.5, "loss": 1.0}, 3, 7.0, reason, host="node7")
    return JobFinished(job.id, job.kind, job.cell, job.index, job.params, digest or job.digest, outcome, time=200.0)


@contextlib.contextmanager
def started(tracker):
    """Start a tracker; close it at the end, so that no thread outlives the test."""
    tracker.start()
    try:
        yield tracker
    finally:
        tracker.close("FINISHED", timeout=10)
