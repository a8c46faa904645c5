"""The settings of one configuration, and the shared jobs that its stages have planned so far."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from study.config.spec import StudySpec
from study.planning.datasets import Dataset, Datasets
from study.planning.jobs import Job
from trainables.common.seeds import derive
from trainables.data.settings import DataSettings

REHEARSAL = "rehearsal"
"""Key in the `config` of a rehearsal's jobs; part of their digests, so that no study reads their artifacts."""


class Configuration:
    """Settings of one configuration of a cell, and the outputs that earlier stages provide to later ones.

    Args:
        spec: settings of the study with the cell's levels and the searched values applied.
        datasets: function that returns the frame store of a dataset.
        pretraining: number of the pretraining, from 0; each has its own seeds.
        rehearsal: True for the jobs of a rehearsal, which are marked in their `config`.

    Attributes:
        spec: settings given above.
        rehearsal: the flag given above.
        data: frame store of `spec.data`.
        jobs: shared jobs planned so far, each after the jobs whose output it reads.
        cell_jobs: trials and replicates planned with it so far, by id.
    """

    def __init__(self, spec: StudySpec, datasets: Datasets, pretraining: int = 0, *, rehearsal: bool = False) -> None:
        self.spec, self._datasets, self._pretraining = spec, datasets, pretraining
        self.rehearsal = rehearsal
        self.data = datasets(spec.data)
        self.jobs: list[Job] = []
        self.cell_jobs: dict[str, Job] = {}
        self._outputs: dict[str, Job] = {}

    def dataset(self, settings: DataSettings | None) -> Dataset:
        """Return the frame store of a dataset; None stands for the study's `data`."""
        return self.data if settings is None else self._datasets(settings)

    def seed(self, stage: str) -> int:
        """Return the seed of a shared stage, derived from the study's seed and the number of the pretraining."""
        return derive(self.spec.seed, stage, *([self._pretraining] if self._pretraining else []))

    @property
    def mark(self) -> dict[str, Any]:
        """Entry of a job's `config` that tells a rehearsal from the study; empty in the study."""
        return {REHEARSAL: True} if self.rehearsal else {}

    def add(self, jobs: Sequence[Job], role: str) -> None:
        """Add a stage's jobs; the artifact of the last one becomes the output with this role, in place of another."""
        self.jobs += jobs
        if jobs:
            self._outputs[role] = jobs[-1]

    def output(self, role: str) -> Job | None:
        """Return the job whose artifact has this role, or None if no stage provides it."""
        return self._outputs.get(role)

    def sources_of(self, inputs: Mapping[str, str]) -> list[Job]:
        """Return the jobs that make these artifacts, directly or indirectly, each after those that it reads itself.

        Args:
            inputs: digest by role, as in `Job.inputs`.
        """
        needed = set(inputs.values())
        found: list[Job] = []
        for job in reversed(self.jobs):
            if job.digest in needed:
                needed |= set(job.inputs.values())
                found.insert(0, job)
        return found
