"""Views of a study in MLflow's web page: which runs, columns and order it shows."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from study.storage.plan_file import read_plan
from study.storage.workspace import StudyFolder, Workspace

KIND_TAG = "mlflow.experimentKind", "custom_model_development"
"""Experiment tag that selects MLflow's page for trained models instead of the one for language models."""

VIEW_TAG = "mlflow.sharedViewState."
"""Prefix of the tags in which MLflow stores views that a link can refer to."""

VIEWS = {"replicates": "test/dice", "trials": "best/dice"}
"""Metric by which each view is sorted, highest first."""


def view_tags(folder: StudyFolder) -> dict[str, str]:
    """Return the tags of the study's experiment: a view of its replicates and one of its trials."""
    plan = read_plan(folder.plan)
    factors = list(plan["factors"])
    searched = list((plan["spec"].get("search") or {}).get("space") or {})
    views = {name: _view(name, metric, [*factors, *searched]) for name, metric in VIEWS.items()}
    return {KIND_TAG[0]: KIND_TAG[1], **{f"{VIEW_TAG}{name}": json.dumps(view) for name, view in views.items()}}


def view_path(workspace: Workspace, study: str) -> str | None:
    """Return the path of the replicates' view on a server of the local store.

    Args:
        workspace: the workspace with the store.
        study: the study's name.

    Returns:
        The URL's path and query, or None if the store has no such study.
    """
    store = workspace.root / "mlflow.db"
    if not store.exists():
        return None
    with (
        contextlib.suppress(sqlite3.Error),
        contextlib.closing(sqlite3.connect(f"{store.as_uri()}?mode=ro", uri=True)) as db,
    ):
        row = db.execute("select experiment_id from experiments where name = ?", (study,)).fetchone()
        return f"/#/experiments/{quote(str(row[0]))}/runs?viewStateShareKey=replicates" if row else None
    return None


def _view(name: str, metric: str, parameters: list[str]) -> Mapping[str, Any]:
    columns = [f"metrics.`{shown}`" for shown in dict.fromkeys((metric, "best/dice"))]
    return {
        "searchFilter": f"tags.kind = '{name.removesuffix('s')}'",
        "orderByKey": f"metrics.`{metric}`",
        "orderByAsc": False,
        "lifecycleFilter": "Active",
        "modelVersionFilter": "All Runs",
        "datasetsFilter": [],
        "startTime": "ALL",
        "selectedColumns": [*columns, *(f"params.`{parameter}`" for parameter in parameters)],
        "runsHiddenMode": "SHOW_ALL",
    }
