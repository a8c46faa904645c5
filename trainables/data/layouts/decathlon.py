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
from trainables.data.layouts.volumes import header_of, read_clip, volume
from trainables.data.readers.tables import is_file, is_inside, whole
from trainables.data.records import GREY, Clip, DatasetIssue, Layout, Pixels, Scan

LIST = "dataset.json"


@dataclass(frozen=True)
class Decathlon(Layout):
    """`dataset.json`, `imagesTr`, `labelsTr`, `imagesTs`; any task. It has no official validation split.

    The masks' classes and the images' channels are those that `dataset.json` names. The images of its test part are
    published without masks, so here they are unlabelled training data.

    Attributes:
        channels: names of the modalities to read ("T2", "ADC"), in this order; None for all.
    """

    title: ClassVar[str] = "Medical Segmentation Decathlon"
    channels: tuple[str, ...] | None = None

    def scan(self, root: Path) -> Scan:
        """List the volumes of `dataset.json`.

        Raises:
            DataError: the list is missing, is not one, or has none of the wanted channels.
        """
        task = read_task(root)
        wanted = self.channels or task.channels
        for name in wanted:
            if name not in task.channels:
                raise DataError(f"{root / LIST}: no modality '{name}'{did_you_mean(name, task.channels)}")
        faults: list[DatasetIssue] = list(task.faults)
        clips: list[Clip] = []
        seen: set[str] = set()
        for place, files in task.entries:
            clip = _clip(root, place, files, len(task.channels), seen, faults)
            if clip is not None:
                clips.append(clip)
        return Scan(tuple(clips), ("background", *task.classes.values()), tuple(faults), wanted)

    def read(self, root: Path, clip: Clip) -> Pixels:
        """Decode a volume, each channel stretched by itself.

        Raises:
            DataError: its image or its mask is unreadable.
        """
        task = read_task(root)
        meaning = {number: index for index, number in enumerate(task.classes, 1)}
        return read_clip(root, clip, meaning, [task.channels.index(name) for name in self.channels or task.channels])


@dataclass(frozen=True)
class Task:
    """What `dataset.json` says.

    Attributes:
        channels: names of the modalities.
        classes: names of the label numbers above 0, in their order.
        entries: each volume's place in the file and its files by role (`image`, perhaps `mask`).
        faults: of the entries that say nothing usable.
    """

    channels: tuple[str, ...]
    classes: Mapping[int, str]
    entries: tuple[tuple[str, Mapping[str, str]], ...]
    faults: tuple[DatasetIssue, ...] = ()


def read_task(root: Path) -> Task:
    """Read `dataset.json`.

    Raises:
        DataError: it is missing, not JSON, or lacks its parts.
    """
    path = root / LIST
    try:
        document = json.loads(path.read_text(encoding="utf-8-sig", errors="replace"))
        json.dumps(document, ensure_ascii=False).encode()  # half a character, which JSON can spell, cannot be written
    except OSError as error:
        raise DataError(f"{path}: {error.strerror or error}, expected a Decathlon task") from None
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: not JSON ({error})") from None
    if not isinstance(document, dict):
        raise DataError(f"{path}: a {type(document).__name__}, expected a mapping with labels and training")
    labels = _numbered(path, document, "labels")
    names = [name for number, name in labels.items() if number]
    if not names or len({*names, "background"}) != len(names) + 1:
        raise DataError(f"{path}, labels: {labels}, expected a name of its own for every number above 0")
    modalities = tuple(_numbered(path, document, "modality").values()) if "modality" in document else GREY
    if len(set(modalities)) != len(modalities):
        raise DataError(f"{path}, modality: {', '.join(modalities)}, expected a name of its own for every channel")
    entries: list[tuple[str, Mapping[str, str]]] = []
    faults: list[DatasetIssue] = []
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
                faults.append(DatasetIssue(LIST, place, kind, text, "damage", "sequence"))
            else:
                entries.append((place, files))
    return Task(modalities, {number: name for number, name in labels.items() if number}, tuple(entries), tuple(faults))


def _numbered(path: Path, document: Mapping[str, Any], part: str) -> dict[int, str]:
    """A mapping from numbers, written as text, to names; sorted by number."""
    values = document.get(part)
    if not isinstance(values, dict) or not values:
        raise DataError(f"{path}, {part}: found {str(values)[:80]}, expected names by number")
    named: dict[int, str] = {}
    for key, name in values.items():
        number = whole(key)
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


def _clip(
    root: Path, place: str, files: Mapping[str, str], channels: int, seen: set[str], faults: list[DatasetIssue]
) -> Clip | None:
    subject = Path(files["image"]).name.removesuffix(".gz").removesuffix(".nii")
    if subject in seen:
        text = f"'{subject}' is listed again"
        faults.append(DatasetIssue(LIST, place, "listed twice", text, "loss", "sequence"))
        return None
    seen.add(subject)
    image = _present(root, files["image"])
    if image is None:
        faults.append(DatasetIssue(files["image"], place, "missing image", "listed, but not there", "loss", "sequence"))
        return None
    found = {"image": image}
    if "mask" in files:
        mask = _present(root, files["mask"])
        if mask is None:
            faults.append(DatasetIssue(files["mask"], place, "missing mask", "listed, but not there", "loss", "mask"))
        else:
            found["mask"] = mask
    header = header_of(root, image, faults)
    if header is None:
        return None
    if header.moments != channels:
        text = f"{header.moments} channels, {LIST} names {channels}"
        faults.append(DatasetIssue(image, "", "channels differ", text, "loss", "sequence"))
        return None
    return volume(root, Clip(subject, subject, "volume", files=found), [])


def _present(root: Path, name: str) -> str | None:
    """The file, which may have been unpacked."""
    return next((file for file in (name, name.removesuffix(".gz"), f"{name}.gz") if is_file(root / file)), None)
