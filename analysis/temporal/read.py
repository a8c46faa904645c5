"""Reader of the temporal tables of a study's jobs into DataFrames."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from analysis.io.load import StudyResults
from study.scheduling.state import StudyState
from study.storage.artifacts import ArtifactStore
from study.storage.job_files import read_table
from study.storage.ledger import read_ledger


@dataclass(frozen=True)
class Temporal:
    """Temporal tables of all finished jobs; a table is empty where the study has no such results.

    Attributes:
        quality: quality of pseudo-labels, one row per frame between the labelled ends with a reference mask: `labels`
            (digest), `subject`, `sequence`, `position`, `direction`, `class`, `dice`, `mean_absolute`, `hausdorff`.
        frames: area curves, one row per frame of a test sequence that was segmented as a whole: `cell`, `replicate`,
            `subject`, `sequence`, `view`, `row`, `phase`, `area/<class>`, `smoothness/<class>`.
        volumes: volumes in mL and EF in percent: `cell`, `replicate`, `subject`, `view`, then `predicted_` and `true_`
            of `edv`, `esv` and `ef`.
    """

    quality: pd.DataFrame
    frames: pd.DataFrame
    volumes: pd.DataFrame

    @property
    def empty(self) -> bool:
        """True where the study has no temporal results."""
        return self.quality.empty and self.frames.empty

    @property
    def classes(self) -> list[str]:
        """Names of the classes whose smoothness was measured."""
        return [name.partition("/")[2] for name in self.frames.columns if name.startswith("smoothness/")]

    def smoothness(self, cell: str, structure: str) -> pd.DataFrame:
        """Return log10 of a cell's smoothness, replicates as rows and subjects as columns, averaged over sequences."""
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


def _joined(tables: list[tuple[Path, str, int]]) -> pd.DataFrame:
    read = [read_table(path).assign(cell=cell, replicate=index) for path, cell, index in tables if path.exists()]
    return pd.concat(read, ignore_index=True) if read else pd.DataFrame()


def _quality(results: StudyResults) -> pd.DataFrame:
    """Return the quality tables of every propagation that this study ran."""
    artifacts = ArtifactStore(results.folder.workspace.artifacts)
    found = []
    for finished in StudyState.replay(read_ledger(results.folder.ledger)).outcomes.values():
        if finished.kind != "propagation" or finished.outcome.status != "completed":
            continue
        path = artifacts.folder(finished.digest) / "quality.csv"
        if path.exists():
            found.append(pd.read_csv(path, dtype={"subject": str}).assign(labels=finished.digest))
    return pd.concat(found, ignore_index=True) if found else pd.DataFrame()
