"""CAMUS: apical two- and four-chamber half cycles, annotated at end-diastole and end-systole.

Leclerc et al., Deep learning for segmentation using an open large-scale dataset in 2D echocardiography, IEEE TMI 38
(2019).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from trainables.common.errors import DataError, did_you_mean
from trainables.data.layouts.labels import to_classes
from trainables.data.readers import metaimage, nifti
from trainables.data.readers.grey import GreyRule, to_gray
from trainables.data.readers.grid import Grid
from trainables.data.readers.label_numbers import to_label_numbers
from trainables.data.readers.tables import parse_count, parse_float, read_pairs
from trainables.data.readers.volume import frames_grid
from trainables.data.records import DatasetIssue, DatasetListing, Layout, Phase, Pixels, SequenceRecord, Split
from trainables.data.sampling.splits import split_subjects

FOLDER = "database_nifti"
VIEWS = ("2CH", "4CH")
CLASSES = ("background", "lv", "myocardium", "la")
LABELS = {"lv": 1, "myocardium": 2, "la": 3}
FOLDS = 10
_SUBSETS: dict[Split, str] = {"train": "training", "val": "validation", "test": "testing"}
_SAEED2022 = (300, 50, 50)
_FRAME_AXIS = 2
_CLINICAL = {"EF": "ef", "LVef": "ef", "LVedv": "edv", "LVesv": "esv"}
_PARTITIONS = ("official", *(f"fold{fold}" for fold in range(1, FOLDS + 1)), "saeed2022")


@dataclass(frozen=True)
class Camus(Layout):
    """`<folder>/patientXXXX/patientXXXX_{2CH,4CH}_{ED,ES,half_sequence}[_gt]` and `Info_{2CH,4CH}.cfg`.

    The NIfTI release (`.nii.gz` or `.nii`) has the patients in `database_nifti`, the older one (`.mhd` with `.raw`) in
    a folder of any name, or in several. A sequence is a patient's view: the frames of the half sequence where it is
    there, else end-diastole and end-systole alone. Only those two have masks that an expert drew.

    Attributes:
        partition: "official" is the published 400/50/50 split; "fold1" to "fold10" are the ten published folds, whose
            test parts cover all patients; "saeed2022" divides the 400 training patients into 300/50/50 by name, as many
            as Saeed et al. (2022, section 3.4) had, and leaves the other patients out.
    """

    title: ClassVar[str] = "CAMUS"
    masks: ClassVar[str] = "patientNNNN_VIEW_PHASE_gt beside each image"
    grey: ClassVar[GreyRule] = "display"
    suffixes: ClassVar[tuple[str, ...]] = (*nifti.SUFFIXES, ".mhd")
    partition: str = "official"

    def __post_init__(self) -> None:
        if self.partition not in _PARTITIONS:
            raise ValueError(f"unknown partition '{self.partition}'{did_you_mean(self.partition, _PARTITIONS)}")

    def scan(self, root: Path) -> DatasetListing:
        """List the views of every patient's folder.

        Raises:
            DataError: there is no folder with patients in it, or the partition's lists are missing.
        """
        folders = sorted(path for path in root.glob("*/patient*") if path.is_dir()) or sorted(
            path for path in root.glob("patient*") if path.is_dir()
        )
        if not folders:
            raise DataError(f"{root}: no patients, expected CAMUS ({FOLDER}/patient0001/...)")
        issues: list[DatasetIssue] = []
        splits = self._splits(root, {folder.name for folder in folders}, issues)
        unused = {name for name, split in splits.items() if split is None}
        left_out = sum(folder.name in unused for folder in folders)
        if left_out:
            text = f"{left_out} patients are not part of the partition '{self.partition}'"
            issues.append(DatasetIssue("", "", "patients outside the partition", text))
        records = []
        for folder in (folder for folder in folders if folder.name not in unused):
            for view in VIEWS:
                record = _record(root, folder, view, splits.get(folder.name), issues)
                if record is not None:
                    records.append(record)
        return DatasetListing(tuple(records), CLASSES, tuple(issues))

    def read(self, root: Path, record: SequenceRecord) -> Pixels:
        """Decode a view, transposed from the files' (lateral, depth) to (depth, lateral).

        Grey values already within 0..255, as published, are rounded and kept; others, such as 0..1, are stretched
        between the sequence's own percentiles, see `to_gray`.

        Raises:
            DataError: an image is unreadable, or its frames differ in size.
        """
        issues: list[DatasetIssue] = []
        if "sequence" in record.files:
            volume = _array(root / record.files["sequence"])
            images = np.transpose(volume if volume.ndim == 3 else volume[..., None], (2, 1, 0))
        else:
            planes = [_plane(root / record.files[phase]) for phase in ("ED", "ES")]
            if planes[0].shape != planes[1].shape:
                text = f"size {planes[1].shape}, but end-diastole is {planes[0].shape}"
                raise DataError(f"{root / record.files['ES']}: {text}")
            images = np.stack(planes)
        masks = {}
        meaning = {label: CLASSES.index(name) for name, label in LABELS.items()}
        for frame, phase in record.labelled.items():
            file = record.files[f"{phase}_gt"]
            labels = to_label_numbers(root / file, _plane(root / file))
            mask, issue = to_classes(labels, images.shape[1:], meaning, file)
            issues.extend([issue] if issue else [])
            if mask is not None:
                masks[frame] = mask
        return Pixels(to_gray(images, display=True)[:, None], masks, issues=tuple(issues))

    def records_of(self, path: Path) -> tuple[SequenceRecord]:
        """List an image or a half sequence by itself.

        Raises:
            DataError: it has no readable header.
        """
        count, spacing = _header(path)
        return (SequenceRecord("", path.name, "", frames=count, spacing=spacing, files={"sequence": path.name}),)

    def frame_files(self, record: SequenceRecord) -> tuple[str, ...]:
        """Return the files of end-diastole and end-systole of a view without a half sequence."""
        return () if "sequence" in record.files else (record.files["ED"], record.files["ES"])

    def grid(self, root: Path, record: SequenceRecord) -> Grid | None:
        """Return the grid of a view's half sequence.

        Raises:
            DataError: it has no readable header.
        """
        return frames_grid(root / record.files["sequence"]) if "sequence" in record.files else None

    def _splits(self, root: Path, present: set[str], issues: list[DatasetIssue]) -> dict[str, Split | None]:
        """Return the split of each listed patient, None for those whom the partition leaves out.

        Empty where the official partition is asked for and the dataset comes without lists.

        Raises:
            DataError: another partition is asked for, and the dataset comes without its lists.
        """
        pattern = "database_split/subgroup_{}.txt"
        if self.partition.startswith("fold"):
            pattern = f"listSubGroups/subGroup{self.partition.removeprefix('fold')}_{{}}.txt"
        elif not any((root / pattern.format(stem)).is_file() for stem in _SUBSETS.values()):
            pattern = "listSubGroups/subGroup5_{}.txt"  # the fold that the later release made its official split
        if self.partition != "official":
            self._require_lists(root, pattern)
        splits = _listed(root, pattern, present, issues)
        if self.partition != "saeed2022":
            return {**splits}
        training = [patient for patient, split in splits.items() if split == "train"]
        chosen = split_subjects(training, tuple(map(float, _SAEED2022)), seed=0)  # type: ignore[arg-type]  # three
        return dict.fromkeys(splits) | chosen

    def _require_lists(self, root: Path, pattern: str) -> None:
        """Refuse a partition without its lists, which a split by fractions would replace otherwise."""
        stems = [_SUBSETS["train"]] if self.partition == "saeed2022" else list(_SUBSETS.values())
        absent = [pattern.format(stem) for stem in stems if not (root / pattern.format(stem)).is_file()]
        if absent:
            raise DataError(
                f"{root / absent[0]}: no such file, expected the lists of the partition '{self.partition}' "
                f"({len(absent)} of {len(stems)} missing). Fix: copy them there, or set `partition: official`"
            )


def _record(
    root: Path, folder: Path, view: str, split: Split | None, issues: list[DatasetIssue]
) -> SequenceRecord | None:
    files = {}
    for role, stem in (
        ("ED", "ED"),
        ("ES", "ES"),
        ("ED_gt", "ED_gt"),
        ("ES_gt", "ES_gt"),
        ("sequence", "sequence"),  # as the older release calls it
        ("sequence", "half_sequence"),
    ):
        path = _find(folder / f"{folder.name}_{view}_{stem}")
        if path is not None:
            files[role] = path.relative_to(root).as_posix()
    if not files:
        return None  # a view that was not acquired, or not shared
    place = folder.relative_to(root).as_posix()
    if "sequence" not in files and not {"ED", "ES"} <= files.keys():
        text = f"{view} has {', '.join(sorted(files))}, expected ED and ES or half_sequence"
        issues.append(DatasetIssue(place, view, "incomplete view", text, "loss", "sequence"))
        return None
    image = files.get("sequence") or files["ED"]
    try:
        count, spacing = _header(root / image)
    except DataError as error:
        text = str(error).removeprefix(f"{root / image}: ")
        issues.append(DatasetIssue(image, "", "unreadable header", text, "damage", "sequence"))
        return None
    if spacing is None:
        issues.append(DatasetIssue(image, "", "spacing missing", "the header gives no pixel spacing"))
    info = _info(folder, view)
    if "sequence" in files:
        labelled = _ends(count, info)
        if info.get("NbFrame", str(count)) != str(count):
            text = f"Info_{view}.cfg says NbFrame {info['NbFrame']}, the half sequence has {count} frames"
            issues.append(DatasetIssue(place, f"Info_{view}.cfg", "frame count differs from the cfg", text))
    else:
        count, labelled = 2, {0: "ED", 1: "ES"}
    for frame, phase in list(labelled.items()):
        if f"{phase}_gt" not in files:
            issues.append(
                DatasetIssue(place, f"{view} {phase}", "missing mask", f"{phase} has no mask file", "loss", "mask")
            )
            del labelled[frame]
    clinical = {new: value for old, new in _CLINICAL.items() if (value := parse_float(info.get(old, ""))) is not None}
    return SequenceRecord(
        folder.name, f"{folder.name}_{view}", view, split, count, labelled, spacing, clinical=clinical, files=files
    )


def _ends(count: int, info: Mapping[str, str]) -> dict[int, Phase]:
    """Return the phases of the half sequence's first and last frame, ED then ES unless the cfg reverses them."""
    diastole, systole = parse_count(info.get("ED", "")), parse_count(info.get("ES", ""))
    backwards = diastole is not None and systole is not None and diastole > systole
    return {0: "ES", count - 1: "ED"} if backwards else {0: "ED", count - 1: "ES"}


