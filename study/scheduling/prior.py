"""Trials of earlier studies, from which a search begins."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from study.config.ranges import condition_holds, inner_condition
from study.config.search import SearchSpec
from study.planning.plan import Plan
from study.scheduling.objectives import objective_values
from study.scheduling.samplers import build_distribution
from study.scheduling.state import CellState, StudyState
from study.storage.ledger import read_ledger
from study.storage.workspace import StudyFolder, Workspace
from trainables.common.errors import UserError


@dataclass(frozen=True)
class Observation:
    """Completed trial of an earlier study.

    Attributes:
        params: value of each searched setting, by dotted path.
        values: one value for each objective.
    """

    params: dict[str, Any]
    values: list[float]


class PriorTrials:
    """Completed trials of the studies that `search.prior` names; the ledger of each is read once.

    Args:
        plan: plan of the study that searches.
        workspace: workspace of all these studies.
    """

    def __init__(self, plan: Plan, workspace: Workspace) -> None:
        self._plan, self._workspace = plan, workspace
        self._cells: dict[str, Mapping[str, CellState]] = {}

    def observations(self, key: str) -> list[Observation]:
        """Return the trials that lie in a cell's search space.

        Of a study that has a cell of the same key, only the trials of that cell are returned, else those of all its
        cells.

        Args:
            key: key of the cell that searches.

        Raises:
            UserError: a study does not exist, or none of its trials lies in the space.
        """
        spec, found = self._plan.search(key), list[Observation]()
        for name in spec.prior if spec.space else ():
            valued = self._valued_trials(name, key, spec)
            agreeing = [
                Observation(params, list(values)) for params, values in valued if values and _lies_in(params, spec)
            ]
            if not agreeing:
                searched = ", ".join(sorted({path for params, _ in valued for path in params})) or "no completed trial"
                raise UserError(
                    f"search.prior: no trial of '{name}' lies in the search space of cell {key} (found {searched}; "
                    f"expected values of {', '.join(spec.space)} inside their ranges, and {', '.join(spec.objectives)})"
                )
            found += agreeing
        return found

    def _valued_trials(self, study: str, key: str, spec: SearchSpec) -> list[tuple[dict[str, Any], list[float] | None]]:
        """Return parameters and values of the ended trials of an earlier study that concern a cell."""
        cells, gpus = self._cells_of(study), self._plan.spec.resources.downstream.gpus_per_job
        chosen = [cells[key]] if key in cells else list(cells.values())
        trials = [(cell.trials[index].params, end) for cell in chosen for index, end in sorted(cell.ended.items())]
        return [(dict(params), objective_values(end, spec.objectives, gpus)) for params, end in trials]

    def _cells_of(self, study: str) -> Mapping[str, CellState]:
        if study == self._plan.spec.name:
            raise UserError(f"search.prior: '{study}' is the study itself, expected an earlier one")
        if study not in self._cells:
            ledger = prior_study(self._workspace, study).ledger
            self._cells[study] = StudyState.replay(read_ledger(ledger)).cells
        return self._cells[study]


def prior_study(workspace: Workspace, name: str) -> StudyFolder:
    """Return the folder of a study that `search.prior` names.

    Raises:
        UserError: the workspace has no such study; the message lists those that it has.
    """
    try:
        return workspace.existing_study(name)
    except UserError as error:
        raise UserError(f"search.prior: {error}") from None


def best_observation(observations: Sequence[Observation]) -> Observation:
    """Return the first observation that is best in the first objective, which is maximized."""
    return max(observations, key=lambda each: each.values[0])


def _lies_in(params: dict[str, Any], spec: SearchSpec) -> bool:
    return set(params) == set(_active(params, spec)) and all(
        _contains(spec, path, value) for path, value in params.items()
    )


def _active(params: dict[str, Any], spec: SearchSpec) -> Iterator[str]:
    """Yield the searched settings whose condition a configuration meets."""
    for path in spec.space:
        if condition_holds(inner_condition(spec.space, path), params.get):
            yield path


def _contains(spec: SearchSpec, path: str, value: Any) -> bool:
    distribution = build_distribution(spec.space[path])
    try:
        return bool(distribution._contains(distribution.to_internal_repr(value)))
    except (ValueError, TypeError):  # not one of the choices
        return False
