"""Folder that a prediction writes into: results of one kind, of one prediction at a time, and apart from the images."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from study.prediction.result_facts import EVALUATION, PREDICTION, claim_folder
from study.prediction.trained_cell import TrainedCell
from study.storage.lock import file_lock
from trainables.common.errors import UserError
from trainables.common.files import remove_stale_parts
from trainables.prediction.results import Outputs, key_of

LOCK = ".lock"
"""File that a running prediction locks."""

VERSION = 2
"""Version of the files that a prediction writes; results of another version are made again."""


@contextlib.contextmanager
def output_folder(root: Path, images: Sequence[str], facts: Mapping[str, object]) -> Iterator[str]:
    """Make the folder, hold its lock, remove what killed runs left half-written, and yield the digest of the facts.

    Args:
        root: the folder.
        images: files, folders and datasets that are segmented.
        facts: everything but the images that determines the results.

    Raises:
        UserError: the folder is a file, lies in a folder of images, or has results of other weights or options.
        Locked: another prediction writes into it.
    """
    _refuse_images_folder(root, images)
    claim_folder(root, PREDICTION, facts, (EVALUATION,))
    with file_lock(root / LOCK, f"--out {root}: another prediction writes there"):
        remove_stale_parts(root)
        yield key_of(facts)


def facts(trained: TrainedCell, outputs: Outputs, *, flips: bool) -> dict[str, object]:
    """Return everything but the images that determines the results."""
    return {
        "version": VERSION,
        "study": trained.folder.name,
        "cell": trained.cell,
        "replicates": [each.index for each in trained.replicates],
        "weights": [each.digest for each in trained.replicates],
        "preprocessing": trained.preprocessing.plain(),
        "outputs": asdict(outputs),
        "flips": flips,
    }


def _refuse_images_folder(root: Path, images: Sequence[str]) -> None:
    """Refuse a folder in which a later call would take the masks for images."""
    for each in images:
        name = each if Path(each).expanduser().exists() else each.partition("=")[2]  # a dataset is LAYOUT=PATH
        folder = Path(name).expanduser()
        if name and folder.is_dir() and root.resolve().is_relative_to(folder.resolve()):
            text = f"lies in the folder of images {folder}, where masks would be taken for images"
            raise UserError(f"--out {root}: {text}. Fix: choose a folder outside")
