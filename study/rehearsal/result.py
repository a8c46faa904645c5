"""Result of a rehearsal: what failed, and what every rehearsed job took."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from study.planning.estimate import CostEstimate


@dataclass(frozen=True)
class Failure:
    """Configuration of a study that would fail.

    Attributes:
        cells: keys of the cells that need it; empty for the study as a whole.
        where: stage or part that failed.
        reason: why, in one line.
    """

    cells: tuple[str, ...]
    where: str
    reason: str


@dataclass(frozen=True)
class RehearsedJob:
    """Job that a rehearsal has run to its end.

    Attributes:
        label: name of the job for display.
        stage: name of its stage.
        cells: keys of the cells that need such a job.
        gigabytes: peak of a worker's memory on its node, in GB.
        gpu_gigabytes: peak of its memory on a GPU, in GB; 0 without one.
        seconds_per_step: seconds that a step with a full batch takes; NaN for a stage without steps.
        seconds: seconds of the whole rehearsal of the job.
        resumed: True if it was stopped after its first step and resumed.
    """

    label: str
    stage: str
    cells: tuple[str, ...]
    gigabytes: float
    gpu_gigabytes: float = 0.0
    seconds_per_step: float = math.nan
    seconds: float = 0.0
    resumed: bool = False


@dataclass(frozen=True)
class Rehearsal:
    """Result of a rehearsal.

    Attributes:
        jobs: jobs that ran to their end.
        failures: everything that failed; empty if every arm of the study runs.
        skipped: arms that were not rehearsed because an input of theirs failed.
        notes: lines that say which configurations were rehearsed.
        cost: cost of the study by the measured rates; None if it is not known.
    """

    jobs: Sequence[RehearsedJob]
    failures: Sequence[Failure]
    skipped: Sequence[Failure] = ()
    notes: Sequence[str] = ()
    cost: CostEstimate | None = None

    @property
    def passed(self) -> bool:
        """True if everything of the study was rehearsed and ran."""
        return not self.failures and not self.skipped


def together(failures: Sequence[Failure]) -> list[Failure]:
    """Return the failures with one entry for those that differ in their cells only."""
    cells: dict[tuple[str, str], list[str]] = {}
    for failure in failures:
        cells.setdefault((failure.where, failure.reason), []).extend(failure.cells)
    return [Failure(tuple(dict.fromkeys(keys)), *key) for key, keys in cells.items()]
