"""A study's jobs read from MLflow, by URI: where the study's folder is out of reach, or the study still runs."""

from __future__ import annotations

from typing import Any

import pandas as pd
from mlflow.entities import Run
from mlflow.tracking import MlflowClient

from study.tracking.tracker import STATUSES, TAG
from trainables.common.errors import UserError, did_you_mean

STATUS = {"RUNNING": "running", **{theirs: ours for ours, theirs in STATUSES.items()}}


def jobs_from_mlflow(uri: str, study: str) -> pd.DataFrame:
    """One row a job, with the columns of the report's table of jobs as far as MLflow has them; running jobs too.

    Args:
        uri: of the tracking store.
        study: its name, which is that of the experiment.

    Raises:
        UserError: there is no such experiment.
    """
    client = MlflowClient(uri)
    experiment = client.get_experiment_by_name(study)
    if experiment is None:
        names = [each.name for each in client.search_experiments()]
        raise UserError(f"no study '{study}' at {uri}{did_you_mean(study, names)}")
    rows, token = [], None
    while True:
        page = client.search_runs([experiment.experiment_id], max_results=1000, page_token=token)
        rows += [_job(run) for run in page if "superseded" not in run.data.tags and run.data.tags["kind"] != "study"]
        token = page.token
        if not token:
            return pd.DataFrame(rows).sort_values("id", ignore_index=True) if rows else pd.DataFrame()


def _job(run: Run) -> dict[str, Any]:
    tags, params, metrics = run.data.tags, run.data.params, run.data.metrics
    levels = {name: value for name, value in params.items() if tags.get(name) == value}
    return {
        "id": tags[TAG],
        "kind": tags["kind"],
        "cell": tags.get("cell"),
        **levels,
        "index": int(tags["index"]),
        "status": STATUS[run.info.status],
        **{f"param/{name}": _value(value) for name, value in params.items() if name not in levels},
        **{name: value for name, value in metrics.items() if name.startswith("test/")},
        **{f"val/{name.removeprefix('best/')}": v for name, v in metrics.items() if name.startswith("best/")},
    }


def _value(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text
