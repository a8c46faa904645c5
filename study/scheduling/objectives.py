"""Metrics by which the search compares trials and pretrainings."""

from __future__ import annotations

from collections.abc import Sequence

from study.planning.jobs import Outcome

OBJECTIVE = "val/dice"
"""Metric by which trials are pruned and chosen; a validation metric, because no test metric may guide a search."""

PROBE = "val/probe_dice"
"""Metric by which pretrainings are pruned: Dice of a probe on the validation split."""


def objective_values(outcome: Outcome, objectives: Sequence[str], gpus: float) -> list[float] | None:
    """Return a completed trial's value of each objective.

    Args:
        outcome: Status, metrics and duration of the trial.
        objectives: Names of metrics, or "seconds" or "gpu_hours" for the cost of the trial.
        gpus: GPUs that the trial held, which may be a fraction.

    Returns:
        One value for each objective; None if the trial did not complete or lacks one of the metrics.

    Example:
        >>> objective_values(Outcome("completed", {"val/dice": 0.8}, 3, 1800.0), ["val/dice", "gpu_hours"], gpus=2)
        [0.8, 1.0]
    """
    if outcome.status != "completed":
        return None
    known = {**outcome.metrics, "seconds": outcome.seconds, "gpu_hours": outcome.seconds * gpus / 3600}
    return [known[name] for name in objectives] if all(name in known for name in objectives) else None