def _info(folder: Path, view: str) -> dict[str, str]:
    path = folder / f"Info_{view}.cfg"
    return read_pairs(path) if path.is_file() else {}


def _listed(root: Path, pattern: str, present: set[str], issues: list[DatasetIssue]) -> dict[str, Split]:
    """Return the split of every patient that the three lists name."""
    splits: dict[str, Split] = {}
    for split, stem in reversed(_SUBSETS.items()):  # a patient in two lists stays in the one not used for training
        file = pattern.format(stem)
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
                issues.append(DatasetIssue(file, f"row {row}", "unreadable split row", text, "loss", "row"))
            elif splits.get(subject, split) != split:
                text = f"{subject} is in the {splits[subject]} split too, and stays there"
                issues.append(DatasetIssue(file, f"row {row}", "subject in two splits", text, "loss", "row"))
            else:
                splits[subject] = split
                absent += subject not in present
        if absent:
            text = f"{absent} listed patients are not on disk"
            issues.append(DatasetIssue(file, "", "listed patients absent", text))
    return splits


def _find(path: Path) -> Path | None:
    """Return the image file of this name in either release's format, or None."""
    old = path.with_name(path.name + ".mhd")
    return nifti.find_nifti(path) or (old if old.is_file() else None)


def _header(path: Path) -> tuple[int, tuple[float, float] | None]:
    """Return the number of frames and the (row, column) spacing in mm after transposing."""
    if path.suffix != ".mhd":
        header = nifti.read_nifti_header(path, _FRAME_AXIS)
        return header.slices, header.spacing
    meta = metaimage.read_metaimage_header(path)
    known = meta.spacing is not None and min(meta.spacing[:2]) > 0
    spacing = (meta.spacing[1], meta.spacing[0]) if meta.spacing is not None and known else None
    return (meta.size[2] if len(meta.size) > 2 else 1), spacing


def _array(path: Path) -> np.ndarray:
    array = metaimage.read_metaimage(path).array if path.suffix == ".mhd" else nifti.read_nifti(path)[0]
    if array.ndim > 3:
        raise DataError(f"{path}: shape {array.shape}, expected two or three axes")
    return array


def _plane(path: Path) -> np.ndarray:
    """Read a single image, transposed to (depth, lateral)."""
    array = _array(path)
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[..., 0]
    if array.ndim != 2:
        raise DataError(f"{path}: shape {array.shape}, expected one image (lateral, depth)")
    return array.T
