"""Sending of one job's record to MLflow: tags and settings, metrics, and results."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

import torch

from study.planning.jobs import Job, Outcome
from study.stages import STAGES
from study.storage.artifacts import ArtifactStore
from study.storage.events import JobFinished
from study.storage.workspace import JobFolder, StudyFolder
from study.tracking.metrics_file import MetricRow, NewRows, read_new_rows
from study.tracking.mlflow_runs import MLFLOW_STATUS, MlflowRuns
from study.tracking.model_card import model_card
from study.tracking.record import RunRecord
from trainables.common.errors import DataError
from trainables.data.store.frames import FrameStore

LONGEST_TAG = 4000
"""Characters of a failure's reason that are sent; MLflow refuses tags of more than 5000."""

DrawJob = Callable[[JobFolder, Path, Path], bool]
"""Draws the picture of a job: (its folder, its frame store, file to write) -> true if it has one."""


class JobUpload:
    """Sender of jobs' records to the runs of one study.

    Args:
        runs: the study's runs.
        folder: the study's folder, where jobs write their metrics.
        artifacts: store of the trained weights.
        tags: tags of every run, such as the commit.
        draw: draws a job's picture; None draws none.
    """

    def __init__(
        self,
        runs: MlflowRuns,
        folder: StudyFolder,
        artifacts: ArtifactStore,
        tags: Mapping[str, str],
        draw: DrawJob | None,
    ) -> None:
        self._runs, self._folder, self._artifacts, self._tags, self._draw = runs, folder, artifacts, tags, draw

    def open(self, job: Job, sources: Mapping[str, str]) -> str:
        """Create or find the job's run, log its settings and dataset, and return the run's id.

        Args:
            job: the job.
            sources: run ids by digest, to link a run to the runs whose artifacts it starts from.
        """
        run_id = self._runs.open(job.id, job.label, {**self._tags, **job_tags(job, self._folder.name, sources)})
        self._runs.log_settings(run_id, {**job.levels, **job.params}, job.config)
        dataset = Path(job.frames).name.partition("-")[0]
        self._runs.log_dataset(run_id, dataset, str(job.config["data"]), job.stage)
        return run_id

    def send_metrics(self, job: Job, record: RunRecord) -> NewRows:
        """Send the lines that the job's metrics file has gained; return them with the new position."""
        new = read_new_rows(self._folder.job(job.id).metrics, record.sent, record.epoch)
        self._runs.log_metrics(record.run_id, new.rows)
        return new

    def close(self, job: Job, record: RunRecord, ended: JobFinished) -> None:
        """Send the job's summary and results, and end its run."""
        run_id, outcome, folder = record.run_id, ended.outcome, self._folder.job(job.id)
        # MLflow shows a metric's value at its last step, and a corrected end is of an earlier epoch than those sent.
        step = max(outcome.epochs, record.epoch)
        self._runs.log_metrics(run_id, summary_rows(outcome, int(ended.time * 1000), step))
        if outcome.status == "stopped":
            self._runs.set_tag(run_id, "censored", "true")
        if outcome.reason:
            self._runs.set_tag(run_id, "reason", outcome.reason[:LONGEST_TAG])
        if outcome.host:
            self._runs.set_tag(run_id, "host", outcome.host)
        if outcome.learning is not None:
            self._runs.set_tag(run_id, "learning", outcome.learning.verdict)
            self._runs.set_tag(run_id, "learning_reason", outcome.learning.text[:LONGEST_TAG])
        if folder.test.exists():
            self._runs.log_file(run_id, folder.test)
        if outcome.status == "completed" and job.kind != "trial" and STAGES[job.stage].publishes_weights:
            self._send_model(job, run_id)
            self._send_picture(job, folder, run_id)
        self._runs.end(run_id, MLFLOW_STATUS[outcome.status])

    def _send_model(self, job: Job, run_id: str) -> None:
        """Upload the weights as a plain state dict, with their model card."""
        if not self._artifacts.has(job.digest):
            return
        about, weights = self._artifacts.about(job.digest), self._artifacts.weights(job.digest)
        store = None
        with contextlib.suppress(DataError):
            store = FrameStore.open(Path(job.frames))
        with tempfile.TemporaryDirectory() as folder:
            torch.save(weights, Path(folder) / "weights.pt")
            card = model_card(f"`{self._folder.name}`, {job.label}", about, weights, self._artifacts, store)
            (Path(folder) / "card.md").write_text(card)
            self._runs.log_folder(run_id, Path(folder), "model")

    def _send_picture(self, job: Job, job_folder: JobFolder, run_id: str) -> None:
        with tempfile.TemporaryDirectory() as folder:
            picture = Path(folder) / "overlays.png"
            if self._draw is not None and self._draw(job_folder, Path(job.frames), picture):
                self._runs.log_file(run_id, picture)


def job_tags(job: Job, study: str, sources: Mapping[str, str]) -> dict[str, str]:
    """Return the tags of a job's run.

    Args:
        job: the job.
        study: name of its study.
        sources: run ids by the digest of what they made.
    """
    tags = {"study": study, "kind": job.kind, "stage": job.stage, "digest": job.digest, "index": str(job.index)}
    tags |= job.levels
    if job.cell is not None:
        tags["cell"] = job.cell
    for role, digest in job.inputs.items():
        tags[f"{role}_digest"] = digest
        if digest in sources:
            tags[f"{role}_run_id"] = sources[digest]
    return tags


def summary_rows(outcome: Outcome, time: int, step: int) -> list[MetricRow]:
    """Return the metrics that sum a job up: `best/...` of validation, `test/...`, and `seconds`.

    Args:
        outcome: the job's outcome.
        time: its end in milliseconds since 1970-01-01 UTC.
        step: epoch that the values are recorded at.
    """
    prefix = "val/"
    best = {f"best/{name.removeprefix(prefix)}": v for name, v in outcome.metrics.items() if name.startswith(prefix)}
    test = {name: value for name, value in outcome.metrics.items() if name.startswith("test/")}
    values = {**best, **test, "seconds": outcome.seconds}
    return [MetricRow(name, float(value), time, step) for name, value in values.items()]
