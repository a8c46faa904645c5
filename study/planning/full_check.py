"""Full check of a dataset for a study: its files, the labels that the study needs, and its frame store."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from study.config.definition import Study
from study.planning.dataset_check import require_channels, require_labels, splits_with_labels
from study.storage.workspace import Workspace
from trainables.common.errors import DataError
from trainables.data.records import Progress
from trainables.data.settings import DataSettings
from trainables.data.store.check import DatasetReport, check
from trainables.data.store.frames import FrameStore
from trainables.data.store.prepare import store_folder


def full_check(
    settings: DataSettings, root: Path, progress: Progress | None, study: Study | None, place: Workspace | None
) -> DatasetReport:
    """Check everything for which `prepare` or `run` would refuse a dataset.

    Args:
        settings: the dataset's settings.
        root: the dataset's folder.
        progress: callback after each step; None for none.
        study: study that uses the dataset; None checks the dataset alone.
        place: workspace whose frame store of the dataset is verified, if there is one; None verifies none.

    Raises:
        DataError: `root` does not exist, does not hold the layout, or has links or special files that are refused.
    """
    needed = splits_with_labels(study, settings) if study is not None else ()
    report = check(settings, root, progress, needed=needed)
    if report.refusal:
        return report
    try:
        if study is not None and needed:
            require_labels(study, settings, report.labelled, root)
        if study is not None:
            require_channels(study, settings, report.channels)
        if place is not None and place.key_file.exists():
            folder = store_folder(settings, root, place.data, place.subject_key())
            if folder.exists():
                FrameStore.open(folder).verify()
    except DataError as error:
        return replace(report, refusal=str(error), warning="")
    return report
