"""The Medical Segmentation Decathlon's layout: volumes listed in `dataset.json`.

Antonelli et al., The Medical Segmentation Decathlon, Nature Communications 13 (2022).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from trainables.common.errors import DataError, did_you_mean
from trainables.data.layouts.nifti_volumes import read_sequence, readable_header, volume
from trainables.data.layouts.slice_axes import slice_axis_notes
from trainables.data.readers.grey import GreyRule
from trainables.data.readers.grid import Grid, require_slice_axis
from trainables.data.readers.nifti import SUFFIXES, read_nifti_header
from trainables.data.readers.tables import is_file, is_inside, parse_count
from trainables.data.records import GREY, DatasetIssue, DatasetListing, Layout, Pixels, SequenceRecord

LIST = "dataset.json"


@dataclass(frozen=True)
class Decathlon(Layout):
    """`dataset.json`, `imagesTr`, `labelsTr`, `imagesTs`; any task. It has no official validation split.

    The masks' classes and the images' channels are those that `dataset.json` names. The images of its test part are
    published without masks, so here they are unlabelled training data.

    Attributes:
        channels: names of the modalities to read ("T2", "ADC"), in this order; None for all.
        slice_axis: axis of the files' arrays, from 0, along which volumes are cut into slices; None for that of the
            acquisition or of the largest spacing.
    """

    title: ClassVar[str] = "Medical Segmentation Decathlon"
    masks: ClassVar[str] = "the key `label` of each entry of `training` in dataset.json"
    grey: ClassVar[GreyRule] = "stretched"
    suffixes: ClassVar[tuple[str, ...]] = SUFFIXES
    channels: tuple[str, ...] | None = None
    slice_axis: int | None = None

    def __post_init__(self) -> None:
        require_slice_axis(self.slice_axis)

    def scan(self, root: Path) -> DatasetListing:
        """List the volumes of `dataset.json`.

        Raises:
            DataError: the list is missing, is not one, or has none of the wanted channels.
        """
        task = read_task(root)
        wanted = self.channels or task.channels
        for name in wanted:
            if name not in task.channels:
                raise DataError(f"{root / LIST}: no modality '{name}'{did_you_mean(name, task.channels)}")
        issues: list[DatasetIssue] = list(task.issues)
        records: list[SequenceRecord] = []
        seen: set[str] = set()
        for place, files in task.entries:
            record = _record(root, place, files, task, self.slice_axis, seen, issues)
            if record is not None:
                records.append(record)
        issues.extend(slice_axis_notes(records))
        return DatasetListing(tuple(records), ("background", *task.classes.values()), tuple(issues), wanted)

    def read(self, root: Path, record: SequenceRecord) -> Pixels:
        """Decode a volume, each channel stretched by itself; outside of a task, all channels in the file's order.

        Raises:
            DataError: its image or its mask is unreadable.
        """
        place = next((folder for folder in (root, root.parent) if is_file(folder / LIST)), None)
        if place is None:  # an image outside of a task
            count = read_nifti_header(root / record.files["image"]).timepoints
            return read_sequence(root, record, {}, range(count), self.slice_axis)
        task = read_task(place)
        meaning = {number: index for index, number in enumerate(task.classes, 1)}
        channels = [task.channels.index(name) for name in self.channels or task.channels]
        return read_sequence(root, record, meaning, channels, self.slice_axis, negatives=True)

    def records_of(self, path: Path) -> tuple[SequenceRecord]:
        """List a volume by itself.

        Raises:
            DataError: it has no readable header.
        """
        issues: list[DatasetIssue] = []
        record = SequenceRecord("", path.name, "", files={"image": path.name})
        found = volume(path.parent, record, issues, slice_axis=self.slice_axis)
        if found is None:
            raise DataError(f"{path}: {issues[0].message}")
        return (found,)

    def grid(self, root: Path, record: SequenceRecord) -> Grid:
        """Return the grid of a volume.

        Raises:
            DataError: it has no readable header.
        """
        return read_nifti_header(root / record.files["image"], self.slice_axis).grid


@dataclass(frozen=True)
class Task:
    """Contents of `dataset.json`.

    Attributes:
        channels: names of the modalities.
        classes: names of the label numbers above 0, in their order.
        entries: each volume's place in the file and its files by role (`image`, perhaps `mask`).
        issues: issues of the entries that cannot be used.
    """

    channels: tuple[str, ...]
    classes: Mapping[int, str]
    entries: tuple[tuple[str, Mapping[str, str]], ...]
    issues: tuple[DatasetIssue, ...] = ()


def read_task(root: Path) -> Task:
    """Read `dataset.json`.

    Raises:
        DataError: it is missing, not JSON, or lacks its parts.
    """
    path = root / LIST
    document = read_list(path)
    labels = _numbered(path, document, "labels")
    names = [name for number, name in labels.items() if number]
    if not names or len({*names, "background"}) != len(names) + 1:
        raise DataError(f"{path}, labels: {labels}, expected a name of its own for every number above 0")
    modalities = tuple(_numbered(path, document, "modality").values()) if "modality" in document else GREY
    if len(set(modalities)) != len(modalities):
        raise DataError(f"{path}, modality: {', '.join(modalities)}, expected a name of its own for every channel")
    entries: list[tuple[str, Mapping[str, str]]] = []
    issues: list[DatasetIssue] = []
    for part in ("training", "test"):
        listed = document.get(part, [])
        if not isinstance(listed, list):
            raise DataError(f"{path}, {part}: a {type(listed).__name__}, expected a list of volumes")
        for position, entry in enumerate(listed):
            place = f"{part}[{position}]"
            files = _entry(entry)
            if files is None or not all(is_inside(file) for file in files.values()):
                text = f"found {str(entry)[:80]}, expected files below the dataset's folder"
                kind = "unreadable entry" if files is None else "path outside the dataset"
                issues.append(DatasetIssue(LIST, place, kind, text, "damage", "sequence"))
            else:
                entries.append((place, files))
    return Task(modalities, {number: name for number, name in labels.items() if number}, tuple(entries), tuple(issues))


def read_list(path: Path) -> dict[str, Any]:
    """Read a `dataset.json`, that of a Decathlon task or of nnU-Net.

    Raises:
        DataError: it is missing, not JSON, or not a mapping.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8-sig", errors="replace"))
        json.dumps(document, ensure_ascii=False).encode()  # half a character, which JSON can spell, cannot be written
    except OSError as error:
        raise DataError(f"{path}: {error.strerror or error}, expected a Decathlon task") from None
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: not JSON ({error})") from None
    if not isinstance(document, dict):
        raise DataError(f"{path}: a {type(document).__name__}, expected a mapping with labels and training")
    return document


