"""Jobs, the resources that they request, and their outcomes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from trainables.common.learning import Learning

CELL_KINDS = ("trial", "replicate")
"""Kinds of the jobs that belong to one cell. The kind of a shared job is the name of its stage."""

JobStatus = Literal["completed", "stopped", "failed"]


@dataclass(frozen=True)
class ResourceRequest:
    """Resources that a job requests from the cluster.

    Attributes:
        workers: processes that train together, at least 1.
        cpus: CPU cores per worker.
        gpus: GPUs per worker; a value below 1 shares one GPU between workers.
    """

    workers: int = 1
    cpus: float = 1
    gpus: float = 0

    def fits(self, free: ResourceRequest) -> bool:
        """Return True if all workers fit into the free CPUs and GPUs.

        Example:
            >>> ResourceRequest(workers=2, cpus=2).fits(ResourceRequest(cpus=4))
            True
        """
        tolerance = 1e-6
        return self.workers * self.cpus <= free.cpus + tolerance and self.workers * self.gpus <= free.gpus + tolerance


@dataclass(frozen=True)
class Job:
    """One run of one stage, described so that any process can execute it.

    Attributes:
        id: name of the job, unique in the study; also the name of its folder.
        kind: "trial" (one configuration of a cell's search), "replicate" (the cell's best configuration, trained
            again), or the name of the stage for a job that cells share.
        stage: name of the stage in the stage registry.
        cell: key of the job's cell; None for a shared job.
        levels: name of the level by factor, for display; of a pretraining, the method's name.
        index: number of the trial or replicate in its cell, from 0; 0 for a shared job.
        params: values of the searched settings by dotted path.
        config: everything that determines the result, as JSON-able values.
        digest: SHA-256 of `config` in hexadecimal, the address of the job's artifact.
        inputs: digest of each artifact that the job reads, by role ("pretext" for pretrained weights, "labels" for
            pseudo-labels, or the name that a stage gives to its output).
        frames: folder of the frame store.
        epochs: number of epochs that the job trains, for progress displays and pruning.
        resources: request to the cluster.
    """

    id: str
    kind: str
    stage: str
    cell: str | None
    levels: Mapping[str, str]
    index: int
    params: Mapping[str, Any]
    config: Mapping[str, Any]
    digest: str
    inputs: Mapping[str, str]
    frames: str
    epochs: int
    resources: ResourceRequest

    @property
    def shared(self) -> bool:
        """True if the job belongs to no single cell: it runs once for all cells that need its artifact."""
        return self.cell is None

    @property
    def report_every(self) -> int:
        """Epochs from one report to the next, 1 where the settings do not say; the last epoch is reported, too."""
        return int(self._fit.get("evaluate_every", 1))

    @property
    def batch_size(self) -> int | None:
        """Batch size of the job's training; None for a stage that does not train."""
        found = self._fit.get("batch_size")
        return None if found is None else int(found)

    @property
    def label(self) -> str:
        """Display name, such as "simclr 0.05 · trial 3" or "pretext simclr 1a2b3c"."""
        if self.shared:
            return " ".join([self.kind, *self.levels.values(), self.digest[:6]])
        return f"{' '.join(self.levels.values()) or self.kind} · {self.kind} {self.index}"

    @property
    def _fit(self) -> Mapping[str, Any]:
        """Settings of the job's training; empty for a stage that does not train."""
        settings = self.config.get(self.stage)
        fit = settings.get("fit") if isinstance(settings, Mapping) else None
        return fit if isinstance(fit, Mapping) else {}

    def plain(self) -> dict[str, Any]:
        """Return the job as JSON-able values."""
        return asdict(self)

    @staticmethod
    def from_plain(values: Mapping[str, Any]) -> Job:
        """Build the job from the values that `plain` returned.

        Example:
            >>> job = Job("a-trial-0", "trial", "downstream", "a", {}, 0, {}, {}, "0f", {}, "", 1, ResourceRequest())
            >>> Job.from_plain(job.plain()) == job
            True
        """
        return Job(**{**values, "resources": ResourceRequest(**values["resources"])})


DEPENDENCY_FAILED = "dependency failed: "
"""Beginning of the reason of a job that was not run, before the identifier of the shared job that failed."""


@dataclass(frozen=True)
class Outcome:
    """Outcome of a job.

    Attributes:
        status: "completed"; "stopped" by the pruner before its last epoch; or "failed".
        metrics: metrics of the selected epoch (`val/...`), and for replicates those of the test split (`test/...`).
        epochs: number of epochs trained.
        seconds: wall-clock time of all attempts together.
        reason: why the job failed or was stopped; None if it completed.
        learning: verdict on a pretraining, learned or not; None for other jobs.
        host: name of the machine on which the job's process ended it; None if the driver did.
    """

    status: JobStatus
    metrics: Mapping[str, float]
    epochs: int
    seconds: float
    reason: str | None = None
    learning: Learning | None = None
    host: str | None = field(default=None, compare=False)

    @staticmethod
    def from_plain(values: Mapping[str, Any]) -> Outcome:
        """Build the outcome from the values that `dataclasses.asdict` returned.

        Example:
            >>> outcome = Outcome("completed", {}, 3, 1.0, learning=Learning("learned", "matched views 80%"))
            >>> Outcome.from_plain(asdict(outcome)) == outcome
            True
        """
        learning = values.get("learning")
        return Outcome(**{**values, "learning": Learning(**learning) if learning is not None else None})
