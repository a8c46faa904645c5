"""CAMUS, NIfTI release: apical two- and four-chamber half cycles, annotated at end-diastole and end-systole.

Leclerc et al., Deep learning for segmentation using an open large-scale dataset in 2D echocardiography, IEEE TMI 38
(2019).
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

from trainables.data.records import Clip, Fault, Phase, Pixels, Scan, Split
from trainables.data.tables import number, read_pairs, whole
from trainables.errors import DataError

FOLDER = "database_nifti"
VIEWS = ("2CH", "4CH")
_SPLIT_FILES: dict[Split, str] = {
    "train": "database_split/subgroup_training.txt",
    "val": "database_split/subgroup_validation.txt",
    "test": "database_split/subgroup_testing.txt",
}
_CLINICAL = {"EF": "ef", "LVedv": "edv", "LVesv": "esv"}


@dataclass(frozen=True)
class Camus:
    """`database_nifti/patientXXXX/patientXXXX_{2CH,4CH}_{ED,ES,half_sequence}[_gt].nii.gz` (or `.nii`).

    A sequence is a patient's view: the frames of the half sequence where it is there, else end-diastole and end-systole
    alone. Only those two have masks that an expert drew.
    """

    name: str = "camus"
    classes: tuple[str, ...] = ("background", "lv", "myocardium", "la")

    def scan(self, root: Path) -> Scan:
        """List the views of every patient's folder.

        Raises:
            DataError: there is no `database_nifti` folder with patients in it.
        """
        folders = sorted(path for path in (root / FOLDER).glob("patient*") if path.is_dir())
        if not folders:
            raise DataError(f"{root}: no patients in {FOLDER}/, expected CAMUS ({FOLDER}/patient0001/...)")
        faults: list[Fault] = []
        splits = _official_split(root, {folder.name for folder in folders}, faults)
        clips = []
        for folder in folders:
            for view in VIEWS:
                clip = _clip(root, folder, view, splits.get(folder.name), faults)
                if clip is not None:
                    clips.append(clip)
        return Scan(tuple(clips), tuple(faults))

    def read(self, root: Path, clip: Clip) -> Pixels:
        """Decode a view, transposed from the files' (lateral, depth) to (depth, lateral).

        Grey values already within 0..255, as published, are rounded and kept; others are stretched from the sequence's
        own minimum and maximum.

        Raises:
            DataError: an image is unreadable, or its frames differ in size.
        """
        faults: list[Fault] = []
        if "sequence" in clip.files:
            volume = _array(root / clip.files["sequence"])
            images = np.transpose(volume if volume.ndim == 3 else volume[..., None], (2, 1, 0))
        else:
            planes = [_plane(root / clip.files[phase]) for phase in ("ED", "ES")]
            if planes[0].shape != planes[1].shape:
                text = f"size {planes[1].shape}, but end-diastole is {planes[0].shape}"
                raise DataError(f"{root / clip.files['ES']}: {text}")
            images = np.stack(planes)
        masks = {}
        for frame, phase in clip.labelled.items():
            mask = self._mask(root, clip.files[f"{phase}_gt"], images.shape[1:], faults)
            if mask is not None:
                masks[frame] = mask
        return Pixels(_to_uint8(images)[:, None], masks, tuple(faults))

    def _mask(self, root: Path, file: str, shape: tuple[int, ...], faults: list[Fault]) -> np.ndarray | None:
        labels: np.ndarray = np.rint(_plane(root / file)).astype(np.int64)
        found = np.unique(labels)
        if labels.shape != shape:
            text, kind = f"mask is {labels.shape}, its image {shape}", "mask size differs from the image"
        elif found[0] < 0 or found[-1] >= len(self.classes):
            text, kind = f"labels {found.tolist()}, expected 0..{len(self.classes) - 1}", "unknown label"
        elif len(found) == 1 and found[0] == 0:
            text, kind = "the mask is background only", "empty mask"
        else:
            return labels.astype(np.uint8)
        faults.append(Fault(file, "", kind, text, "loss", "mask"))
        return None


def _clip(root: Path, folder: Path, view: str, split: Split | None, faults: list[Fault]) -> Clip | None:
    files = {}
    for role, stem in (
        ("ED", "ED"),
        ("ES", "ES"),
        ("ED_gt", "ED_gt"),
        ("ES_gt", "ES_gt"),
        ("sequence", "half_sequence"),
    ):
        path = _find(folder / f"{folder.name}_{view}_{stem}.nii")
        if path is not None:
            files[role] = path.relative_to(root).as_posix()
    if not files:
        return None  # a view that was not acquired, or not shared
    place = folder.relative_to(root).as_posix()
    if "sequence" not in files and not {"ED", "ES"} <= files.keys():
        text = f"{view} has {', '.join(sorted(files))}, expected ED and ES or half_sequence"
        faults.append(Fault(place, view, "incomplete view", text, "loss", "sequence"))
        return None
    image = files.get("sequence") or files["ED"]
    try:
        count, spacing = _header(root / image)
    except DataError as error:
        faults.append(Fault(image, "", "unreadable image", str(error), "damage", "sequence"))
        return None
    if spacing is None:
        faults.append(Fault(image, "", "spacing missing", "the header gives no pixel spacing"))
    info = _info(folder, view)
    if "sequence" in files:
        labelled = _ends(count, info)
        if info.get("NbFrame", str(count)) != str(count):
            text = f"Info_{view}.cfg says NbFrame {info['NbFrame']}, the half sequence has {count} frames"
            faults.append(Fault(place, f"Info_{view}.cfg", "frame count differs from the cfg", text))
    else:
        count, labelled = 2, {0: "ED", 1: "ES"}
    for frame, phase in list(labelled.items()):
        if f"{phase}_gt" not in files:
            faults.append(Fault(place, f"{view} {phase}", "missing mask", f"{phase} has no mask file", "loss", "mask"))
            del labelled[frame]
    clinical = {new: value for old, new in _CLINICAL.items() if (value := number(info.get(old, ""))) is not None}
    return Clip(folder.name, f"{folder.name}_{view}", view, split, count, labelled, spacing, clinical, files)


def _ends(count: int, info: Mapping[str, str]) -> dict[int, Phase]:
    """The half sequence's first and last frame, from end-diastole to end-systole unless the cfg has them reversed."""
    diastole, systole = whole(info.get("ED", "")), whole(info.get("ES", ""))
    backwards = diastole is not None and systole is not None and diastole > systole
    return {0: "ES", count - 1: "ED"} if backwards else {0: "ED", count - 1: "ES"}


