"""A plan of a few small jobs and a ledger in memory, to test scheduling without study files."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any

from study.config.ranges import LogUniform
from study.config.search import SearchSpec
from study.config.spec import Replicates
from study.planning.jobs import Job, ResourceRequest
from study.storage.events import Event, from_record, to_record

SPACE = {"lr": LogUniform(1e-4, 1e-1)}


class MemoryLedger:
    """A ledger in memory, whose events go through the ledger's JSON as those of a file do."""

    def __init__(self, events: Iterable[Event] = ()) -> None:
        self.events = [from_record(json.loads(json.dumps(to_record(event)))) for event in events]

    def append(self, event: Any) -> Any:
        event = replace(event, time=float(len(self.events)))
        self.events.append(event)
        return event


@dataclass
class FakePlan:
    """A study with a pretraining for some of its cells.

    A cell's name ends with "pretrained" if its jobs start from the shared pretraining of their configuration.
    """

    keys: tuple[str, ...] = ("plain",)
    search_spec: SearchSpec = field(default_factory=lambda: SearchSpec(SPACE, trials=3, sampler="random", parallel=1))
    replicates: int = 2
    epochs: int = 3
    pretext_epochs: int = 4
    request: ResourceRequest = field(default_factory=ResourceRequest)
    budget: SimpleNamespace = field(default_factory=lambda: SimpleNamespace(hours=None, gpu_hours=None))

    @property
    def spec(self) -> SimpleNamespace:
        return SimpleNamespace(
            seed=0,
            replicates=Replicates(self.replicates),
            search=self.search_spec,
            budget=self.budget,
            resources=SimpleNamespace(
                downstream=SimpleNamespace(gpus_per_job=self.request.workers * self.request.gpus)
            ),
        )

    @property
    def cells(self) -> list[SimpleNamespace]:
        return [SimpleNamespace(key=key) for key in self.keys]

    def trials(self, cell: str) -> int:
        return self.search_spec.trials if self.search_spec.space else 0

    def search(self, cell: str) -> SearchSpec:
        return self.search_spec

    def trial(self, cell: str, index: int, params: Mapping[str, Any]) -> Job:
        return self._job("trial", cell, index, params)

    def replicate(self, cell: str, index: int, params: Mapping[str, Any]) -> Job:
        return self._job("replicate", cell, index, params)

    def sources_of(self, job: Job) -> list[Job]:
        return [self.pretext(job.params)] if job.inputs else []

    def pretext(self, params: Mapping[str, Any]) -> Job:
        digest = f"pretext-of-{sorted(params.items())}"
        return Job(
            digest, "pretext", "pretext", None, {}, 0, {}, {}, digest, {}, "", self.pretext_epochs, self.request
        )  # fmt: skip

    def _job(self, kind: str, cell: str, index: int, params: Mapping[str, Any]) -> Job:
        inputs = {"pretext": self.pretext(params).digest} if cell.endswith("pretrained") else {}
        name = f"{cell}-{kind}-{index}"
        return Job(
            name, kind, "downstream", cell, {}, index, dict(params), {}, name, inputs, "", self.epochs, self.request
        )  # fmt: skip