def _numbered(path: Path, document: Mapping[str, Any], part: str) -> dict[int, str]:
    """Return names by number, sorted by number, from a JSON mapping whose keys are numbers as text."""
    values = document.get(part)
    if not isinstance(values, dict) or not values:
        raise DataError(f"{path}, {part}: found {str(values)[:80]}, expected names by number")
    named: dict[int, str] = {}
    for key, name in values.items():
        number = parse_count(key)
        if number is None or not isinstance(name, str) or number > 255 or number in named:
            raise DataError(f"{path}, {part}: '{key}: {name}', expected a number of its own from 0 to 255 and a name")
        named[number] = name
    return dict(sorted(named.items()))


def _entry(entry: object) -> dict[str, str] | None:
    if isinstance(entry, str):
        return {"image": _below(entry)}
    if (
        not isinstance(entry, dict)
        or not all(isinstance(value, str) for value in entry.values())
        or "image" not in entry
    ):
        return None
    return {role: _below(entry[key]) for role, key in (("image", "image"), ("mask", "label")) if key in entry}


def _below(name: str) -> str:
    return name.removeprefix("./").lstrip("/")  # some published lists begin with a slash, meaning the task's folder


def _record(
    root: Path,
    place: str,
    files: Mapping[str, str],
    task: Task,
    slice_axis: int | None,
    seen: set[str],
    issues: list[DatasetIssue],
) -> SequenceRecord | None:
    subject = Path(files["image"]).name.removesuffix(".gz").removesuffix(".nii")
    if subject in seen:
        text = f"'{subject}' is listed again"
        issues.append(DatasetIssue(LIST, place, "listed twice", text, "loss", "sequence"))
        return None
    seen.add(subject)
    image = _present(root, files["image"])
    if image is None:
        issues.append(
            DatasetIssue(files["image"], place, "missing image", "the listed file does not exist", "loss", "sequence")
        )
        return None
    found = {"image": image}
    if "mask" in files:
        mask = _present(root, files["mask"])
        if mask is None:
            issues.append(
                DatasetIssue(files["mask"], place, "missing mask", "the listed file does not exist", "loss", "mask")
            )
        else:
            found["mask"] = mask
    header = readable_header(root, image, issues, slice_axis)
    if header is None:
        return None
    if header.timepoints != len(task.channels):
        text = f"other channels than {LIST} (found {header.timepoints}, expected {len(task.channels)})"
        issues.append(DatasetIssue(image, "", "channels differ", text, "loss", "sequence"))
        return None
    return volume(root, SequenceRecord(subject, subject, "volume", files=found), [], slice_axis=slice_axis)


def _present(root: Path, name: str) -> str | None:
    """Return the name of the existing file, compressed or not, or None."""
    return next((file for file in (name, name.removesuffix(".gz"), f"{name}.gz") if is_file(root / file)), None)
