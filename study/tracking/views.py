"""How MLflow's page shows a study: which runs, in which columns, sorted by what."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from study.storage.workspace import StudyFolder, Workspace

KIND = "mlflow.experimentKind", "custom_model_development"
"""Tag by which MLflow shows an experiment as one of trained models, not of language models."""

SHARED = "mlflow.sharedViewState."
"""Prefix of the tags in which MLflow keeps views that a link can name."""

VIEWS = {"replicates": "test/dice", "trials": "best/dice"}
"""What each view is sorted by, the greatest first."""


def view_tags(folder: StudyFolder) -> dict[str, str]:
    """Tags of the study's experiment: a view of its replicates and one of its trials."""
    plan = json.loads(folder.plan.read_text())
    factors = list(plan["factors"])
    searched = list(((plan.get("spec") or {}).get("search") or {}).get("space") or {})
    views = {name: _view(name, metric, [*factors, *searched]) for name, metric in VIEWS.items()}
    return {KIND[0]: KIND[1], **{f"{SHARED}{name}": json.dumps(view) for name, view in views.items()}}


def view_path(workspace: Workspace, study: str) -> str | None:
    """Where the replicates' view is on a server over the local store; None where the store has no such study."""
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
    columns = [f"metrics.`{one}`" for one in dict.fromkeys((metric, "best/dice"))]
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
