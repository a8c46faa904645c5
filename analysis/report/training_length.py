"""Sentences on the length of fine-tuning: equal epochs or equal steps at every number of labels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from analysis.io.load import PlannedStudy

AMOUNTS = ("downstream.label_fraction", "downstream.labels")
EPOCHS, STEPS, FIT = "downstream.fit.epochs", "downstream.fit.steps_per_epoch", "downstream.fit"


def length_sentences(plan: PlannedStudy) -> list[str]:
    """Return how long cells with different numbers of labels are fine-tuned; empty where all have equally many.

    Which of the two a study compares decides what it can show: with equal epochs, fewer labels also train for fewer
    steps, so that a difference between starts may be one of steps.
    """
    factors = {factor["name"]: factor["levels"] for factor in plan.spec.get("factors") or ()}
    amounts = [levels for levels in factors.values() if len(levels) > 1 and _sets(levels, *AMOUNTS)]
    if not amounts:
        return []
    if any(_sets(levels, EPOCHS, STEPS, FIT) for levels in amounts):
        return ["Fine-tuning has its own length at each number of labels, as the study file says."]
    fit = plan.spec["downstream"]["fit"]
    lengths = [(name, level) for name, levels in factors.items() if _sets(levels, EPOCHS, STEPS) for level in levels]
    if not lengths:
        return [f"Fine-tuning has {_length(fit['epochs'], fit['steps_per_epoch'])}."]
    return [
        f"Fine-tuning at {name}={level} has "
        f"{_length(*(factors[name][level].get(path, _declared(plan, path)) for path in (EPOCHS, STEPS)))}."
        for name, level in lengths
    ]


def _declared(plan: PlannedStudy, path: str) -> Any:
    """Return the study's own setting, which the first cell may have replaced only if every level of a factor does."""
    return plan.spec["downstream"]["fit"][path.rpartition(".")[2]]


def _sets(levels: Mapping[str, Mapping[str, Any]], *paths: str) -> bool:
    return any(path in settings for settings in levels.values() for path in paths)


def _length(epochs: int, steps: int | None) -> str:
    if steps is None:
        return f"equal epochs: {epochs:,} passes over the labelled images, so that fewer labels train for fewer steps"
    return f"equal steps: {epochs * steps:,} at every number of labels"
