"""Arms of a rehearsal: the distinct configurations of a study, and its plan with each of them run once."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from study.config.definition import Study
from study.config.factors import Cell
from study.config.plain import canonical
from study.config.search import SearchSpec
from study.config.settings import parse
from study.config.spec import Budget, Factor, Replicates
from study.planning.datasets import Datasets
from study.planning.jobs import Job
from study.planning.network_check import OWN_TRAINER
from study.planning.plan import Plan
from study.rehearsal.samples import samples
from study.rehearsal.shortening import shortened_spec
from study.stages.configuration import Configuration
from study.stages.downstream import DownstreamStage
from trainables.common.errors import UserError
from trainables.data.sampling.targets import targeted
from trainables.data.store.frames import FrameStore
from trainables.downstream.labels import labelled_subjects
from trainables.downstream.selection import rows_of
from trainables.downstream.settings import DownstreamSettings
from trainables.networks.network import NetworkSettings

SAMPLE = "search sample"
"""Factor that tells the configurations of one cell's search space apart."""


@dataclass(frozen=True)
class Arm:
    """One configuration of a study, and the cells that it stands for.

    Attributes:
        cell: cell of the rehearsal, whose overrides include the searched values.
        params: searched values by dotted path.
        cells: keys of the study's cells whose jobs are alike.
    """

    cell: Cell
    params: Mapping[str, Any]
    cells: tuple[str, ...]


class RehearsalPlan(Plan):
    """Plan with shortened settings and one replicate of every cell.

    Args:
        study: study that is rehearsed.
        datasets: function that returns the frame store of each dataset.
        cells: cells of the rehearsal.
        name: name of the rehearsal.
    """

    def __init__(self, study: Study, datasets: Datasets, cells: Sequence[Cell], name: str) -> None:
        super().__init__(study, datasets, cells)
        names = dict.fromkeys(cell.levels[SAMPLE] for cell in cells if SAMPLE in cell.levels)
        sampled = (Factor(SAMPLE, {name: {} for name in names}),) if names else ()
        self.spec = replace(
            self.spec,
            name=name,
            factors=(*self.spec.factors, *sampled),
            search=SearchSpec(),
            replicates=Replicates(1),
            budget=Budget(),
            tracking=None,
        )

    def configure(self, overrides: Mapping[str, Any], pretraining: int) -> Configuration:
        """Return a configuration with shortened settings."""
        settings = shortened_spec(self.study.resolve(overrides))
        return Configuration(settings, self._datasets, pretraining, rehearsal=True)


def arms_of(
    study: Study, datasets: Datasets, refuse: Callable[[str, str], None], refused: Collection[str] = ()
) -> list[Arm]:
    """Return the distinct configurations of a study.

    Cells that differ in nothing but the number of labels are alike where each has enough for a full batch.

    Args:
        study: study that is rehearsed.
        datasets: function that returns the prepared frame store of each dataset.
        refuse: called with a cell's key and a reason for each configuration that has no valid settings.
        refused: keys of cells to leave out.
    """
    plan, found = Plan(study, datasets), dict[str, Arm]()
    for cell in (cell for cell in plan.cells if cell.key not in refused):
        configurations = samples(plan.search(cell.key).space)
        for number, params in enumerate(configurations, 1):
            arm = Arm(_sampled(cell, number, params) if len(configurations) > 1 else _with(cell, params), params, ())
            try:
                job = RehearsalPlan(study, datasets, [arm.cell], study.spec.name).replicate(arm.cell.key, 0, {})
                key = _key(job)
            except UserError as error:
                refuse(cell.key, str(error))
                continue
            known = found.setdefault(key, arm)
            found[key] = replace(known, cells=tuple(dict.fromkeys((*known.cells, cell.key))))
    return list(found.values())


def _with(cell: Cell, params: Mapping[str, Any]) -> Cell:
    return replace(cell, overrides={**cell.overrides, **params})


def _sampled(cell: Cell, number: int, params: Mapping[str, Any]) -> Cell:
    """Return a cell of the rehearsal for one of several configurations of a cell."""
    sampled = _with(cell, params)
    return replace(sampled, key=f"{cell.key},{SAMPLE}={number}", levels={**cell.levels, SAMPLE: str(number)})


def _key(job: Job) -> str:
    """Return a text that is equal for jobs that take the same steps.

    Raises:
        UserError: there are fewer labelled subjects than the job asks for.
    """
    settings = parse(DownstreamSettings, job.config[DownstreamStage.name])
    network: NetworkSettings = parse(NetworkSettings, job.config["network"])
    if settings.targets == "propagated" or network.temporal or network.trainer != OWN_TRAINER:
        return canonical(job.config)
    store = targeted(FrameStore.open(Path(job.frames)), settings.targets, None)
    rows = len(rows_of(store, labelled_subjects(settings, store, job.config["seed"]), settings.views))
    if rows * (1 if settings.folds is None else 0.5) < settings.fit.batch_size:
        return canonical(job.config)
    brief = {**job.config[DownstreamStage.name], "labels": None, "label_fraction": None}
    return canonical({**job.config, DownstreamStage.name: brief})
