"""Plan of a study: its cells, their jobs, and the jobs that cells share."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

from study.config.definition import Study
from study.config.factors import Cell
from study.config.plain import canonical, plain
from study.config.search import SearchSpec
from study.config.space import active_space
from study.config.spec import StudySpec
from study.planning.datasets import Dataset, Datasets, found_once, unprepared
from study.planning.jobs import Job, ResourceRequest
from study.planning.machine import Machine
from study.planning.network_check import NetworkCheck
from study.stages import DOWNSTREAM, STAGES
from study.stages.configuration import Configuration
from study.stages.downstream import CellRun
from study.storage.artifacts import digest
from trainables.common.errors import UserError
from trainables.common.seeds import derive
from trainables.data.settings import DataSettings


class Plan:
    """Cells and jobs of a study.

    Args:
        study: parsed study file.
        datasets: function that returns the frame store of each dataset that the cells use. The default returns
            placeholders, for a plan without data.
        cells: cells to plan; None for the study's.

    Attributes:
        cached: number of planned configurations that are cached, at least; twice the number of cells if that is more.
    """

    cached: ClassVar[int] = 256

    def __init__(self, study: Study, datasets: Datasets = unprepared, cells: Sequence[Cell] | None = None) -> None:
        self.study, self.spec = study, study.spec
        self.cells: Sequence[Cell] = study.cells() if cells is None else cells
        self._by_key = {cell.key: cell for cell in self.cells}
        self._datasets = datasets
        self._folders = _unique_folders(self.cells)
        self._configurations: dict[str, Configuration] = {}
        self._counts: dict[str, int] = {}

    def search(self, cell: str) -> SearchSpec:
        """Return the search of a cell, with the part of the search space that applies to it."""
        return replace(self.spec.search, space=active_space(self.resolve(cell, {}), self.spec.search.space))

    def trials(self, cell: str) -> int:
        """Return the number of trials of a cell's search, 0 if nothing is searched; cells share a budget equally."""
        if not self.spec.search.space or not self.search(cell).space:
            return 0
        share = self.spec.budget.trials
        return self.spec.search.trials if share is None else min(self.spec.search.trials, share // len(self.cells))

    def trial(self, cell: str, index: int, params: Mapping[str, Any]) -> Job:
        """Return trial `index` of a cell's search; all trials of a study share weight seed and labelled subset."""
        configuration = self._configuration(cell, params, 0)
        return self._cell_job(configuration, "trial", cell, index, params, derive(self.spec.seed, "search"))

    def replicate(self, cell: str, index: int, params: Mapping[str, Any]) -> Job:
        """Return replicate `index` of a cell's chosen configuration; its seed is that of `index` in every cell."""
        configuration = self._configuration(cell, params, self._pretraining(index))
        seed = derive(self.spec.seed, "replicate", index)
        return self._cell_job(configuration, "replicate", cell, index, params, seed)

    def sources_of(self, job: Job) -> list[Job]:
        """Return the shared jobs that a trial or replicate needs, each after those that it needs itself."""
        if not job.inputs:
            return []
        assert job.cell is not None
        return self.sources(job.cell, job.params, self._pretraining(job.index) if job.kind == "replicate" else 0)

    def sources(self, cell: str, params: Mapping[str, Any], pretraining: int = 0) -> list[Job]:
        """Return the shared jobs that the runs of a configuration need, each after those that it needs itself.

        Args:
            cell: key of the cell.
            params: values of the searched settings by dotted path.
            pretraining: number of the pretraining that the runs start from; trials start from the first.
        """
        return DOWNSTREAM.sources(self._configuration(cell, params, pretraining))

    def shared_jobs(self, cell: str, params: Mapping[str, Any]) -> list[Job]:
        """Return the shared jobs that a configuration's replicates need, in an order in which they can run."""
        numbers = range(self.spec.replicates.pretrainings)
        return list({job.digest: job for number in numbers for job in self.sources(cell, params, number)}.values())

    def planned(self) -> dict[str, int]:
        """Return the number of jobs by kind, shared stages first.

        Shared jobs that depend on searched settings are not counted beyond those of the default configuration.
        """
        if not self._counts:
            shared = {job.digest: job.kind for cell in self.cells for job in self.shared_jobs(cell.key, {})}
            counts = Counter(shared.values())
            self._counts = {
                **{stage.name: counts[stage.name] for stage in STAGES.shared if counts[stage.name]},
                "trial": sum(self.trials(cell.key) for cell in self.cells),
                "replicate": self.spec.replicates.runs * len(self.cells),
            }
        return dict(self._counts)

    def resolve(self, cell: str, params: Mapping[str, Any]) -> StudySpec:
        """Return the study's settings in a cell, with `params` (values by dotted path) applied."""
        return self._configuration(cell, params, 0).spec

    def dataset(self, settings: DataSettings) -> Dataset:
        """Return the frame store of a dataset of the study."""
        return self._datasets(settings)

    def configure(self, overrides: Mapping[str, Any], pretraining: int) -> Configuration:
        """Return a configuration without jobs.

        Args:
            overrides: settings by dotted path that differ from the study file's.
            pretraining: number of the pretraining.
        """
        return Configuration(self.study.resolve(overrides), self._datasets, pretraining)

    def resource_requests(self) -> list[tuple[str, ResourceRequest]]:
        """Return each distinct request of a job with its stage's name, for the stages that some cell uses."""
        requests: dict[tuple[str, ResourceRequest], None] = {}
        for cell in self.cells:
            for job in self.sources(cell.key, {}):
                requests[job.stage, job.resources] = None
            requests[DOWNSTREAM.name, DOWNSTREAM.request(self.resolve(cell.key, {}))] = None
        return list(requests)

    def problems(self, machine: Machine | None = None) -> list[tuple[str, str]]:
        """Return what would make every job of a cell fail, such as a missing file of weights: (cell, problem).

        Args:
            machine: machine that runs the jobs; None where it is not known.
        """
        found, networks = list[tuple[str, str]](), NetworkCheck(machine)
        for cell in self.cells:
            spec = self.resolve(cell.key, {})
            found += [(cell.key, problem) for stage in STAGES.values() for problem in stage.problems(spec)]
            found += [(cell.key, problem) for problem in networks.problems(spec)]
        return found

    def check(self, machine: Machine | None = None) -> None:
        """Refuse a study with such problems.

        Raises:
            UserError: there are problems; the message has each one with the first cell that has it.
        """
        first: dict[str, str] = {}
        for cell, problem in self.problems(machine):
            first.setdefault(problem, cell)
        if first:
            raise UserError("\n".join(f"cell {cell}: {problem}" for problem, cell in first.items()))

    def _pretraining(self, replicate: int) -> int:
        """Return the number of the pretraining from which a replicate starts."""
        return replicate % self.spec.replicates.pretrainings

    def _cell_job(
        self, configuration: Configuration, kind: str, cell: str, index: int, params: Mapping[str, Any], seed: int
    ) -> Job:
        name, levels = f"{self._folders[cell]}-{kind}-{index}", self._by_key[cell].levels
        if name not in configuration.cell_jobs:
            run = CellRun(name, kind, cell, levels, index, params, seed)
            configuration.cell_jobs[name] = DOWNSTREAM.job(configuration, run)
        return configuration.cell_jobs[name]

    def _configuration(self, cell: str, params: Mapping[str, Any], pretraining: int) -> Configuration:
        """Return a configuration with the jobs that its stages planned, cached."""
        key = f"{pretraining} {cell} {canonical(params) if params else ''}"
        if key not in self._configurations:
            while len(self._configurations) >= max(
                self.cached, 2 * len(self.cells) * self.spec.replicates.pretrainings
            ):
                self._configurations.pop(next(iter(self._configurations)))
            configuration = self.configure({**self._by_key[cell].overrides, **params}, pretraining)
            for stage in STAGES.shared:
                configuration.add(stage.jobs(configuration), stage.provides)
            self._configurations[key] = configuration
        return self._configurations[key]


def _unique_folders(cells: Sequence[Cell]) -> dict[str, str]:
    """Return a short, distinct file-system name for each cell."""
    names, taken = dict[str, str](), set[str]()
    for cell in cells:
        name = re.sub(r"[^A-Za-z0-9.-]+", "_", "-".join(cell.levels.values())) or "study"
        if name in taken or len(name) > 80:
            name = f"{name[:60]}-{digest({'cell': cell.key})[:8]}"
        names[cell.key] = name
        taken.add(name)
    return names


def datasets_of(study: Study) -> list[DataSettings]:
    """Return every dataset that a cell of the study reads, without duplicates."""
    found: dict[str, DataSettings] = {}

    def record(settings: DataSettings) -> Dataset:
        found[canonical(plain(settings))] = settings
        return unprepared(settings)

    plan = Plan(study, found_once(record))
    for cell in plan.cells:
        plan.resolve(cell.key, {})
    return list(found.values())


def finetuning_datasets(study: Study) -> list[DataSettings]:
    """Return every dataset on which a cell of the study trains and tests its segmentation, without duplicates."""
    found: dict[int, DataSettings] = {}
    for cell in study.cells():
        settings = study.resolve(cell.overrides).data
        if id(settings) not in found and settings not in found.values():
            found[id(settings)] = settings
    return list(found.values())
