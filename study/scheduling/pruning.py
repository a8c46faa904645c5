"""Early stopping: of trials by their own metric, of pretrainings by the metric of their probe."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import optuna
from optuna.pruners import BasePruner, HyperbandPruner, MedianPruner, NopPruner, SuccessiveHalvingPruner
from optuna.samplers import RandomSampler
from optuna.trial import Trial, TrialState

from study.config.search import ASHA, Hyperband, Median, Pruner
from study.planning.jobs import Job
from study.planning.plan import Plan
from study.scheduling.state import StudyState


def build_pruner(settings: Pruner) -> BasePruner:
    """Build the Optuna pruner of a pruner's settings; one that never prunes for any other class."""
    match settings:
        case ASHA(min_epochs=epochs, reduction=reduction):
            return SuccessiveHalvingPruner(min_resource=epochs, reduction_factor=reduction)
        case Median(min_epochs=epochs, startup_trials=startup):
            return MedianPruner(n_startup_trials=startup, n_warmup_steps=epochs)
        case Hyperband(min_epochs=first, max_epochs=last, reduction=reduction):
            return HyperbandPruner(min_resource=first, max_resource=last, reduction_factor=reduction)
    return NopPruner()


def next_decision(settings: Pruner, epoch: int) -> int | None:
    """Return the first epoch after a trial's last report at which a pruner may stop the trial; None if it never may.

    Args:
        settings: The pruner and its settings.
        epoch: Epoch of the last report, 0 before the first one.

    Example:
        >>> next_decision(ASHA(min_epochs=2, reduction=3), 6)
        18
    """
    match settings:
        case ASHA(min_epochs=first, reduction=reduction) | Hyperband(min_epochs=first, reduction=reduction):
            rung = first
            while rung <= epoch:
                rung *= reduction
            return rung
        case Median(min_epochs=first):
            return max(epoch + 1, first)
    return None


class PruningDecisions:
    """The pruner's last decision on each trial.

    Optuna's pruners write into the study when they are asked, so each report asks exactly once and the answer is kept.
    """

    def __init__(self) -> None:
        self._pruned: dict[int, bool] = {}

    def report(self, index: int, trial: Trial, epoch: int, value: float) -> None:
        """Report a metric to a trial and keep the pruner's decision.

        Args:
            index: Number of the trial in its cell, from 0.
            trial: The trial in its Optuna study.
            epoch: Epochs trained so far, from 1.
            value: Metric after that epoch, larger is better.
        """
        trial.report(value, epoch)
        self._pruned[index] = bool(trial.should_prune())

    def should_prune(self, index: int) -> bool:
        """Return the decision after the trial's last report, False before the first one."""
        return self._pruned.get(index, False)

    def reset(self, index: int) -> None:
        """Forget the decision on a trial that runs again."""
        self._pruned.pop(index, None)


class ProbePruner:
    """Pruner of the pretrainings that a cell's trials wait for, in an Optuna study apart from the search's.

    Args:
        settings: The pruner and its settings.
    """

    def __init__(self, settings: Pruner) -> None:
        self._study = optuna.create_study(
            study_name="pretext", direction="maximize", pruner=build_pruner(settings), sampler=RandomSampler(0)
        )
        self._open: dict[int, Trial] = {}
        self._decisions = PruningDecisions()

    def report(self, index: int, epoch: int, value: float) -> None:
        """Report the probe's metric of the pretraining that trial `index` waits for."""
        if index not in self._open:
            self._open[index] = self._study.ask()
        self._decisions.report(index, self._open[index], epoch, value)

    def should_prune(self, index: int) -> bool:
        """Return True if the pretraining of trial `index` should stop."""
        return self._decisions.should_prune(index)

    def finish(self, index: int) -> None:
        """End the comparison for trial `index`; pruners compare later pretrainings with ended ones."""
        trial = self._open.pop(index, None)
        if trial is None:
            return
        if trial.should_prune():
            self._study.tell(trial, state=TrialState.PRUNED)
        else:
            self._study.tell(trial, self._study.get_trials(deepcopy=False)[trial.number].last_step)

    def retry(self, index: int) -> None:
        """Forget the decision on a trial that runs again."""
        self._decisions.reset(index)


def chained_epoch(sources: Sequence[Job], pretext: Job, epoch: int) -> int:
    """Return an epoch of a pretraining counted from the start of the chain that it is part of.

    Args:
        sources: Shared jobs in order, each after those that it starts from; only those of the same stage are counted.
        pretext: The pretraining that reports.
        epoch: Epochs trained in that pretraining, from 1.
    """
    before = 0
    for source in sources:
        if source.digest == pretext.digest:
            break
        before += source.epochs if source.stage == pretext.stage else 0
    return before + epoch


def known_probes(
    plan: Plan, state: StudyState, cell: str, index: int, digests: dict[tuple[str, int], str | None]
) -> Mapping[int, float]:
    """Return the probe reports, by epoch, of a trial's pretraining that another trial has; of several, the most.

    Args:
        plan: Plan of the study.
        state: State of the study.
        cell: Key of the trial's cell.
        index: Number of the trial.
        digests: Digest of the pretraining by cell and number of a trial, which is filled here.
    """
    known = {(key, number): trial for key, each in state.cells.items() for number, trial in enumerate(each.trials)}
    for key, number in known.keys() - digests.keys():
        digests[key, number] = _pretraining_of(plan, plan.trial(key, number, known[key, number].params))
    own = digests[cell, index]
    shared = (trial.probe_reports for place, trial in known.items() if place != (cell, index) and digests[place] == own)
    return max(shared, key=len, default={})


def _pretraining_of(plan: Plan, job: Job) -> str | None:
    """Return the digest of the last pretraining that a job starts from; None for a job without one."""
    return next((source.digest for source in reversed(plan.sources_of(job)) if source.stage == "pretext"), None)
