"""Workspace: one folder for all outputs of the studies that run in it."""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from study.storage.sqlite_url import sqlite_url
from trainables.common.errors import UserError, did_you_mean
from trainables.common.files import atomic_writer

MAX_SHOWN = 80
"""Number of characters of an unknown name that a message shows."""

ACCESS = "STUDY_ACCESS"
"""Environment variable that says who may use a new workspace, one of `ACCESS_MODES`."""

ACCESS_MODES: Mapping[str, int | None] = {"private": 0o700, "group": 0o2770, "umask": None}
"""Permissions of a new workspace's folder: its owner only, its group too, or as the process's umask says."""


@dataclass(frozen=True)
class Workspace:
    """Folders below one root, which is created private to its owner unless $STUDY_ACCESS says otherwise.

    root/data/      decoded frame stores and generated phantoms
    root/artifacts/ stage outputs, by digest
    root/studies/   one folder a study
    root/mlflow.db  the local tracking store, with its files in root/mlflow/
    root/calibration.json  how fast machines were measured to train
    root/rehearsals/ private workspaces of running rehearsals
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
    def rehearsals(self) -> Path:
        """Private workspaces of running rehearsals, and the tracebacks of the last ones."""
        return self.root / "rehearsals"

    @property
    def rehearsed(self) -> Path:
        """Record of the studies whose rehearsal has passed."""
        return self.rehearsals / "passed.json"

    @property
    def key_file(self) -> Path:
        """File of the key under which patients' identifiers are hashed."""
        return self.root / "subject.key"

    @property
    def tracking_uri(self) -> str:
        """URI of the local MLflow store."""
        return sqlite_url(self.root / "mlflow.db")

    def create(self) -> Workspace:
        """Create the root where it is missing; an existing one keeps its permissions.

        Raises:
            UserError: $STUDY_ACCESS is not one of `ACCESS_MODES`.
        """
        create_root(self.root)
        return self

    def open_to_others(self) -> bool:
        """Return True if others than the owner may list the workspace, and $STUDY_ACCESS does not ask for it."""
        return access() == "private" and self.root.exists() and bool(stat.S_IMODE(self.root.stat().st_mode) & 0o077)

    def study(self, name: str) -> StudyFolder:
        """Return the folder of a study, which may not exist yet."""
        return StudyFolder(self.root / "studies" / name)

    def existing_study(self, name: str) -> StudyFolder:
        """Return the folder of a study that has been run in this workspace.

        Raises:
            UserError: no such study exists; the message lists the existing ones.
        """
        folder = self.study(name)
        with contextlib.suppress(OSError):  # a name that no file can have
            if folder.plan.exists():
                return folder
        studies = self.root / "studies"
        known = sorted(p.name for p in studies.iterdir() if (p / "plan.json").exists()) if studies.exists() else []
        raise UserError(f"{self.root}: no study '{name[:MAX_SHOWN]}' (found {', '.join(known) or 'none'})")

    def subject_key(self) -> bytes:
        """Return the key of the patient hashes, created on first use and readable by those who share the workspace."""
        path = self.key_file
        if not path.exists():
            self.create()
            with atomic_writer(path) as file:
                os.fchmod(file.fileno(), 0o640 if access() == "group" else 0o600)
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
    def progress(self) -> Path:
        """Progress of the last launch."""
        return self.root / "progress.json"

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
    def initial_weights(self) -> Path:
        """Report of the weight file that the job starts from: names loaded, adapted, missing and left over."""
        return self.root / "initial_weights.json"

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


def create_root(root: Path) -> None:
    """Create the folder of a workspace where it is missing, with the permissions that $STUDY_ACCESS asks for.

    Raises:
        UserError: $STUDY_ACCESS is not one of `ACCESS_MODES`, or the file system takes no folder there.
    """
    mode = ACCESS_MODES[access()]
    if root.exists():
        return
    try:
        root.parent.mkdir(parents=True, exist_ok=True)
        _make(root, mode)
    except FileNotFoundError:  # as in /proc, whose file system takes no folders
        raise UserError(
            f"{root}: the folder cannot be made there. Fix: choose another workspace (--workspace)"
        ) from None


def _make(root: Path, mode: int | None) -> None:
    with contextlib.suppress(FileExistsError):
        root.mkdir(0o777 if mode is None else 0o700)  # never open to others before its permissions are set
        if mode is not None:
            root.chmod(mode)


def access() -> str:
    """Return who may use a new workspace: $STUDY_ACCESS, or "private".

    Raises:
        UserError: the variable is not one of `ACCESS_MODES`.
    """
    value = os.environ.get(ACCESS) or "private"
    if value not in ACCESS_MODES:
        raise UserError(f"${ACCESS}: unknown value '{value}'{did_you_mean(value, ACCESS_MODES)}")
    return value
