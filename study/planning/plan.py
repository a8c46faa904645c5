"""From a study to its cells and jobs: what will be run, and what several jobs share."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from study.config.definition import Study
from study.config.factors import Cell
from study.config.plain import canonical, component_name, plain
from study.config.search import SearchSpec
from study.config.space import active_space
from study.config.spec import StageResources, Start, StudySpec
from study.planning.jobs import SHARED, Job, Kind, ResourceRequest, Stage
from study.storage.artifacts import digest
from trainables.common.seeds import derive
from trainables.data.settings import DataSettings
from trainables.pretext.method import NetworkMethod
from trainables.pretext.pretrain import PretextSettings

SCHEMA = 3
"""Version of what the stages compute from a config; raising it makes every older artifact another's."""


MEMORY = 256
"""Settings of configurations that are kept at hand; of every cell's own and as many more."""


@dataclass(frozen=True)
class Dataset:
    """A dataset of the study, ready to be read: its frame store's folder and fingerprint."""

    folder: str
    fingerprint: str


Datasets = Callable[[DataSettings], Dataset]


def unprepared(settings: DataSettings) -> Dataset:
    """Stands for a dataset that has not been decoded yet, so that a study can be planned without its data."""
    return Dataset("", f"unprepared-{digest({'data': plain(settings)})}")


