"""The study's file of which job's record in MLflow has got how far: `tracking.jsonl`."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace

from study.storage.workspace import StudyFolder


@dataclass(frozen=True)
class RunRecord:
    """Progress of one job's MLflow run.

    Attributes:
        run_id: MLflow's identifier (32 hexadecimal digits).
        digest: digest of the configuration that the run belongs to.
        server: address of the store or server that has the run, without a user's name.
        study_run: MLflow's identifier of the study's run there; another one means that the store was lost.
        sent: bytes of the job's metrics file that have been sent.
        epoch: last epoch sent; a restarted job repeats epochs, which are not sent twice.
        closed: true once the job has ended and everything has been sent.
    """

    run_id: str
    digest: str
    server: str = ""
    study_run: str = ""
    sent: int = 0
    epoch: int = 0
    closed: bool = False

    def at(self, server: str, study_run: str) -> RunRecord:
        """Return the record with the place of its run."""
        return replace(self, server=server, study_run=study_run)


class RecordFile:
    """Append-only file of run records in the study's folder; the last line of a job is the valid one."""

    def __init__(self, folder: StudyFolder) -> None:
        self._path = folder.root / "tracking.jsonl"

    def read(self) -> dict[str, RunRecord]:
        """Return the last record of each job by job id; incomplete lines are skipped."""
        found: dict[str, RunRecord] = {}
        for line in self._path.read_text().splitlines() if self._path.exists() else ():
            with contextlib.suppress(ValueError):
                values = json.loads(line)
                job_id = values.pop("job")
                found[job_id] = RunRecord(**values)
        return found

    def append(self, job_id: str, record: RunRecord) -> None:
        """Write a job's record; a line break comes first if the last write was cut off."""
        with self._path.open("a") as file:
            line = json.dumps({"job": job_id, **asdict(record)})
            file.write("\n" * self._ends_in_mid_line() + line + "\n")

    def reopen(self, job_ids: Iterable[str], *, anew: bool = False) -> None:
        """Record that jobs run again, so that their runs are not closed; a job without a record keeps none.

        Args:
            job_ids: ids of the jobs.
            anew: the jobs write their metrics files from the beginning.
        """
        records = self.read()
        for job_id in job_ids:
            record = records.get(job_id)
            if record is not None:
                self.append(job_id, replace(record, closed=False, sent=0 if anew else record.sent))

    def _ends_in_mid_line(self) -> bool:
        """Return true if the file's last line has no line break."""
        if not self._path.exists() or self._path.stat().st_size == 0:
            return False
        with self._path.open("rb") as file:
            file.seek(-1, os.SEEK_END)
            return file.read() != b"\n"
