"""The tables that stages over time leave behind, as DataFrames."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from analysis.io.load import StudyResults
from study.storage.artifacts import ArtifactStore
from study.storage.ledger import outcomes, read_ledger
from study.storage.workspace import JobFolder


@dataclass(frozen=True)
class Temporal:
    """All that has finished so far; each table empty where a study has nothing of the kind.

    Attributes:
        quality: of pseudo-labels: `labels` (their digest), `subject`, `sequence`, `position`, `direction`, `class`,
            `dice`, `mean_absolute`, `hausdorff`, a row a frame between the labelled ends that has a true mask.
        frames: `cell`, `replicate`, `subject`, `sequence`, `view`, `row`, `phase`, `area/<class>`,
            `smoothness/<class>`, a row a frame of a test sequence that was segmented as a whole.
        volumes: `cell`, `replicate`, `subject`, `view`, and `predicted_` and `true_` of `edv`, `esv` and `ef`.
    """

    quality: pd.DataFrame
    frames: pd.DataFrame
    volumes: pd.DataFrame

    @property
    def empty(self) -> bool:
        """Whether the study has nothing over time."""
        return self.quality.empty and self.frames.empty

    @property
    def classes(self) -> list[str]:
        """Whose smoothness was measured."""
        return [name.partition("/")[2] for name in self.frames.columns if name.startswith("smoothness/")]

    def smoothness(self, cell: str, structure: str) -> pd.DataFrame:
        """Log10 of a cell's smoothness, replicates as rows and subjects as columns (the mean over their sequences)."""
        own = self.frames[self.frames["cell"] == cell]
        sequences = own.groupby(["replicate", "subject", "sequence"])[f"smoothness/{structure}"].first()
        logs = np.log10(sequences[sequences > 0])
        table: pd.DataFrame = logs.groupby(["replicate", "subject"]).mean().unstack("subject")
        return table.dropna(axis="columns")


def read_temporal(results: StudyResults) -> Temporal:
    """Read the tables of a study's finished jobs."""
    replicates = results.jobs[(results.jobs["kind"] == "replicate") & (results.jobs["status"] == "completed")]
    jobs = list(zip(replicates["id"], replicates["cell"], replicates["index"], strict=True))
    folders = [(results.folder.job(job), cell, int(index)) for job, cell, index in jobs]
    return Temporal(
        quality=_quality(results),
        frames=_joined([(folder.sequences, cell, index) for folder, cell, index in folders]),
        volumes=_joined([(folder.volumes, cell, index) for folder, cell, index in folders]),
    )


def predictions_of(folder: JobFolder) -> dict[int, np.ndarray]:
    """A replicate's masks by row of the frame store."""
    with np.load(folder.predictions) as file:
        return dict(zip(file["rows"].tolist(), file["masks"], strict=True))


def _joined(tables: list[tuple[Path, str, int]]) -> pd.DataFrame:
    read = [
        pd.read_csv(path, dtype={"subject": str, "phase": str}).assign(cell=cell, replicate=index)
        for path, cell, index in tables
        if path.exists()
    ]
    return pd.concat(read, ignore_index=True) if read else pd.DataFrame()


def _quality(results: StudyResults) -> pd.DataFrame:
    """Of every propagation that this study made."""
    artifacts = ArtifactStore(results.folder.root.parent.parent / "artifacts")
    found = []
    for event in outcomes(read_ledger(results.folder.ledger)).values():
        if event["kind"] != "propagation" or event["status"] != "completed":
            continue
        path = artifacts.folder(event["digest"]) / "quality.csv"
        if path.exists():
            found.append(pd.read_csv(path, dtype={"subject": str}).assign(labels=event["digest"]))
    return pd.concat(found, ignore_index=True) if found else pd.DataFrame()
