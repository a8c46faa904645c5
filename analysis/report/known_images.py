"""Sentences on images of test subjects that training without labels has seen."""

from __future__ import annotations

from typing import Any

from analysis.io.load import PlannedStudy

FOLDS, SPLITS = "downstream.test", "pretext.splits"


def known_image_sentences(plan: PlannedStudy) -> list[str]:
    """Return how cross-validation folds are tested, and which images of test subjects a pretraining has seen."""
    said = []
    if "folds" in _values(plan, FOLDS):
        folds = " or ".join(str(each) for each in sorted(_values(plan, "downstream.folds") - {None}))
        said.append(
            f"Every labelled subject is tested once, by the network of the one of {folds} folds that leaves it out. "
            "Training without labels has seen its images, and not its masks."
        )
    if "all" in _values(plan, SPLITS):
        said.append("Pretraining has seen the images of validation and test subjects, and none of their masks.")
    return said


def _values(plan: PlannedStudy, path: str) -> set[Any]:
    """Return the values of a setting: the study's own, and those that levels of its factors give it."""
    part, _, name = path.partition(".")
    levels = [level for factor in plan.spec.get("factors") or () for level in factor["levels"].values()]
    return {plan.spec.get(part, {}).get(name), *(level[path] for level in levels if path in level)}
