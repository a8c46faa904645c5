"""How far MLflow is with each job of a study."""

from __future__ import annotations

import contextlib
import json
import os
from dataclasses import asdict, dataclass

from study.storage.workspace import StudyFolder


@dataclass
class Tracked:
    """How far the record in MLflow is of a job.

    Attributes:
        run_id: MLflow's.
        digest: of the job's configuration.
        sent: bytes of the metrics file that have been looked at.
        epoch: the last that was sent; one that a restarted job repeats is not sent again.
        closed: whether the job had ended and everything was sent.
    """

    run_id: str
    digest: str
    sent: int = 0
    epoch: int = 0
    closed: bool = False


class TrackingState:
    """How far MLflow is, in a file of the study's folder: a line each time a job's record has got further."""

    def __init__(self, folder: StudyFolder) -> None:
        self._path = folder.root / "tracking.jsonl"

    def read(self) -> dict[str, Tracked]:
        """By job; a line that was torn is left out."""
        found: dict[str, Tracked] = {}
        for line in self._path.read_text().splitlines() if self._path.exists() else ():
            with contextlib.suppress(ValueError):
                record = json.loads(line)
                job = record.pop("job")
                found[job] = Tracked(**record)
        return found

    def put(self, job_id: str, tracked: Tracked) -> None:
        """Note where a job's record is now."""
        with self._path.open("a") as file:
            file.write("\n" * self._torn() + json.dumps({"job": job_id, **asdict(tracked)}) + "\n")

    def _torn(self) -> bool:
        """Whether the last line lacks its end."""
        if not self._path.exists() or self._path.stat().st_size == 0:
            return False
        with self._path.open("rb") as file:
            file.seek(-1, os.SEEK_END)
            return file.read() != b"\n"
