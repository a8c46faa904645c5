"""Masks of a manifest's sequences: files of label numbers, or a file for each structure, merged to one mask."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from trainables.common.errors import DataError
from trainables.data.layouts.alignment import align_picture
from trainables.data.layouts.labels import negative, to_classes
from trainables.data.layouts.manifest_classes import ManifestClasses
from trainables.data.readers.pictures import Picture, read_picture
from trainables.data.records import DatasetIssue, SequenceRecord

_ROLE = "mask"


@dataclass(frozen=True)
class MaskFile:
    """A mask file of a sequence.

    Attributes:
        file: path relative to the dataset's folder.
        structure: class index of the structure that the file shows; 0 for a file of label numbers.
    """

    file: str
    structure: int


def mask_roles(masks: Mapping[int, tuple[str, ...]], frame: int | None) -> dict[str, str]:
    """Return the roles of mask files in `SequenceRecord.files`.

    Args:
        masks: files by the class index of their structure; 0 for files of label numbers.
        frame: frame that the masks belong to; None for masks of all frames.
    """
    roles = {}
    for structure, files in masks.items():
        for number, file in enumerate(files):
            name = "".join((_ROLE, f":{structure}" if structure else "", f"#{number}" if number else ""))
            roles[name if frame is None else f"{name}/{frame:06d}"] = file
    return roles


def mask_files(record: SequenceRecord) -> dict[int | None, list[MaskFile]]:
    """Return the mask files of a sequence by frame, in the order of its roles; None for masks of all frames."""
    found: dict[int | None, list[MaskFile]] = defaultdict(list)
    for role, file in record.files.items():
        name, _, frame = role.partition("/")
        kind, _, structure = name.partition("#")[0].partition(":")
        if kind == _ROLE:
            found[int(frame) if frame else None].append(MaskFile(file, int(structure or 0)))
    return found


@dataclass(frozen=True)
class MaskReader:
    """Reader of the masks of one sequence.

    Attributes:
        root: the dataset's folder.
        classes: contents of `classes.csv`.
        image: the sequence's images.
        slice_axis: axis of a volume file's slices, from 0; None to choose it by `choose_slice_axis`.
        time: True where the slices of volume files are frames over time.
        issues: issues that were found.
    """

    root: Path
    classes: ManifestClasses
    image: Picture
    slice_axis: int | None = None
    time: bool = False
    issues: list[DatasetIssue] = field(default_factory=list)

    def masks(self, record: SequenceRecord) -> dict[int, np.ndarray]:
        """Return the uint8 class indices `(H, W)` of each frame that has a usable mask."""
        found = mask_files(record)
        order = sorted(found, key=lambda frame: -1 if frame is None else frame)  # masks of one frame replace
        return {frame: mask for where in order for frame, mask in self._of(where, found[where])}

    def _of(self, frame: int | None, files: list[MaskFile]) -> Iterator[tuple[int, np.ndarray]]:
        """Yield the frames and masks that files of one frame, or of all frames, hold."""
        count = len(self.image.images)
        if frame is not None and frame >= count:
            text = f"mask of frame {frame}, but the image has {count} frames (from 0)"
            self.issues.append(DatasetIssue(files[0].file, "", "traced frame past the end", text, "loss", "mask"))
            return
        parts = [self._part(each, frame) for each in files]
        known = [part for part in parts if part is not None]
        if len(known) < len(parts):
            return  # without one of its structures, a mask would call it background
        merged = self._merged(files, known)
        if not merged.any():
            self.issues.append(negative(files[0].file))
        yield from enumerate(merged) if frame is None else [(frame, merged[0])]

    def _part(self, mask: MaskFile, frame: int | None) -> np.ndarray | None:
        """Return a file's class indices `(T, H, W)` or `(1, H, W)`; None, with an issue, where it cannot be used."""
        try:
            return self._read(mask, frame)
        except DataError as error:  # the image is sound, and can be pretrained on
            text = str(error).removeprefix(f"{self.root / mask.file}: ")
            self.issues.append(DatasetIssue(mask.file, "", "unreadable mask", text, "damage", "mask"))
            return None

    def _read(self, mask: MaskFile, frame: int | None) -> np.ndarray | None:
        """Return what `_part` does.

        Raises:
            DataError: the file is damaged, or holds something else than a mask.
        """
        legend = self.classes.legend if not mask.structure else None
        picture = read_picture(self.root / mask.file, labels=True, legend=legend, slice_axis=self.slice_axis)
        labels, issues = align_picture(picture, self.image, mask.file, frame, time=self.time)
        self.issues.extend(issues)
        if labels is None:
            return None
        shape = self.image.shape
        if frame is not None:
            labels = labels[frame : frame + 1] if labels.shape[0] == shape[0] > 1 else labels
            shape = (1, *shape[1:])
        meaning = self.classes.indices
        if mask.structure:
            meaning = self._binary(mask, labels)
        found, issue = to_classes(labels, shape, meaning, mask.file, negatives=True)
        if found is None and issue is not None:
            self.issues.append(issue)
        return found

    def _binary(self, mask: MaskFile, labels: np.ndarray) -> dict[int, int]:
        """Return the meaning of the numbers of a mask of one structure: the only one above 0.

        Raises:
            DataError: there are several.
        """
        found = np.unique(labels)
        marks = found[found != 0].tolist()
        if len(marks) > 1:
            text = f"several label numbers (found {', '.join(map(str, marks[:8]))}, expected one above 0: the file is "
            raise DataError(f"{self.root / mask.file}: {text}listed as the mask of one structure)")
        return dict.fromkeys(marks, mask.structure)

    def _merged(self, files: list[MaskFile], parts: list[np.ndarray]) -> np.ndarray:
        """Merge the class indices of several files; where they overlap, the later file counts."""
        merged = parts[0]
        for mask, part in zip(files[1:], parts[1:], strict=True):
            drawn = part > 0
            both = int((drawn & (merged > 0) & (merged != part)).sum())
            if both:
                text = f"{both} pixels lie in another structure's mask, too; here they belong to this one"
                self.issues.append(DatasetIssue(mask.file, "", "structures overlap", text))
            merged = np.where(drawn, part, merged)
        return merged
