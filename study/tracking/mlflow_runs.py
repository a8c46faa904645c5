"""All calls of the MLflow client: the experiment of a study, its run, and the runs of its jobs."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from study.tracking.local_store import no_stray_folder
from study.tracking.metrics_file import MetricRow

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

JOB_TAG = "study.job"
"""Tag with the job's id; the study's run has `STUDY_RUN` there."""

STUDY_RUN = "study"
"""Value of `JOB_TAG`, and of the tag `kind`, in the run of the study itself."""

MLFLOW_STATUS = {"completed": "FINISHED", "stopped": "KILLED", "failed": "FAILED"}
"""MLflow's status of a run by the status of its job."""

BATCH = 200
"""Metrics sent in one request."""


def mlflow_client(uri: str) -> MlflowClient:
    """Return MLflow's client of a server or store, with MLflow's own log messages switched off."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # before MLflow is imported, which reads it
    import mlflow
    from mlflow.tracking import MlflowClient

    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.CRITICAL)  # the tracker reports errors itself, once
    mlflow.set_tracking_uri(uri)
    return MlflowClient(uri)


class MlflowRuns:
    """The MLflow runs of one study. Each method raises what the client raises if the server does not answer.

    Args:
        uri: address of a tracking server or store.
        study: the study's name, which is the experiment's.
        files: folder for the experiment's files, used where the store is a local SQLite file.
        new_client: makes the client from the address.
    """

    def __init__(
        self, uri: str, study: str, files: Path, new_client: Callable[[str], MlflowClient] = mlflow_client
    ) -> None:
        self._uri, self._study, self._files, self._new_client = uri, study, files, new_client
        self._client: MlflowClient
        self._experiment = ""
        self._parent = ""

    @property
    def study_run(self) -> str:
        """MLflow's identifier of the study's run; "" before it is known."""
        return self._parent

    @property
    def connected(self) -> bool:
        """True once the experiment and the study's run exist."""
        return bool(self._parent)

    def connect(self, experiment_tags: Mapping[str, str], tags: Mapping[str, str]) -> None:
        """Find or create the experiment and the study's run, and set the run's status to RUNNING.

        Args:
            experiment_tags: tags of the experiment by name.
            tags: tags of the study's run by name.
        """
        with no_stray_folder(self._uri):
            self._client = self._new_client(self._uri)
            experiment = self._client.get_experiment_by_name(self._study)
        if experiment is None:
            location = self._files.as_uri() if self._uri.startswith("sqlite:") else None
            self._experiment = self._client.create_experiment(self._study, artifact_location=location)
        else:
            self._experiment = experiment.experiment_id
        for name, value in experiment_tags.items():
            self._client.set_experiment_tag(self._experiment, name, value)
        run_id = self._find_or_create(STUDY_RUN, {"kind": STUDY_RUN, **tags}, self._study)
        self.reopen(run_id)
        self._parent = run_id

    def open(self, job_id: str, label: str, tags: Mapping[str, str]) -> str:
        """Find or create the run of a job below the study's run, set its status to RUNNING, and return its id.

        Args:
            job_id: the job's id.
            label: the run's name.
            tags: its tags, among them `digest`; a run of the job with another digest is not taken.
        """
        run_id = self._find_or_create(job_id, {"mlflow.parentRunId": self._parent, **tags}, label)
        self.reopen(run_id)
        return run_id

    def reopen(self, run_id: str) -> None:
        """Set the status of a run to RUNNING."""
        self._client.update_run(run_id, status="RUNNING")

    def end(self, run_id: str, status: str) -> None:
        """Set the final status of a run: FINISHED, FAILED or KILLED."""
        self._client.set_terminated(run_id, status)

    def end_study(self, status: str, metrics: Sequence[MetricRow]) -> None:
        """Log metrics of the study's run, and set its final status."""
        self.log_metrics(self._parent, metrics)
        self.end(self._parent, status)

    def set_tag(self, run_id: str, name: str, value: str) -> None:
        """Set one tag of a run."""
        self._client.set_tag(run_id, name, value)

    def log_settings(self, run_id: str, params: Mapping[str, Any], config: Mapping[str, Any]) -> None:
        """Log the varied settings as parameters, and the complete configuration as the file `config.json`."""
        from mlflow.entities import Param

        self._client.log_batch(run_id, params=[Param(name, str(value)) for name, value in params.items()])
        self._client.log_dict(run_id, dict(config), "config.json")

    def log_dataset(self, run_id: str, name: str, fingerprint: str, context: str) -> None:
        """Log the dataset that a run reads, by its fingerprint; its folder is private and not sent."""
        from mlflow.entities import Dataset, DatasetInput, InputTag

        dataset = Dataset(name, fingerprint[:36], "frames", json.dumps({"fingerprint": fingerprint}))
        self._client.log_inputs(run_id, [DatasetInput(dataset, [InputTag("mlflow.data.context", context)])])

    def log_metrics(self, run_id: str, rows: Sequence[MetricRow]) -> None:
        """Log metrics; a row sent twice is stored once, as it has the same key, step and time."""
        from mlflow.entities import Metric

        metrics = [Metric(row.key, row.value, row.time, row.step) for row in rows]
        for first in range(0, len(metrics), BATCH):
            self._client.log_batch(run_id, metrics=metrics[first : first + BATCH])

    def log_file(self, run_id: str, file: Path) -> None:
        """Upload a file to the top folder of a run's files."""
        self._client.log_artifact(run_id, str(file))

    def log_folder(self, run_id: str, folder: Path, name: str) -> None:
        """Upload the files of a folder below `name` in a run's files."""
        self._client.log_artifacts(run_id, str(folder), name)

    def _find_or_create(self, job_id: str, tags: Mapping[str, str], label: str) -> str:
        wanted = f"tags.`{JOB_TAG}` = '{job_id}'"
        if "digest" in tags:
            wanted += f" and tags.digest = '{tags['digest']}'"
        found = self._client.search_runs([self._experiment], wanted, max_results=1)
        if found:
            return str(found[0].info.run_id)
        run = self._client.create_run(self._experiment, tags={JOB_TAG: job_id, **tags}, run_name=label)
        return str(run.info.run_id)