class Plan:
    """Which jobs a study has, and how each is built.

    Args:
        study: the resolved study file.
        datasets: gives the frame store of each dataset that the cells use.
    """

    def __init__(self, study: Study, datasets: Datasets = unprepared) -> None:
        self.study, self.spec = study, study.spec
        self.cells: Sequence[Cell] = study.cells()
        self._by_key = {cell.key: cell for cell in self.cells}
        self._datasets = datasets
        self._folders = _unique_folders(self.cells)
        self._resolved: dict[str, StudySpec] = {}

    def search(self, cell: str) -> SearchSpec:
        """The search of a cell, with the part of the space that is the cell's."""
        return replace(self.spec.search, space=active_space(self.resolve(cell, {}), self.spec.search.space))

    def trials(self, cell: str) -> int:
        """Trials of a cell's search; none when nothing is searched there. A budget of trials is shared equally."""
        if not self.spec.search.space or not self.search(cell).space:
            return 0
        share = self.spec.budget.trials
        return self.spec.search.trials if share is None else min(self.spec.search.trials, share // len(self.cells))

    def pretexts(self, cell: str, params: Mapping[str, Any]) -> list[Job]:
        """The pretrainings that a configuration of `cell` starts from, each from the one before; the last is its start.

        There are none for random and ImageNet starts.
        """
        spec = self.resolve(cell, params)
        if isinstance(spec.pretext.method, Start):
            return []
        stages: list[PretextSettings] = []
        stage: PretextSettings | None = spec.pretext
        while stage is not None:
            stages.insert(0, stage)
            stage = stage.init_from
        jobs: list[Job] = []
        for stage in stages:
            jobs.append(self._pretext(spec, stage, jobs[-1].digest if jobs else None))
        return jobs

    def labels(self, cell: str, params: Mapping[str, Any]) -> list[Job]:
        """The registration and the propagation whose pseudo-labels a configuration of `cell` learns from; or none."""
        spec = self.resolve(cell, params)
        if spec.downstream.targets != "propagated":
            return []
        data = self._datasets(spec.data)
        common = {"schema": SCHEMA, "data": data.fingerprint}
        trained = {
            **common,
            "stage": "registration",
            "registration": plain(spec.registration),
            "seed": derive(spec.seed, "registration"),
        }
        need = _resource_request(spec.resources.registration)
        first = self._shared("registration", trained, None, data, spec.registration.fit.epochs, need)
        carried = {
            **common,
            "stage": "propagation",
            "network": plain(spec.registration.network),
            "propagation": plain(spec.propagation),
            "start": first.digest,
        }
        return [first, self._shared("propagation", carried, first.digest, data, 1, replace(need, workers=1))]

    def _shared(
        self,
        stage: Stage,
        config: Mapping[str, Any],
        start: str | None,
        data: Dataset,
        epochs: int,
        need: ResourceRequest,
    ) -> Job:
        address = digest(config)
        return Job(
            id=f"{stage}-{address[:12]}",
            kind=stage,  # type: ignore[arg-type]
            stage=stage,
            cell=None,
            levels={},
            index=0,
            params={},
            config=config,
            digest=address,
            start=start,
            frames=data.folder,
            epochs=epochs,
            resources=need,
        )

    def _pretext(self, spec: StudySpec, stage: PretextSettings, start: str | None) -> Job:
        data, name = self._datasets(spec.pretext_data or spec.data), str(component_name(type(stage.method)))
        whole = isinstance(stage.method, NetworkMethod)
        config = {
            "schema": SCHEMA,
            "stage": "pretext",
            "data": data.fingerprint,
            "pretext": plain(replace(stage, init_from=None)) if start is None else plain(stage),
            **({"network": plain(spec.network.of_images)} if whole else {"backbone": plain(spec.network.backbone)}),
            "start": start,
            "seed": derive(spec.seed, "pretext"),
        }
        address = digest(config)
        return Job(
            id=f"pretext-{name}-{address[:12]}",
            kind="pretext",
            stage="pretext",
            cell=None,
            levels={"method": name},
            index=0,
            params={},
            config=config,
            digest=address,
            start=start,
            frames=data.folder,
            epochs=stage.fit.epochs,
            resources=_resource_request(spec.resources.pretext),
        )

    def sources_of(self, job: Job) -> list[Job]:
        """The shared jobs that a downstream job needs, each after those that it needs itself."""
        if not job.inputs:
            return []
        return [*self.pretexts(job.cell or "", job.params), *self.labels(job.cell or "", job.params)]

    def trial(self, cell: str, index: int, params: Mapping[str, Any]) -> Job:
        """Trial `index` of a cell's search. All trials of a study share weights' seed and labelled subset."""
        return self._downstream("trial", cell, index, params, derive(self.spec.seed, "search"))

    def replicate(self, cell: str, index: int, params: Mapping[str, Any]) -> Job:
        """Replicate `index` of a cell's chosen configuration; the same index means the same seed in every cell."""
        return self._downstream("replicate", cell, index, params, derive(self.spec.seed, "replicate", index))

    def planned(self) -> dict[str, int]:
        """How many jobs of each kind a finished study has; shared ones that depend on searched settings excepted."""
        shared = {
            job.digest: job.kind
            for cell in self.cells
            for job in (*self.pretexts(cell.key, {}), *self.labels(cell.key, {}))
        }
        counts = Counter(shared.values())
        return {
            **{kind: counts[kind] for kind in SHARED if counts[kind] or kind == "pretext"},
            "trial": sum(self.trials(cell.key) for cell in self.cells),
            "replicate": self.spec.replicates * len(self.cells),
        }

    def resolve(self, cell: str, params: Mapping[str, Any]) -> StudySpec:
        """The study's settings in `cell`, with `params` on top."""
        overrides = {**self._by_key[cell].overrides, **params}
        key = canonical(overrides)
        if key not in self._resolved:
            while len(self._resolved) >= max(MEMORY, 2 * len(self.cells)):
                self._resolved.pop(next(iter(self._resolved)))
            self._resolved[key] = self.study.resolve(overrides)
        return self._resolved[key]

    def dataset(self, settings: DataSettings) -> Dataset:
        """The frame store of a dataset of the study."""
        return self._datasets(settings)

    def resource_requests(self) -> list[tuple[str, ResourceRequest]]:
        """What one job of each stage asks of the cluster, by stage; stages that no cell runs are left out."""
        needs: dict[tuple[str, ResourceRequest], None] = {}
        for cell in self.cells:
            for shared in (*self.pretexts(cell.key, {}), *self.labels(cell.key, {})):
                needs[shared.stage, shared.resources] = None
            needs["downstream", _resource_request(self.resolve(cell.key, {}).resources.downstream)] = None
        return list(needs)

    def _downstream(self, kind: Kind, cell: str, index: int, params: Mapping[str, Any], seed: int) -> Job:
        spec = self.resolve(cell, params)
        pretext = next(reversed(self.pretexts(cell, params)), None)
        labels = next(reversed(self.labels(cell, params)), None)
        data = self._datasets(spec.data)
        config = {
            "schema": SCHEMA,
            "stage": "downstream",
            "data": data.fingerprint,
            "network": plain(spec.network),
            "downstream": plain(spec.downstream),
            "start": {"artifact": pretext.digest} if pretext else plain(spec.pretext.method),
            "labels": labels.digest if labels else None,
            "seed": seed,
            "test": kind == "replicate",
            **({"sequences": True} if kind == "trial" and "val/smoothness" in spec.search.objectives else {}),
        }
        return Job(
            id=f"{self._folders[cell]}-{kind}-{index}",
            kind=kind,
            stage="downstream",
            cell=cell,
            levels=self._by_key[cell].levels,
            index=index,
            params=dict(params),
            config=config,
            digest=digest(config),
            start=pretext.digest if pretext else None,
            frames=data.folder,
            epochs=spec.downstream.epochs,
            resources=_resource_request(spec.resources.downstream),
            labels=labels.digest if labels else None,
        )


def _resource_request(resources: StageResources) -> ResourceRequest:
    return ResourceRequest(resources.workers, resources.cpus, resources.gpus)


def _unique_folders(cells: Sequence[Cell]) -> dict[str, str]:
    """A short, distinct file-system name for each cell."""
    names: dict[str, str] = {}
    for cell in cells:
        name = re.sub(r"[^A-Za-z0-9.-]+", "_", "-".join(cell.levels.values())) or "study"
        taken = name in names.values() or len(name) > 80
        names[cell.key] = f"{name[:60]}-{digest({'cell': cell.key})[:8]}" if taken else name
    return names


def datasets_of(study: Study) -> list[DataSettings]:
    """Every dataset that a cell of the study reads, each once."""
    found: dict[str, DataSettings] = {}
    for cell in study.cells():
        spec = study.resolve(cell.overrides)
        needed = [spec.data]
        if spec.pretext_data is not None and not isinstance(spec.pretext.method, Start):
            needed.append(spec.pretext_data)
        found |= {canonical(plain(settings)): settings for settings in needed}
    return list(found.values())


def same_study(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Where two resolved study files differ, as lines 'path: before -> now'; empty when they are the same."""
    flat_before, flat_now = _flatten(before), _flatten(now)
    return [
        f"{path}: {flat_before.get(path, 'absent')} -> {flat_now.get(path, 'absent')}"
        for path in sorted(flat_before.keys() | flat_now.keys())
        if flat_before.get(path) != flat_now.get(path)
    ]


def _flatten(value: Any, path: str = "") -> dict[str, str]:
    if isinstance(value, Mapping) and value:
        return {k: v for key, item in value.items() for k, v in _flatten(item, f"{path}.{key}".lstrip(".")).items()}
    return {path: canonical(value)}
