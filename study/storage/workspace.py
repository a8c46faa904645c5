"""Where everything a study makes is kept: one folder, shared by all studies run in it."""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass
from pathlib import Path

from trainables.common.errors import UserError
from trainables.common.files import atomic_writer


@dataclass(frozen=True)
class Workspace:
    """The folders under one root.

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
        """How fast machines were measured to train."""
        return self.root / "calibration.json"

    @property
    def tracking_uri(self) -> str:
        """The local MLflow store."""
        return f"sqlite:///{self.root / 'mlflow.db'}"

    def study(self, name: str) -> StudyFolder:
        """The folder of the study called `name`, which may not exist yet."""
        return StudyFolder(self.root / "studies" / name)

    def existing_study(self, name: str) -> StudyFolder:
        """The folder of a study that has been run here.

        Raises:
            UserError: there is none, with the names there are.
        """
        folder = self.study(name)
        if not folder.plan.exists():
            studies = self.root / "studies"
            known = sorted(p.name for p in studies.iterdir() if (p / "plan.json").exists()) if studies.exists() else []
            raise UserError(f"no study '{name}' in {self.root}; there: {', '.join(known) or 'none'}")
        return folder

    def subject_key(self) -> bytes:
        """The secret that turns patient identifiers into hashes; made once, readable by its owner only."""
        path = self.root / "subject.key"
        if not path.exists():
            with atomic_writer(path) as file:
                os.fchmod(file.fileno(), 0o600)
                file.write(secrets.token_hex(32).encode())
        return path.read_bytes()


@dataclass(frozen=True)
class StudyFolder:
    """One study's files."""

    root: Path

    @property
    def name(self) -> str:
        """The study's name."""
        return self.root.name

    @property
    def plan(self) -> Path:
        """What was planned: spec, cells, factor levels."""
        return self.root / "plan.json"

    @property
    def ledger(self) -> Path:
        """What happened: the append-only record."""
        return self.root / "ledger.jsonl"

    @property
    def lock(self) -> Path:
        """Held by the one driver that runs the study."""
        return self.root / "driver.lock"

    @property
    def report(self) -> Path:
        """Tables and figures."""
        return self.root / "report"

    def job(self, job_id: str) -> JobFolder:
        """The folder of one job."""
        return JobFolder(self.root / "jobs" / job_id)


@dataclass(frozen=True)
class JobFolder:
    """One job's files, written by the process that runs it."""

    root: Path

    @property
    def config(self) -> Path:
        """The job as it was given out."""
        return self.root / "job.json"

    @property
    def metrics(self) -> Path:
        """One JSON line an epoch: {"epoch", "time", "metrics"}."""
        return self.root / "metrics.jsonl"

    @property
    def result(self) -> Path:
        """Written once, whole, when the job is done."""
        return self.root / "result.json"

    @property
    def test(self) -> Path:
        """Per-image test metrics of a replicate."""
        return self.root / "test.csv"

    @property
    def sequences(self) -> Path:
        """Areas over time of a replicate's test sequences, where they were segmented as a whole."""
        return self.root / "sequences.csv"

    @property
    def volumes(self) -> Path:
        """Ventricular volumes of a replicate's test subjects, where the dataset allows them."""
        return self.root / "volumes.csv"

    @property
    def predictions(self) -> Path:
        """Test predictions of a replicate: `rows` (N,) of the frame store and `masks` uint8 (N, S, S)."""
        return self.root / "predictions.npz"


def default_root() -> Path:
    """$STUDY_HOME, or `runs` in the current folder."""
    return Path(os.environ.get("STUDY_HOME", "runs")).absolute()
