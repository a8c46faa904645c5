"""Workspace: one folder for all outputs of the studies that run in it."""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass
from pathlib import Path

from trainables.common.errors import UserError
from trainables.common.files import atomic_writer


@dataclass(frozen=True)
class Workspace:
    """Folders below one root.

    root/data/      decoded frame stores and generated phantoms
    root/artifacts/ stage outputs, by digest
    root/studies/   one folder a study
    root/mlflow.db  the local tracking store, with its files in root/mlflow/
    root/calibration.json  how fast machines were measured to train
    """

    root: Path

    @property
    def data(self) -> Path:
        """Decoded frame stores and generated phantoms."""
        return self.root / "data"

    @property
    def artifacts(self) -> Path:
        """Stage outputs by digest."""
        return self.root / "artifacts"

    @property
    def calibration(self) -> Path:
        """File of measured training speeds."""
        return self.root / "calibration.json"

    @property
    def tracking_uri(self) -> str:
        """URI of the local MLflow store."""
        return f"sqlite:///{self.root / 'mlflow.db'}"

    def study(self, name: str) -> StudyFolder:
        """Return the folder of a study, which may not exist yet."""
        return StudyFolder(self.root / "studies" / name)

    def existing_study(self, name: str) -> StudyFolder:
        """Return the folder of a study that has been run in this workspace.

        Raises:
            UserError: no such study exists; the message lists the existing ones.
        """
        folder = self.study(name)
        if not folder.plan.exists():
            studies = self.root / "studies"
            known = sorted(p.name for p in studies.iterdir() if (p / "plan.json").exists()) if studies.exists() else []
            raise UserError(f"{self.root}: no study '{name}' (found {', '.join(known) or 'none'})")
        return folder

    def subject_key(self) -> bytes:
        """Return the key of the patient hashes, created on first use and readable by its owner only."""
        path = self.root / "subject.key"
        if not path.exists():
            with atomic_writer(path) as file:
                os.fchmod(file.fileno(), 0o600)
                file.write(secrets.token_hex(32).encode())
        return path.read_bytes()


@dataclass(frozen=True)
class StudyFolder:
    """Files of one study."""

    root: Path

    @property
    def name(self) -> str:
        """Name of the study."""
        return self.root.name

    @property
    def plan(self) -> Path:
        """Plan of the study: spec, cells, factor levels."""
        return self.root / "plan.json"

    @property
    def ledger(self) -> Path:
        """Ledger: append-only record of events."""
        return self.root / "ledger.jsonl"

    @property
    def lock(self) -> Path:
        """Lock file of the study's driver."""
        return self.root / "driver.lock"

    @property
    def report(self) -> Path:
        """Folder of tables and figures."""
        return self.root / "report"

    @property
    def workspace(self) -> Workspace:
        """Workspace that the study's folder lies in."""
        return Workspace(self.root.parent.parent)

    def job(self, job_id: str) -> JobFolder:
        """Return the folder of one job."""
        return JobFolder(self.root / "jobs" / job_id)


@dataclass(frozen=True)
class JobFolder:
    """Files of one job, written by the process that runs it."""

    root: Path

    @property
    def config(self) -> Path:
        """Description of the job."""
        return self.root / "job.json"

    @property
    def metrics(self) -> Path:
        """Metrics file with one JSON line per epoch: {"epoch", "time", "metrics"}."""
        return self.root / "metrics.jsonl"

    @property
    def result(self) -> Path:
        """Outcome of the job, written atomically at its end."""
        return self.root / "result.json"

    @property
    def test(self) -> Path:
        """Per-image test metrics of a replicate."""
        return self.root / "test.csv"

    @property
    def sequences(self) -> Path:
        """Area curves of a replicate's test sequences, where whole sequences were segmented."""
        return self.root / "sequences.csv"

    @property
    def volumes(self) -> Path:
        """Ventricular volumes of a replicate's test subjects, where the dataset supports them."""
        return self.root / "volumes.csv"

    @property
    def predictions(self) -> Path:
        """Test predictions of a replicate: `rows` (N,) of the frame store and `masks` uint8 (N, S, S)."""
        return self.root / "predictions.npz"


def default_root() -> Path:
    """Return the default workspace: $STUDY_HOME, or `runs` in the current folder."""
    return Path(os.environ.get("STUDY_HOME", "runs")).absolute()
