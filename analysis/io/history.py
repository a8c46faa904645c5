"""Reader of a job's metrics by epoch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd


def read_history(path: Path) -> pd.DataFrame:
    """Return a job's metrics by epoch from its metrics file; empty where there is none.

    An epoch repeated after a restart appears once, with its last values; an incomplete line is skipped.
    """
    epochs: dict[int, dict[str, float]] = {}
    for line in path.read_text(errors="replace").splitlines() if path.exists() else ():
        record = _parse(line)
        if record is not None:
            epochs[int(record["epoch"])] = record["metrics"]
    numbers = sorted(epochs)
    return pd.DataFrame([epochs[epoch] for epoch in numbers], pd.Index(numbers, name="epoch"))


def _parse(line: str) -> dict[str, Any] | None:
    try:
        record: dict[str, Any] = json.loads(line)
        return record if np.isfinite(record["epoch"]) and isinstance(record["metrics"], dict) else None
    except (json.JSONDecodeError, KeyError, TypeError):
        return None
