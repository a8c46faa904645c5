"""MLflow: one run a study, one a job below it; written by the driver alone, and never in training's way.

Jobs write their metrics into files in their own folders. A thread of the driver carries these files' lines to MLflow
and remembers in `tracking.jsonl` how far it came; what a dead or slow server did not take is taken by the next launch.
The same line sent twice is one row, as it has the same key, step and time.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import queue
import subprocess
import tempfile
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from study.planning.jobs import SHARED, Job
from study.storage.artifacts import ArtifactStore
from study.storage.ledger import Event, outcome_of
from study.storage.workspace import JobFolder, StudyFolder, Workspace
from study.tracking.model_card import model_card
from study.tracking.state import Tracked, TrackingState
from study.tracking.views import view_tags

log = logging.getLogger(__name__)

STATUSES = {"completed": "FINISHED", "stopped": "KILLED", "failed": "FAILED"}
POLL = 1.0
"""Seconds between looks at the running jobs' files."""

BATCH = 200
"""Metrics sent in one request."""

TAG = "study.job"

DrawJob = Callable[[JobFolder, Path, Path], bool]
"""Writes the picture of a job: (its folder, its frames, the file to write); whether it did."""


class Tracker:
    """Carries a study's records to MLflow in the background.

    Args:
        workspace: whose local store is used where no other is named.
        folder: of the study.
        uri: of a tracking server or store, or None.
        title: of the study.
        draw: makes a job's picture from its folder and its frames', if it has any.
    """

    def __init__(
        self, workspace: Workspace, folder: StudyFolder, uri: str | None, title: str, draw: DrawJob | None = None
    ) -> None:
        self.uri = uri or workspace.tracking_uri
        self._workspace, self._folder, self._title, self._draw = workspace, folder, title, draw
        self._artifacts = ArtifactStore(workspace.artifacts)
        self._state = TrackingState(folder)
        self._jobs: dict[str, Job] = {}
        self._ended: dict[str, Event] = {}
        self._tracked: dict[str, Tracked] = {}
        self._queue: queue.Queue[Callable[[], None] | None] = queue.Queue()
        self._thread = threading.Thread(target=self._work, name="mlflow", daemon=True)
        self._client: Any = None
        self._parent = ""
        self._warned = False
        self._git = _git_commit()

    def start(self) -> None:
        """Open the store, so that its schema and experiment exist before any job runs; a dead server only warns."""
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "5")
        with self.log_and_continue():
            self._connect()
        self._thread.start()

    def job_started(self, job: Job) -> None:
        """Open the job's run, or the one it has from an earlier launch."""
        self._jobs[job.id] = job

    def job_finished(self, job: Job, ended: Event) -> None:
        """Send the rest of the job's metrics and close its run; `ended` is the ledger's word of its end."""
        self._jobs[job.id] = job
        self._ended[job.id] = ended

    def close(self, status: str, timeout: float = 60.0) -> None:
        """Send what is left and close the study's run; gives up after `timeout` seconds."""
        self._queue.put(lambda: self._end_study(status))
        self._queue.put(None)
        self._thread.join(timeout)
        if self._thread.is_alive() or not self._all_closed():
            log.warning("MLflow at %s has not taken everything; running the study again sends the rest", self.uri)

    def behind(self, ended: Mapping[str, Event]) -> bool:
        """Whether MLflow lacks something of these ended jobs, as far as `tracking.jsonl` tells."""
        closed = {(job, tracked.digest) for job, tracked in self._state.read().items() if tracked.closed}
        return not {(job, event["digest"]) for job, event in ended.items()} <= closed

    def _all_closed(self) -> bool:
        return not self._ended

    def _work(self) -> None:
        running = True
        while running:
            try:
                action = self._queue.get(timeout=POLL)
            except queue.Empty:
                action = self._nothing
            self._sync()
            if action is None:
                running = False
            else:
                with self.log_and_continue():
                    action()

    def _nothing(self) -> None:
        """Only look at the files."""

    def _sync(self) -> None:
        """Bring every run up to its job's files."""
        for job_id in list(self._jobs):
            with self.log_and_continue():
                self._bring_up(self._jobs[job_id])
            tracked = self._tracked.get(job_id)
            if tracked is not None and tracked.closed and tracked.digest == self._jobs[job_id].digest:
                del self._jobs[job_id]  # nothing more can come
                self._ended.pop(job_id, None)

    def _bring_up(self, job: Job) -> None:
        self._connect()
        tracked = self._tracked.get(job.id)
        if tracked is not None and tracked.digest != job.digest:
            self._client.set_tag(tracked.run_id, "superseded", "true")
            tracked = None
        if tracked is not None and tracked.closed:
            return
        if tracked is None:
            tracked = self._tracked[job.id] = self._open(job)
        folder = self._folder.job(job.id)
        ended = self._ended.get(job.id)
        self._send_metrics(folder, tracked)
        if ended is not None:
            self._close_run(job, folder, tracked, ended)

    def _connect(self) -> None:
        """The client, the experiment and the study's run; nothing if they are there."""
        if self._client is not None and self._parent:
            return
        import mlflow
        from mlflow.tracking import MlflowClient

        logging.getLogger("mlflow").setLevel(logging.CRITICAL)  # what goes wrong is told below, once
        logging.getLogger("alembic").setLevel(logging.CRITICAL)
        mlflow.set_tracking_uri(self.uri)
        client = MlflowClient(self.uri)
        name = self._folder.name
        experiment = client.get_experiment_by_name(name)
        if experiment is None:
            local = self.uri.startswith("sqlite:")
            place = (self._workspace.root / "mlflow" / name).as_uri() if local else None
            self._experiment = client.create_experiment(name, artifact_location=place)
        else:
            self._experiment = experiment.experiment_id
        for tag, value in view_tags(self._folder).items():
            client.set_experiment_tag(self._experiment, tag, value)
        self._client = client
        tags = {"study": name, "kind": "study", "title": self._title, **self._git}
        self._parent = self._find_or_create("study", tags, name)
        client.update_run(self._parent, status="RUNNING")
        for job, tracked in self._state.read().items():
            self._tracked.setdefault(job, tracked)

    def _open(self, job: Job) -> Tracked:
        tags = {
            "mlflow.parentRunId": self._parent,
            "study": self._folder.name,
            "kind": job.kind,
            "stage": job.stage,
            "digest": job.digest,
            "index": str(job.index),
            **job.levels,
            **self._git,
        }
        if job.cell is not None:
            tags["cell"] = job.cell
        for name, digest in (("pretext", job.start), ("labels", job.labels)):
            if digest is not None and job.stage != "propagation":
                tags[f"{name}_digest"] = digest
                source = next((t.run_id for j, t in self._tracked.items() if self._made(j, digest)), None)
                if source is not None:
                    tags[f"{name}_run_id"] = source
        run_id = self._find_or_create(job.id, tags, job.label)
        self._client.update_run(run_id, status="RUNNING")
        self._send_parameters(job, run_id)
        return Tracked(run_id, job.digest)

    def _made(self, job_id: str, digest: str) -> bool:
        return job_id.partition("-")[0] in SHARED and job_id.endswith(digest[:12])

    def _find_or_create(self, job_id: str, tags: Mapping[str, str], name: str) -> str:
        wanted = f"tags.`{TAG}` = '{job_id}'" + (f" and tags.digest = '{tags['digest']}'" if "digest" in tags else "")
        found = self._client.search_runs([self._experiment], wanted, max_results=1)
        if found:
            return str(found[0].info.run_id)
        run = self._client.create_run(self._experiment, tags={TAG: job_id, **tags}, run_name=name)
        return str(run.info.run_id)

    def _send_parameters(self, job: Job, run_id: str) -> None:
        from mlflow.entities import Param

        params = {**job.levels, **job.params}
        self._client.log_batch(run_id, params=[Param(name, str(value)) for name, value in params.items()])
        self._client.log_dict(run_id, dict(job.config), "config.json")
        self._send_dataset(job, run_id)

    def _send_dataset(self, job: Job, run_id: str) -> None:
        """The frames that the job reads, by their fingerprint; where they lie is nobody's business."""
        from mlflow.entities import Dataset, DatasetInput, InputTag

        fingerprint = str(job.config["data"])
        name = Path(job.frames).name.partition("-")[0]
        dataset = Dataset(name, fingerprint[:36], "frames", json.dumps({"fingerprint": fingerprint}))
        self._client.log_inputs(run_id, [DatasetInput(dataset, [InputTag("mlflow.data.context", job.stage)])])

    def _send_metrics(self, folder: JobFolder, tracked: Tracked) -> None:
        """Send the lines that are whole and new."""
        from mlflow.entities import Metric

        if not folder.metrics.exists():
            return
        with folder.metrics.open("rb") as file:
            file.seek(tracked.sent)
            data = file.read()
        whole = data[: data.rfind(b"\n") + 1]
        metrics, reached = [], tracked.epoch
        for line in whole.splitlines():
            with contextlib.suppress(ValueError):
                record = json.loads(line)
                epoch, stamp = int(record["epoch"]), int(record["time"] * 1000)
                if epoch > reached:
                    metrics += [Metric(k, float(v), stamp, epoch) for k, v in record["metrics"].items()]
                    reached = epoch
        for first in range(0, len(metrics), BATCH):
            self._client.log_batch(tracked.run_id, metrics=metrics[first : first + BATCH])
        tracked.sent, tracked.epoch = tracked.sent + len(whole), reached

    def _close_run(self, job: Job, folder: JobFolder, tracked: Tracked, ended: Event) -> None:
        from mlflow.entities import Metric

        outcome = outcome_of(ended)
        stamp, step = int(ended["time"] * 1000), outcome.epochs
        best = {
            f"best/{name.removeprefix('val/')}": v for name, v in outcome.metrics.items() if name.startswith("val/")
        }
        test = {name: value for name, value in outcome.metrics.items() if name.startswith("test/")}
        summary = {**best, **test, "seconds": outcome.seconds}
        self._client.log_batch(tracked.run_id, metrics=[Metric(k, float(v), stamp, step) for k, v in summary.items()])
        if outcome.status == "stopped":
            self._client.set_tag(tracked.run_id, "censored", "true")
        if outcome.reason:
            self._client.set_tag(tracked.run_id, "reason", outcome.reason[:4000])
        if folder.test.exists():
            self._client.log_artifact(tracked.run_id, str(folder.test))
        if outcome.status == "completed" and job.kind in ("pretext", "replicate"):
            self._send_model(job, tracked.run_id)
            self._send_picture(job, folder, tracked.run_id)
        self._client.set_terminated(tracked.run_id, STATUSES[outcome.status])
        tracked.closed = True
        self._remember(job.id)

    def _send_model(self, job: Job, run_id: str) -> None:
        """The weights as a plain state dict, and their card."""
        if not self._artifacts.has(job.digest):
            return
        about, weights = self._artifacts.about(job.digest), self._artifacts.weights(job.digest)
        with tempfile.TemporaryDirectory() as made:
            torch.save(weights, Path(made) / "weights.pt")
            card = model_card(f"`{self._folder.name}`, {job.label}", about, weights)
            (Path(made) / "card.md").write_text(card)
            self._client.log_artifacts(run_id, made, "model")

    def _send_picture(self, job: Job, folder: JobFolder, run_id: str) -> None:
        with tempfile.TemporaryDirectory() as made:
            picture = Path(made) / "overlays.png"
            if self._draw is not None and self._draw(folder, Path(job.frames), picture):
                self._client.log_artifact(run_id, str(picture))

    def _remember(self, job_id: str) -> None:
        self._state.put(job_id, self._tracked[job_id])

    def _end_study(self, status: str) -> None:
        self._connect()
        for job, tracked in self._tracked.items():  # of jobs that were running when the study was interrupted
            if not tracked.closed and job not in self._ended:
                self._client.set_terminated(tracked.run_id, "KILLED")
                self._remember(job)
        self._client.set_terminated(self._parent, status)

    @contextlib.contextmanager
    def log_and_continue(self) -> Any:
        """Whatever goes wrong with MLflow is told once and tried again later."""
        try:
            yield
        except Exception as error:
            if not self._warned:
                self._warned = True
                log.warning("MLflow at %s: %s; training goes on, and records follow when it answers", self.uri, error)


def _git_commit() -> dict[str, str]:
    """The commit of the current folder's checkout, as MLflow tags it; nothing outside one."""
    try:
        found = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, timeout=5, check=True)
    except (OSError, subprocess.SubprocessError):
        return {}
    return {"mlflow.source.git.commit": found.stdout.strip()}
