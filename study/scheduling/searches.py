"""The searches of a study's cells, rebuilt from the ledger's events when something first asks for them.

A cell that has chosen its configuration needs its search no more, so that a study starts quickly from a long ledger.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from study.config.search import SearchSpec
from study.planning.jobs import Outcome
from study.scheduling.cell_search import CellSearch, Proposal
from study.scheduling.objectives import objective_values
from study.scheduling.pruning import ProbePruner
from study.storage.events import EpochReported, Event, JobFinished, JobRetried, ProbeReported, TrialAsked


class CellSearches:
    """Search and pretraining pruner of each cell.

    Args:
        specs: settings of each cell's search, by the cell's key.
        seed: seed of the proposals.
        gpus: GPUs that a trial holds.
    """

    def __init__(self, specs: Mapping[str, SearchSpec], seed: int, gpus: float) -> None:
        self._specs, self._seed, self._gpus = specs, seed, gpus
        self._waiting: dict[str, list[Event]] = {key: [] for key in specs}
        self._proposals: dict[str, dict[int, Proposal]] = {key: {} for key in specs}
        self._searches: dict[str, CellSearch] = {}
        self._probes: dict[str, ProbePruner] = {}

    def search(self, cell: str) -> CellSearch:
        """Return the search of a cell at its present state."""
        self._catch_up(cell)
        return self._searches[cell]

    def probe(self, cell: str) -> ProbePruner:
        """Return the pruner of a cell's pretrainings at its present state."""
        self._catch_up(cell)
        return self._probes[cell]

    def apply(self, event: Event) -> None:
        """Note an event, which changes the search of its cell when something asks for it."""
        cell = getattr(event, "cell", None)
        if cell in self._waiting:
            self._waiting[cell].append(event)

    def values(self, cell: str, outcome: Outcome) -> list[float] | None:
        """Return the value of each objective that a trial reached, None if it lacks one."""
        objectives: Sequence[str] = self._specs[cell].objectives
        return objective_values(outcome, objectives, self._gpus)

    def _catch_up(self, cell: str) -> None:
        if cell not in self._searches:
            self._searches[cell] = CellSearch(self._specs[cell], self._seed)
            self._probes[cell] = ProbePruner(self._specs[cell].pretext_pruner)
        waiting, self._waiting[cell] = self._waiting[cell], []
        for event in waiting:
            self._change(cell, event)

    def _change(self, cell: str, event: Event) -> None:
        search, probe = self._searches[cell], self._probes[cell]
        match event:
            case TrialAsked():
                self._proposals[cell][event.index] = Proposal(event.params, event.system_attrs)
                search.replay(event.index, self._proposals[cell][event.index])
            case EpochReported():
                search.report(event.index, event.epoch, event.value)
            case ProbeReported():
                probe.report(event.index, event.epoch, event.value)
            case JobFinished(kind="trial"):
                stopped = event.outcome.status == "stopped"
                search.tell(event.index, self.values(cell, event.outcome), stopped=stopped)
                probe.finish(event.index)
            case JobRetried(kind="trial"):
                search.retry(event.index, self._proposals[cell][event.index])
                probe.retry(event.index)
