"""The phantom on disk as CAMUS was published first: MetaImage files, and ten splits for cross-validation."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from trainables.data.layouts.camus import VIEWS
from trainables.data.readers.metaimage_writer import write_metaimage
from trainables.data.records import Progress, Split
from trainables.data.sampling.splits import split_subjects
from trainables.phantom.imaging.cine import Cine, draw_cine
from trainables.phantom.settings import PhantomSettings
from trainables.phantom.writers.camus import half_cycle, info, write_info

GROUPS = 10
OFFICIAL_GROUP = 5
"""Number of the group that equals the split of the NIfTI release."""

_SPLIT_FILES: dict[Split, str] = {"train": "training", "val": "validation", "test": "testing"}
_SLICE = 1.54  # mm, third spacing of the published files


def write_camus_mhd(root: Path, settings: PhantomSettings, progress: Progress | None = None) -> None:
    """Write `training/`, `testing/` and `listSubGroups/` below `root`, two- and four-chamber views.

    Patients of the official test split lie in `testing/`, the others in `training/`, as published.
    """
    names = [f"patient{number:04d}" for number in range(1, settings.subjects + 1)]
    official = split_subjects(names, settings.fractions, settings.seed)
    _write_groups(root / "listSubGroups", official)
    for done, name in enumerate(names, 1):
        folder = root / ("testing" if official[name] == "test" else "training") / name
        for view in VIEWS:
            write_mhd_view(folder, name, view, draw_cine(settings, name, view))
        if progress is not None:
            progress("generating phantom", done, settings.subjects)


def _write_groups(folder: Path, official: dict[str, Split]) -> None:
    """Return ten splits: the official one, and nine with its patients rotated by tenths."""
    folder.mkdir(parents=True, exist_ok=True)
    ordered = sorted(official, key=lambda name: (official[name], name))
    for group in range(1, GROUPS + 1):
        moved = (group - OFFICIAL_GROUP) * len(ordered) // GROUPS
        parts = {name: official[ordered[(place - moved) % len(ordered)]] for place, name in enumerate(ordered)}
        for split, stem in _SPLIT_FILES.items():
            lines = [f"{name}\n" for name in sorted(parts) if parts[name] == split]
            (folder / f"subGroup{group}_{stem}.txt").write_text("".join(lines))


def write_mhd_view(folder: Path, name: str, view: str, cine: Cine) -> None:
    """Write one view: its half cycle, both ends alone with their masks, and the cfg.

    Rows are half as far apart as columns, as in the published files (0.308 x 0.154 mm), so images have twice the rows.
    """
    folder.mkdir(parents=True, exist_ok=True)
    images, masks = half_cycle(cine)
    height, width = images.shape[1:]
    tall = np.stack([cv2.resize(image, (width, 2 * height), interpolation=cv2.INTER_LINEAR) for image in images])
    marked = np.repeat(masks[[0, -1]], 2, axis=1)
    spacing = cine.millimetres / width
    stacks = {"sequence": tall, "ED": tall[:1], "ES": tall[-1:], "ED_gt": marked[:1], "ES_gt": marked[1:]}
    for stem, stack in stacks.items():
        write_metaimage(folder / f"{name}_{view}_{stem}.mhd", stack.T, (spacing, spacing / 2, _SLICE))
    diastolic, systolic = (round(volume, 1) for volume in cine.volumes)
    volumes = {"LVedv": diastolic, "LVesv": systolic, "LVef": round(cine.ejection_fraction)}
    write_info(folder / f"Info_{view}.cfg", info(len(images), 1, len(images)) | volumes)
