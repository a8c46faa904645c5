"""NIfTI examinations as sequences: volumes of slices at one moment, and cines of a single slice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from trainables.common.errors import DataError
from trainables.data.layouts.labels import to_classes
from trainables.data.readers.grey import windowed
from trainables.data.readers.nifti import Header, read, read_header, read_labels
from trainables.data.records import Clip, DatasetIssue, Phase, Pixels, Split

Meaning = Mapping[int, int]
"""The class index of each of a dataset's label numbers."""


def volume(root: Path, clip: Clip, faults: list[DatasetIssue], *, phase: Phase = "") -> Clip | None:
    """Complete a clip of one volume (its files are `image` and perhaps `mask`) from the image's header.

    Returns:
        The clip with frames, spacing and labelled slices; None, with a fault, where the image is missing or unreadable.
    """
    header = header_of(root, clip.files["image"], faults)
    if header is None:
        return None
    if clip.moment >= header.moments:
        text = f"moment {clip.moment} (from 0) is asked for, the image has {header.moments}"
        faults.append(DatasetIssue(clip.files["image"], "", "moment past the end", text, "loss", "sequence"))
        return None
    labelled = dict.fromkeys(range(header.slices), phase) if "mask" in clip.files else {}
    return replace(clip, frames=header.slices, spacing=header.spacing, labelled=labelled, stack=True)


def moments(root: Path, clip: Clip, every: int, without: Sequence[int], faults: list[DatasetIssue]) -> list[Clip]:
    """The unlabelled volumes of a cine (`clip.files["image"]`), or the cine itself where it has a single slice.

    Args:
        root: of the dataset.
        clip: of the whole cine.
        every: distance of the moments taken, from 1 up; 0 takes none.
        without: moments that are listed elsewhere.
        faults: added to.
    """
    if not every:
        return []
    header = header_of(root, clip.files["image"], faults)
    if header is None:
        return []
    if header.slices == 1:
        return [replace(clip, frames=header.moments, spacing=header.spacing)]
    return [
        replace(
            clip,
            sequence=f"{clip.sequence}_{moment}",
            moment=moment,
            frames=header.slices,
            spacing=header.spacing,
            stack=True,
        )
        for moment in range(every // 2, header.moments, every)
        if moment not in without
    ]


def header_of(root: Path, file: str, faults: list[DatasetIssue]) -> Header | None:
    """The header of an image, with the faults that it has; None where it cannot be read."""
    if not (root / file).is_file():
        faults.append(DatasetIssue(file, "", "missing image", "listed, but not there", "loss", "sequence"))
        return None
    try:
        header = read_header(root / file)
    except DataError as error:
        text = str(error).removeprefix(f"{root / file}: ")
        faults.append(DatasetIssue(file, "", "unreadable header", text, "damage", "sequence"))
        return None
    if header.spacing is None:
        faults.append(DatasetIssue(file, "", "spacing missing", "the header gives no pixel spacing"))
    if header.contradiction:
        text = "the affine and the pixel spacing of the header contradict each other; the spacing is taken"
        faults.append(DatasetIssue(file, "", "affine contradicts the spacing", text))
    return header


def read_clip(root: Path, clip: Clip, meaning: Meaning, channels: Sequence[int] | None = None) -> Pixels:
    """Decode a clip that `volume` or `moments` completed.

    Args:
        root: of the dataset.
        clip: whose files are `image` and perhaps `mask`.
        meaning: of the mask's label numbers.
        channels: which of the fourth axis to keep where that axis holds channels; None where it holds moments.

    Raises:
        DataError: the image or its mask is unreadable, or its shape is not what the header said.
    """
    path = root / clip.files["image"]
    array, header = read(path)
    if array.ndim > 4:
        raise DataError(f"{path}: {array.ndim} axes, expected at most four")
    array = array.reshape(*array.shape, *(1,) * (4 - array.ndim))
    planes = header.planes()
    if channels is not None:
        images = np.stack([windowed(header.upright(array[..., channel])) for channel in channels], axis=1)
    elif clip.stack:
        images = windowed(header.upright(array[..., clip.moment]))[:, None]
    else:
        images = windowed(header.upright(array[:, :, 0]))[:, None]
        planes = np.repeat(planes, len(images), axis=0) if planes is not None else None
    if "mask" not in clip.files:
        return Pixels(images, {}, planes)
    labels = read_labels(root / clip.files["mask"])
    labels = labels[..., min(clip.moment, labels.shape[3] - 1)] if labels.ndim == 4 else labels
    labels = labels if labels.ndim == 3 else labels[:, :, None]
    upright = header.upright(labels)
    classes, fault = to_classes(upright, (len(images), *images.shape[2:]), meaning, clip.files["mask"])
    if classes is None:
        return Pixels(images, {}, planes, (fault,) if fault else ())
    return Pixels(images, dict(enumerate(classes)), planes)


def examined_view(
    root: Path,
    subject: str,
    view: str,
    split: Split | None,
    files: Mapping[str, str],
    faults: list[DatasetIssue],
    *,
    every: int,
    known: Mapping[Phase, int] | None = None,
    clinical: Mapping[str, float] | None = None,
) -> list[Clip]:
    """The sequences of one view of a cardiac examination: its labelled volumes and the moments of its cine.

    Args:
        root: of the dataset.
        subject: whose view it is.
        view: its name.
        split: of the subject.
        files: by role, those there are: `ED`, `ED_gt`, `ES`, `ES_gt` and `cine`. Where a phase has a mask but no image
            of its own, its image is the cine's moment.
        faults: added to.
        every: as in `moments`.
        known: the cine's moment of each phase.
        clinical: values of the subject.
    """
    clips: list[Clip | None] = []
    known, base = known or {}, Clip(subject, f"{subject}_{view}", view, split, clinical=clinical or {})
    for phase in ("ED", "ES"):
        image, mask = files.get(phase), files.get(f"{phase}_gt")
        moment = 0
        if image is None and mask is not None and "cine" in files and phase in known:
            image, moment = files["cine"], known[phase]
        if image is None:
            if mask is not None:
                text = f"the {phase} mask has no image: neither one of its own nor a moment of a cine"
                faults.append(DatasetIssue(mask, "", "mask without image", text, "loss", "mask"))
            continue
        if mask is None:
            faults.append(DatasetIssue(image, "", "missing mask", f"{phase} has no mask file", "loss", "mask"))
        own = {"image": image, **({"mask": mask} if mask is not None else {})}
        clip = replace(base, sequence=f"{base.sequence}_{phase}", files=own, moment=moment)
        clips.append(volume(root, clip, faults, phase=phase))
    if "cine" in files:
        cine = replace(base, sequence=f"{base.sequence}_cine", files={"image": files["cine"]})
        clips.extend(moments(root, cine, every, tuple(known.values()), faults))
    return [clip for clip in clips if clip is not None]
