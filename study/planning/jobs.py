"""A job: one run of one stage, described so that any process can execute it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

Kind = Literal["pretext", "registration", "propagation", "trial", "replicate"]
Stage = Literal["pretext", "registration", "propagation", "downstream"]
SHARED: tuple[Kind, ...] = ("pretext", "registration", "propagation")
"""Kinds of jobs that cells share."""

Status = Literal["completed", "stopped", "failed"]


@dataclass(frozen=True)
class ResourceRequest:
    """What a job asks of the cluster: `workers` processes, each with `cpus` and `gpus` (which may be a fraction)."""

    workers: int = 1
    cpus: float = 1
    gpus: float = 0


@dataclass(frozen=True)
class Job:
    """One run of one stage.

    Attributes:
        id: unique in the study, and its folder's name.
        kind: a trial of the search, a replicate of a cell's chosen configuration, or the stage of a job that cells
            share: a pretraining, a registration, a propagation of labels.
        stage: what is run.
        cell: key of the cell it belongs to; a shared one belongs to none.
        levels: the cell's level of each factor.
        index: the trial's or replicate's number in its cell.
        params: the settings that vary between this cell's trials, by dotted path.
        config: everything that determines the result, as plain values; its digest is the artifact's address.
        digest: of config.
        start: digest of the artifact whose weights it starts from, or None.
        labels: digest of the pseudo-labels it learns from, or None.
        frames: folder of the frame store.
        epochs: to train, for progress displays.
        resources: what it asks of the cluster.
    """

    id: str
    kind: Kind
    stage: Stage
    cell: str | None
    levels: Mapping[str, str]
    index: int
    params: Mapping[str, Any]
    config: Mapping[str, Any]
    digest: str
    start: str | None
    frames: str
    epochs: int
    resources: ResourceRequest
    labels: str | None = None

    @property
    def shared(self) -> bool:
        """Whether cells share it."""
        return self.cell is None

    @property
    def inputs(self) -> tuple[str, ...]:
        """Digests of the artifacts without which it cannot run."""
        return tuple(address for address in (self.start, self.labels) if address is not None)

    @property
    def label(self) -> str:
        """For people: 'simclr 0.05 · trial 3'."""
        name = " ".join(self.levels.values()) or self.kind
        return f"{self.kind} {name} {self.digest[:6]}" if self.shared else f"{name} · {self.kind} {self.index}"

    def plain(self) -> dict[str, Any]:
        """As JSON-able values."""
        return asdict(self)

    @staticmethod
    def from_plain(values: Mapping[str, Any]) -> Job:
        """The job that `plain` described."""
        return Job(**{**values, "resources": ResourceRequest(**values["resources"])})


@dataclass(frozen=True)
class Outcome:
    """How a job ended.

    Attributes:
        status: completed; stopped by the pruner (censored: it never reached its last epoch); or failed.
        metrics: of the kept epoch (`val/...`), and of the test split for replicates (`test/...`).
        epochs: trained.
        seconds: of wall-clock time, over all attempts.
        reason: why it failed or was stopped.
    """

    status: Status
    metrics: Mapping[str, float]
    epochs: int
    seconds: float
    reason: str | None = None
