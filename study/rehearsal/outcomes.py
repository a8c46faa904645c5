"""Outcomes of a rehearsal's jobs: what failed, what each took, and the rates that follow for the study's estimate."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Sequence

from study.planning.calibration import Calibration
from study.planning.gpu_share import share_key
from study.planning.jobs import CELL_KINDS, DEPENDENCY_FAILED, Job
from study.planning.plan import Plan
from study.rehearsal.arms import Arm, RehearsalPlan
from study.rehearsal.crowding import Demand
from study.rehearsal.job import GPU_MEMORY, GPU_SHARE, MEMORY, RESUMED
from study.rehearsal.result import Failure, RehearsedJob
from study.scheduling.state import StudyState
from study.stages import STAGES
from study.stages.downstream import DownstreamStage
from study.storage.events import JobFinished
from study.storage.ledger import read_ledger
from study.storage.workspace import StudyFolder


class RehearsalOutcomes:
    """Ended jobs of a rehearsal.

    Args:
        plan: plan of the rehearsal.
        arms: arms of the rehearsal, one for each cell of the plan.
        folder: folder in which the jobs ran.
    """

    def __init__(self, plan: RehearsalPlan, arms: Sequence[Arm], folder: StudyFolder) -> None:
        self._plan, self._folder = plan, folder
        self._cells = {arm.cell.key: arm.cells for arm in arms}
        self._ended = StudyState.replay(read_ledger(folder.ledger)).outcomes.values()
        self._users: dict[str, list[str]] = {}
        for key in self._cells:
            for source in plan.sources_of(plan.replicate(key, 0, {})):
                self._users.setdefault(source.digest, []).append(key)

    def jobs(self) -> list[RehearsedJob]:
        """Return the jobs that ran to their end."""
        return [self._rehearsed(end) for end in self._ended if end.outcome.status == "completed"]

    def failures(self) -> list[Failure]:
        """Return the failed jobs, without those whose input failed."""
        return [
            Failure(self._cells_of(end), _stage(end), self._reason(end))
            for end in self._ended
            if end.outcome.status != "completed" and not _input_failed(end)
        ]

    def skipped(self) -> list[Failure]:
        """Return the jobs that did not run because an input of theirs failed."""
        return [
            Failure(self._cells_of(end), _stage(end), f"not rehearsed because {_reason(end).partition(':')[0]} failed")
            for end in self._ended
            if _input_failed(end)
        ]

    def record_rates(self, rates: Calibration) -> None:
        """Store the measured rates; of jobs that share a rate, the lowest; and the largest shares of a GPU's memory."""
        found: dict[str, float] = {}
        shares: dict[str, float] = {}
        for end, job in self._completed():
            rate = self._rate(job)
            workload = STAGES[job.stage].workload(self._plan.resolve(self._user(end), {}), job)
            if workload is not None and math.isfinite(rate):
                found[workload.key] = min(found.get(workload.key, math.inf), rate / job.resources.workers)
            if workload is not None and job.resources.gpus:
                key = share_key(workload, job)
                shares[key] = max(shares.get(key, 0.0), end.outcome.metrics[GPU_SHARE])
        for key, rate in (*found.items(), *shares.items()):
            rates.record(key, rate)

    def demands(self, study: Plan) -> list[Demand]:
        """Return the memory of the study's jobs.

        Args:
            study: plan of the study.
        """
        runs = study.spec.replicates
        return [
            Demand(
                job.stage,
                len(self._cells_of(end)) * runs.runs if end.kind in CELL_KINDS else runs.pretrainings,
                job.resources.workers,
                job.resources.cpus,
                job.resources.gpus,
                end.outcome.metrics[MEMORY],
                end.outcome.metrics[GPU_MEMORY],
            )
            for end, job in self._completed()
        ]

    def _completed(self) -> Iterator[tuple[JobFinished, Job]]:
        for end in self._ended:
            if end.outcome.status == "completed":
                yield end, Job.from_plain(json.loads(self._folder.job(end.job).config.read_text()))

    def _rehearsed(self, end: JobFinished) -> RehearsedJob:
        job, metrics = Job.from_plain(json.loads(self._folder.job(end.job).config.read_text())), end.outcome.metrics
        return RehearsedJob(
            self._label(end, job),
            job.stage,
            self._cells_of(end),
            metrics[MEMORY],
            metrics[GPU_MEMORY],
            (job.batch_size or math.nan) / self._rate(job),
            end.outcome.seconds,
            bool(metrics[RESUMED]),
        )

    def _label(self, end: JobFinished, job: Job) -> str:
        """Return the name of a job, or the levels of a cell's."""
        if end.cell is None:
            return job.label
        return " ".join(self._plan.replicate(end.cell, 0, {}).levels.values()) or job.stage

    def _rate(self, job: Job) -> float:
        """Return the images per second of a job's fastest epoch; NaN if it reported none."""
        lines = self._folder.job(job.id).metrics.read_text().splitlines()
        rates = [json.loads(line)["metrics"].get("images_per_second", math.nan) for line in lines]
        return max((rate for rate in rates if math.isfinite(rate)), default=math.nan)

    def _user(self, end: JobFinished) -> str:
        """Return the key of a rehearsed cell that a job belongs to."""
        return end.cell if end.cell is not None else self._users[end.digest][0]

    def _cells_of(self, end: JobFinished) -> tuple[str, ...]:
        keys = [end.cell] if end.cell is not None else self._users.get(end.digest, [])
        return tuple(dict.fromkeys(cell for key in keys for cell in self._cells[key]))

    def _reason(self, end: JobFinished) -> str:
        return re.sub(rf" \(see {re.escape(str(self._folder.root))}[^)]*\)", "", _reason(end))


def _stage(end: JobFinished) -> str:
    """Return the name of a job's stage; the kind of a shared job is that name."""
    return DownstreamStage.name if end.cell is not None else end.kind


def _input_failed(end: JobFinished) -> bool:
    return (end.outcome.reason or "").startswith(DEPENDENCY_FAILED)


def _reason(end: JobFinished) -> str:
    return (end.outcome.reason or f"the job ended as {end.outcome.status}").removeprefix(DEPENDENCY_FAILED)