def _info(folder: Path, view: str) -> dict[str, str]:
    path = folder / f"Info_{view}.cfg"
    return read_pairs(path) if path.is_file() else {}


def _official_split(root: Path, present: set[str], faults: list[Fault]) -> dict[str, Split]:
    """The published split of the patients, empty when the dataset comes without one."""
    splits: dict[str, Split] = {}
    for split, file in reversed(_SPLIT_FILES.items()):  # a patient in two keeps the one that is never trained on
        path = root / file
        if not path.is_file():
            continue
        absent = 0
        for row, line in enumerate(path.read_text(encoding="utf-8-sig", errors="replace").splitlines(), 1):
            subject = line.strip()
            if not subject:
                continue
            if not re.fullmatch(r"\w+", subject):
                text = f"'{subject[:80]}' is not a patient's name"
                faults.append(Fault(file, f"row {row}", "unreadable split row", text, "loss", "row"))
            elif splits.get(subject, split) != split:
                text = f"{subject} is in the {splits[subject]} split too, and stays there"
                faults.append(Fault(file, f"row {row}", "subject in two splits", text, "loss", "row"))
            else:
                splits[subject] = split
                absent += subject not in present
        if absent:
            text = f"{absent} of the patients that it lists are not on disk"
            faults.append(Fault(file, "", "listed patients absent", text))
    return splits


def _find(path: Path) -> Path | None:
    return next((found for found in (path.with_name(path.name + ".gz"), path) if found.is_file()), None)


def _header(path: Path) -> tuple[int, tuple[float, float] | None]:
    """Number of frames, and (row, column) spacing in mm after transposing."""
    image = _open(path)
    zooms = [float(zoom) for zoom in image.header.get_zooms()]
    spacing = (zooms[1], zooms[0]) if min(zooms[:2]) > 0 else None
    return (int(image.shape[2]) if len(image.shape) > 2 else 1), spacing


def _open(path: Path) -> Any:
    try:
        image: Any = nib.load(path)
    except (OSError, nib.filebasedimages.ImageFileError, EOFError, ValueError) as error:
        raise DataError(f"{path}: not a readable NIfTI image ({error})") from None
    if not 2 <= len(image.shape) <= 4 or min(image.shape) < 1:
        raise DataError(f"{path}: shape {image.shape}, expected two or three axes")
    return image


def _array(path: Path) -> np.ndarray:
    try:
        array = np.asarray(_open(path).dataobj)
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise DataError(f"{path}: not a readable NIfTI image ({error})") from None
    while array.ndim > 3 and array.shape[-1] == 1:
        array = array[..., 0]
    if array.ndim > 3 or not np.isfinite(array).all():
        raise DataError(f"{path}: shape {array.shape} with non-finite values or too many axes")
    return array


def _plane(path: Path) -> np.ndarray:
    """A single image, transposed to (depth, lateral)."""
    array = _array(path)
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[..., 0]
    if array.ndim != 2:
        raise DataError(f"{path}: shape {array.shape}, expected one image (lateral, depth)")
    return array.T


def _to_uint8(images: np.ndarray) -> np.ndarray:
    values = images.astype(np.float32)
    low, high = float(values.min()), float(values.max())
    if low < 0 or high > 255:
        values = (values - low) * (255.0 / max(high - low, 1e-12))
    return np.rint(values).astype(np.uint8)
