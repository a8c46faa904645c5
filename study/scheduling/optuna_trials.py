"""Trials of a study's ledger as Optuna's own, for Optuna's dashboard and plots."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState

from study.config.search import OBJECTIVES, SearchSpec
from study.planning.plan import Plan
from study.scheduling.objectives import objective_values
from study.scheduling.samplers import build_distribution
from study.scheduling.state import CellState, StudyState
from study.storage.events import Event, JobFinished, TrialAsked, events_of_type
from study.storage.sqlite_url import sqlite_url
from trainables.common.errors import UserError

DATABASES, JOURNALS = (".db", ".sqlite", ".sqlite3"), (".log", ".journal")
"""Suffixes of files that Optuna reads as a SQLite database and as a journal."""

STATES = {"completed": TrialState.COMPLETE, "stopped": TrialState.PRUNED, "failed": TrialState.FAIL}
"""Optuna's state of a trial by the status of its outcome."""


def write_optuna(plan: Plan, events: Iterable[Event], path: Path) -> dict[str, int]:
    """Write one Optuna study for each searched cell into a new storage.

    Args:
        plan: plan of the study.
        events: events of the study's ledger.
        path: file of the storage, whose suffix names its kind.

    Returns:
        Number of trials by name of the Optuna study.

    Raises:
        UserError: the suffix is unknown, the file exists, or nothing was searched.
    """
    events = list(events)
    state = StudyState.replay(events)
    searched = [cell.key for cell in plan.cells if state.cell(cell.key).trials]
    if not searched:
        raise UserError(f"study '{plan.spec.name}' has no trials: nothing was searched, or nothing has started")
    storage = _storage(path)
    counts = {}
    for key in searched:
        spec, name = plan.search(key), f"{plan.spec.name} · {key}"
        directions = [OBJECTIVES[objective] for objective in spec.objectives]
        made = optuna.create_study(storage=storage, study_name=name, directions=directions)
        made.set_metric_names(list(spec.objectives))
        for trial in _trials(plan, key, spec, state.cell(key), events):
            made.add_trial(trial)
        counts[name] = len(state.cell(key).trials)
    return counts


def storage_url(path: Path) -> str:
    """Return what `optuna-dashboard` takes to open a storage.

    Example:
        >>> storage_url(Path("/results/trials.db"))
        'sqlite:////results/trials.db'
    """
    return sqlite_url(path) if path.suffix in DATABASES else str(path)


def _storage(path: Path) -> BaseStorage:
    if path.suffix not in (*DATABASES, *JOURNALS):
        expected = ", ".join((*DATABASES, *JOURNALS))
        raise UserError(f"{path}: unknown suffix '{path.suffix}' (expected one of {expected})")
    if path.exists():
        raise UserError(f"{path}: the file exists. Fix: remove it, or name another with --out")
    try:
        path.absolute().parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    except OSError as error:
        raise UserError(f"{path}: cannot be written ({error.strerror})") from None
    if path.suffix in DATABASES:
        return RDBStorage(storage_url(path))
    return JournalStorage(JournalFileBackend(str(path)))


def _trials(plan: Plan, key: str, spec: SearchSpec, cell: CellState, events: list[Event]) -> Iterator[FrozenTrial]:
    distributions = {path: build_distribution(choice) for path, choice in spec.space.items()}
    gpus = plan.spec.resources.downstream.gpus_per_job
    asked = {event.index: event.time for event in events_of_type(events, TrialAsked) if event.cell == key}
    ends = {
        event.index: event
        for event in events_of_type(events, JobFinished)
        if event.cell == key and event.kind == "trial"
    }
    for index, trial in enumerate(cell.trials):
        outcome, end = cell.ended.get(index), ends.get(index)
        state = TrialState.RUNNING if outcome is None else STATES[outcome.status]
        values = None if outcome is None else objective_values(outcome, spec.objectives, gpus)
        if state is TrialState.COMPLETE and values is None:
            state = TrialState.FAIL  # it lacks an objective
        if state is TrialState.PRUNED and trial.reports:
            values = [trial.reports[trial.last_epoch]]  # as Optuna itself keeps it
        about: dict[str, Any] = {"cell": key, "job": end.job if end is not None else ""}
        start, complete = datetime.fromtimestamp(asked[index]), None
        if outcome is not None and end is not None:
            about |= {"seconds": outcome.seconds, "reason": outcome.reason or ""}
            complete = datetime.fromtimestamp(end.time)
            start = complete - timedelta(seconds=outcome.seconds)  # the proposal may have waited for a slot
        yield FrozenTrial(
            number=index,
            trial_id=index,
            state=state,
            value=None,
            values=values,
            datetime_start=start,
            datetime_complete=complete,
            params=dict(trial.params),
            distributions={path: distributions[path] for path in trial.params},
            user_attrs=about,
            system_attrs={},
            intermediate_values=dict(trial.reports),
        )
