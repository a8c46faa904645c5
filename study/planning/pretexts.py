"""Pretext tasks of a study: which methods see which data through which augmentation."""

from __future__ import annotations

from dataclasses import dataclass

from study.config.definition import Study
from study.config.plain import canonical, plain
from study.config.spec import Start
from trainables.augment.policy import Policy
from trainables.data.settings import DataSettings
from trainables.pretext.method import Method


@dataclass(frozen=True)
class PretextTask:
    """Method, data and augmentation of a pretraining, without its training settings.

    Attributes:
        data: dataset that it trains on.
        method: pretext method.
        augment: augmentation policy of the views.
    """

    data: DataSettings
    method: Method
    augment: Policy


def pretext_tasks(study: Study) -> list[PretextTask]:
    """Return the pretext tasks of all cells, without duplicates; values that only the search varies keep their base."""
    found: dict[str, PretextTask] = {}
    for cell in study.cells():
        spec = study.resolve(cell.overrides)
        for step in spec.pretext.chain:
            if not isinstance(step.method, Start):
                task = PretextTask(spec.pretext_data or spec.data, step.method, step.augment)
                found.setdefault(canonical([plain(task.data), plain(task.method), plain(task.augment)]), task)
    return list(found.values())
