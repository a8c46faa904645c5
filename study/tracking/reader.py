"""Reading of a study's jobs from MLflow, for a study that runs or whose folder is elsewhere."""

from __future__ import annotations

from typing import Any

import pandas as pd
from mlflow.entities import Run
from mlflow.tracking import MlflowClient

from study.tracking.mlflow_runs import JOB_TAG, MLFLOW_STATUS, STUDY_RUN
from trainables.common.errors import UserError, did_you_mean

JOB_STATUS = {"RUNNING": "running", **{mlflow: ours for ours, mlflow in MLFLOW_STATUS.items()}}
"""Status of a job by the status of its MLflow run."""


def jobs_from_mlflow(uri: str, study: str) -> pd.DataFrame:
    """Return a table with one row for each job, running jobs included; superseded runs are skipped.

    The columns are those of the report's table of jobs, as far as MLflow has them.

    Args:
        uri: address of the tracking server or store.
        study: the study's name, which is the experiment's.

    Raises:
        UserError: MLflow has no experiment of this name.
    """
    client = MlflowClient(uri)
    experiment = client.get_experiment_by_name(study)
    if experiment is None:
        names = [other.name for other in client.search_experiments()]
        raise UserError(f"no study '{study}' at {uri}{did_you_mean(study, names)}")
    rows: list[dict[str, Any]] = []
    token = None
    while True:
        page = client.search_runs([experiment.experiment_id], max_results=1000, page_token=token)
        rows += [_row(run) for run in page if "superseded" not in run.data.tags and run.data.tags["kind"] != STUDY_RUN]
        token = page.token
        if not token:
            return pd.DataFrame(rows).sort_values("id", ignore_index=True) if rows else pd.DataFrame()


def _row(run: Run) -> dict[str, Any]:
    tags, params, metrics = run.data.tags, run.data.params, run.data.metrics
    levels = {name: value for name, value in params.items() if tags.get(name) == value}
    return {
        "id": tags[JOB_TAG],
        "kind": tags["kind"],
        "cell": tags.get("cell"),
        **levels,
        "index": int(tags["index"]),
        "status": JOB_STATUS[run.info.status],
        **{f"param/{name}": _value(value) for name, value in params.items() if name not in levels},
        **{name: value for name, value in metrics.items() if name.startswith("test/")},
        **{f"val/{name.removeprefix('best/')}": v for name, v in metrics.items() if name.startswith("best/")},
    }


def _value(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text
