"""Check that a study's datasets have the labels that its cells need."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

from study.config.definition import Study
from study.config.spec import Start, StudySpec
from study.planning.dataset_sizes import ANY_VIEW, outline_dataset
from study.planning.plan import datasets_of, finetuning_datasets
from trainables.common.errors import DataError
from trainables.common.label_counts import LabelCounts
from trainables.data.layouts import layout_name
from trainables.data.records import SPLITS, Split
from trainables.data.settings import DataSettings
from trainables.data.store.frames import FrameStore
from trainables.data.store.integrity import missing_labels
from trainables.downstream.labels import (
    chosen_labels,
    fold_shortage,
    label_shortage,
    validation_shortage,
)
from trainables.downstream.settings import DownstreamSettings

LabelledSubject = tuple[Split, str, str]
"""Split, view and name (or hash) of a subject that has masks in that view."""


def check_datasets(study: Study, *, at_hand: bool = False) -> list[str]:
    """Check the listings of a study's datasets that have a folder or a phantom; return the layouts of the others.

    Args:
        study: the study.
        at_hand: leave out datasets whose folder does not exist on this machine.

    Raises:
        DataError: a folder does not exist, or the study would refuse the dataset in it.
    """
    without_folder: list[str] = []
    finetuned = finetuning_datasets(study)
    for settings in datasets_of(study):
        if settings.path is None and settings.phantom is None:
            without_folder.append(layout_name(settings.layout))
            continue
        if at_hand and settings.path is not None and not Path(settings.path).expanduser().exists():
            continue
        outline = outline_dataset(settings)
        if settings in finetuned:
            require_labels(study, settings, outline.labelled)
        if outline.channels is not None:
            require_channels(study, settings, outline.channels)
    return without_folder


def require_labels(
    study: Study, settings: DataSettings, labelled: Collection[LabelledSubject], root: Path | None = None
) -> None:
    """Refuse a dataset that has too few labelled subjects for a cell of a study.

    Args:
        study: the study, of which the cells that fine-tune on the dataset are looked at.
        settings: the dataset's settings.
        labelled: subjects with masks.
        root: the dataset's folder, for the message; None for that of the settings.

    Raises:
        DataError: a split in which a cell needs labels has no labelled subject, in the views that it uses, or a cell
            asks for more labelled subjects or more folds than there are.
    """
    first: dict[str, str] = {}
    for cell, problem in label_problems(study, settings, labelled, root):
        first.setdefault(problem, cell)
    if first:
        raise DataError("\n".join(f"{problem} (cell {cell})" for problem, cell in first.items()))


def label_problems(
    study: Study, settings: DataSettings, labelled: Collection[LabelledSubject], root: Path | None = None
) -> list[tuple[str, str]]:
    """Return the cells that fine-tune on a dataset with too few labelled subjects for them, and why: (cell, problem).

    Args:
        study: the study, of which the cells that fine-tune on the dataset are looked at.
        settings: the dataset's settings.
        labelled: subjects with masks.
        root: the dataset's folder, for the message; None for that of the settings.

    Raises:
        DataError: a split in which some cell needs labels has no labelled subject.
    """
    place = root or settings.path or settings.layout.title
    counts = {split: sum(part == split for part, _, _ in labelled) for split in SPLITS}
    problem = missing_labels(place, counts, splits_with_labels(study, settings))
    if problem:
        raise DataError(problem)
    found: list[tuple[str, str]] = []
    for cell in study.cells():
        spec = study.resolve(cell.overrides)
        problem = _shortage(spec, labelled) if spec.data == settings else ""
        if problem:
            found.append((cell.key, f"{place}: {problem}"))
    return found


def require_channels(study: Study, settings: DataSettings, channels: Sequence[str]) -> None:
    """Refuse augmentation that needs other channels than a dataset has, such as colors.

    Args:
        study: the study, of which the cells that read the dataset are looked at.
        settings: the dataset's settings.
        channels: names of its images' channels.

    Raises:
        DataError: an operation of `pretext.augment` or `downstream.augment` needs other channels.
    """
    for cell in study.cells():
        spec = study.resolve(cell.overrides)
        if settings == spec.data:
            spec.downstream.augment.require_channels(channels, "downstream.augment")
        if settings == (spec.pretext_data or spec.data):
            for step in spec.pretext.chain:
                if not isinstance(step.method, Start):
                    step.augment.require_channels(channels, "pretext.augment")


def labels_of_store(store: FrameStore) -> set[LabelledSubject]:
    """Return the subjects with masks of a frame store, by their hashes."""
    rows = store.index[store.index["mask"] >= 0]
    return {
        (SPLITS[row["split"]], store.views[row["view"]], store.subjects[row["subject"]])
        for row in rows[["split", "view", "subject"]]
    }


def planned_labels(study: Study) -> dict[str, LabelCounts]:
    """Return the numbers of labelled subjects that each cell uses, by its key, from the datasets' listings alone.

    A phantom's are expected values. Cells of a dataset without a folder are left out.
    """
    outlines: dict[DataSettings, set[LabelledSubject]] = {}
    found = {}
    for cell in study.cells():
        spec = study.resolve(cell.overrides)
        if spec.data.path is None and spec.data.phantom is None:
            continue
        if spec.data not in outlines:
            outlines[spec.data] = set(outline_dataset(spec.data).labelled)
        subjects = _by_split(spec.downstream, outlines[spec.data])
        found[cell.key] = chosen_labels(spec.downstream, len(subjects["train"]), len(subjects["val"]))
    return found


def splits_with_labels(study: Study, settings: DataSettings) -> tuple[Split, ...]:
    """Return the splits of a dataset in which a cell of the study needs labels; empty if none fine-tunes on it."""
    specs = (study.resolve(cell.overrides) for cell in study.cells())
    found = {split for spec in specs if spec.data == settings for split in _needed(spec)}
    return tuple(split for split in SPLITS if split in found)


def _needed(spec: StudySpec) -> tuple[Split, ...]:
    """Return the splits in which a configuration needs labels; the probe of a pretraining reads those of validation."""
    if spec.downstream.test == "folds":
        return ("train",)
    return SPLITS if spec.downstream.uses_validation_split or spec.probed else ("train", "test")


def _shortage(spec: StudySpec, labelled: Collection[LabelledSubject]) -> str:
    """Return why there are too few labelled subjects for a downstream run, or ""."""
    settings = spec.downstream
    subjects = _by_split(settings, labelled)
    empty = [split for split in _needed(spec) if not subjects[split]]
    if empty:
        return f"no labelled subject in {', '.join(empty)} of the views {', '.join(settings.views or ())}"
    train, val = len(subjects["train"]), len(subjects["val"])
    chosen = chosen_labels(settings, train, val)
    pool = train if settings.test == "folds" else chosen.total
    return label_shortage(settings, train) or validation_shortage(settings, val) or fold_shortage(settings, pool)


def _by_split(settings: DownstreamSettings, labelled: Collection[LabelledSubject]) -> dict[Split, set[str]]:
    """Return the names of the subjects with masks in the views that a downstream run uses, by split."""
    views = settings.views
    return {
        split: {
            name for part, view, name in labelled if part == split and (views is None or view in (*views, ANY_VIEW))
        }
        for split in SPLITS
    }
