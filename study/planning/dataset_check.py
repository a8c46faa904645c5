"""Check of a study's datasets from their file lists, before anything is decoded."""

from __future__ import annotations

from collections.abc import Mapping

from study.config.definition import Study
from study.planning.dataset_sizes import dataset_sizes
from study.planning.plan import datasets_of, finetuning_datasets
from trainables.common.errors import DataError
from trainables.data.layouts import layout_name
from trainables.data.records import Split
from trainables.data.settings import DataSettings
from trainables.data.store.integrity import missing_labels


def check_datasets(study: Study) -> list[str]:
    """Check the datasets of a study that have a folder or a phantom; return the layouts of the others.

    Raises:
        DataError: a folder does not exist, or the study would refuse the dataset in it.
    """
    without_folder: list[str] = []
    finetuned = finetuning_datasets(study)
    for settings in datasets_of(study):
        if settings.path is None and settings.phantom is None:
            without_folder.append(layout_name(settings.layout))
            continue
        labelled = dataset_sizes(settings).labelled
        if settings in finetuned:
            require_labels(settings, labelled)
    return without_folder


def require_labels(settings: DataSettings, labelled: Mapping[Split, float]) -> None:
    """Refuse a dataset that no network can be fine-tuned and tested on.

    Args:
        settings: the dataset's settings.
        labelled: number of labelled frames in each split.

    Raises:
        DataError: train, val or test has none.
    """
    problem = missing_labels(settings.path or settings.layout.title, labelled)
    if problem:
        raise DataError(problem)
