"""Subjects of images by their paths: a folder for each patient, or the first part of the file's name."""

from __future__ import annotations

import itertools
import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from trainables.common.errors import UserError
from trainables.data.proposal.file_names import FileName, compile_pattern

_FEW = 5  # fewer folders than this are sites or classes rather than patients
_FRAME = "frame|slice|img|image|im|time|t|z|f|view"
_TAIL = re.compile(rf"^(?P<head>.*?)[_\-\s.]+(?:(?:{_FRAME})[_\-\s]*)?\d+$", re.IGNORECASE)
_COUNTED = re.compile(r"(?P<word>frame|slice|time|t|z|f)[_\-\s.]*\d+", re.IGNORECASE)
_SEPARATORS = re.compile(r"[_\-\s.]+")
_WORDS = (
    "od|os|ed|es|[2-5]ch|a[2-5]c|plax|psax|sax|lax|left|right|sagittal|coronal|axial|transverse|longitudinal|long|trans"
)
_NAMED = re.compile(rf"^(?P<head>.*?)[_\-\s.]+(?:{_WORDS})$", re.IGNORECASE)


@dataclass(frozen=True)
class Subjects:
    """Subject of every image.

    Attributes:
        names: subject by the image's path.
        rule: the part of the path that names it, in words.
        notes: doubts about it that a user should decide, each a sentence.
    """

    names: dict[str, str]
    rule: str
    notes: tuple[str, ...] = ()


def subjects_by_pattern(files: Sequence[FileName], pattern: str) -> Subjects:
    """Return the subjects that a regular expression finds in the images' paths.

    Args:
        files: the image files.
        pattern: regular expression, searched in each path; its group `subject`, or its first group, or all of it.

    Raises:
        UserError: it is none, or a path does not match.
    """
    expression = compile_pattern("--subject-pattern", pattern)
    group: str | int = "subject" if "subject" in expression.groupindex else min(1, expression.groups)
    names = {}
    for file in files:
        found = expression.search(file.path)
        if found is None or not found[group]:
            raise UserError(f"--subject-pattern '{pattern}': no match in '{file.path}'. Fix: make it match every image")
        names[file.path] = found[group]
    return Subjects(names, f"what '{pattern}' finds in the path")


def propose_subjects(files: Sequence[FileName]) -> Subjects:
    """Propose the subject of every image.

    Folders whose names all have a digit are patients: the outermost ones of which there are at least five, else those
    of which there are most. Without them, a file's name without the number or word of its frame is a patient, if others
    have frames of the same numbers; else each file is its own. Folders that all images share are no part of the names.
    """
    shared = _shared_depth(files)
    files = [replace(file, folders=file.folders[shared:]) for file in files]
    depth = _patient_depth(files)
    if depth is not None:
        names = {file.path: "/".join(file.folders[: depth + 1]) for file in files}
        return Subjects(names, "the folder", _few(names))
    without = _without_frames(files)
    if without is not None:
        return Subjects(without, "the file's name without the end that counts frames or names views", _few(without))
    splits: dict[str, set[str | None]] = defaultdict(set)
    for file in files:
        splits[_joined(file, file.stem)].add(file.split)
    counted = any(len(found) > 1 for found in splits.values())  # file names start anew in each split's folder
    names = {}
    for file in files:
        name = _joined(file, file.stem)
        names[file.path] = f"{file.split}/{name}" if counted and file.split else name
    rule = "the split's folder and the file's name" if counted else "the file's name"
    return Subjects(names, rule, _recurring(files))


def _few(names: Mapping[str, str]) -> tuple[str, ...]:
    """Return a doubt where so few subjects have images that they may be visits, sites or dates."""
    count = len(set(names.values()))
    if count >= _FEW or len(names) < 2 * _FEW:
        return ()
    return (f"only {count} subjects have {len(names)} images. Fix: if they are no patients, set --subject-pattern",)


def _recurring(files: Sequence[FileName]) -> tuple[str, ...]:
    """Return a doubt where most names share a part that has a digit with other names of their folder: the patient?"""
    names = {(file.split, file.folders, file.stem) for file in files}  # channels of one image have one name
    counts: Counter[tuple[object, int, str]] = Counter()
    for split, folders, stem in names:
        for place, part in enumerate(_SEPARATORS.split(stem)):
            if any(letter.isdigit() for letter in part):
                counts[(split, folders), place, part] += 1
    repeated: dict[int, dict[tuple[object, str], int]] = defaultdict(dict)
    for (folder, place, part), count in counts.items():
        if count > 1:
            repeated[place][folder, part] = count
    found = max(repeated.values(), key=len, default={})
    if len(found) < 3 or sum(found.values()) * 2 <= len(names):
        return _counted(files)
    (_, part), count = max(found.items(), key=lambda item: item[1])
    text = f"'{part}' is part of {count} names, and others recur like it"
    return (f"{text}. Fix: if such parts are patients, set --subject-pattern",)


def _counted(files: Sequence[FileName]) -> tuple[str, ...]:
    """Return a doubt where all names are one word of a part of a recording and a number: one patient's frames?"""
    words = {found["word"].lower() for file in files if (found := _COUNTED.fullmatch(file.stem))}
    if len(words) != 1 or not all(_COUNTED.fullmatch(file.stem) for file in files) or len(files) < 2:
        return ()
    (word,) = words
    return (f"all names are '{word}' and a number. Fix: if they are of one patient or few, set --subject-pattern",)


def _shared_depth(files: Sequence[FileName]) -> int:
    """Return the number of outer folders that are the same for all files."""
    levels = zip(*(file.folders for file in files), strict=False)
    return sum(1 for _ in itertools.takewhile(lambda names: len(set(names)) == 1, levels))


def _without_frames(files: Sequence[FileName]) -> dict[str, str] | None:
    """Return each file's subject as its name without the frame; None where names do not end with one.

    Frames are told by ends that several subjects share, and subjects of several files.
    """
    heads = {file.path: _head(file.stem) for file in files}
    owners: dict[str, set[str]] = defaultdict(set)
    stems: dict[str, set[str]] = defaultdict(set)
    for file in files:
        subject = _joined(file, heads[file.path])
        owners[file.stem.removeprefix(heads[file.path])].add(subject)
        stems[subject].add(file.stem)
    shared = sum(len(owners[file.stem.removeprefix(heads[file.path])]) > 1 for file in files)
    if len(stems) < 2 or max(map(len, stems.values())) < 2 or shared * 2 <= len(files):
        return None
    return {file.path: _joined(file, heads[file.path]) for file in files}


def _patient_depth(files: Sequence[FileName]) -> int | None:
    """Return the place of the folder that names the patient, from the outermost; None where there is none."""
    counts: dict[int, int] = {}
    for depth in range(min((len(file.folders) for file in files), default=0)):
        names = {file.folders[: depth + 1] for file in files}
        if len(names) > 1 and all(any(letter.isdigit() for letter in name[-1]) for name in names):
            counts[depth] = len(names)
    many = (depth for depth, count in counts.items() if count >= _FEW)
    return next(many, max(counts, key=lambda depth: counts[depth], default=None))


def _head(stem: str) -> str:
    """Return a file's stem without the words and the number of its frame, as long as a digit is left."""
    head = stem
    while found := _NAMED.match(head) or _TAIL.match(head):
        if not any(letter.isdigit() for letter in found["head"]):
            break
        head = found["head"]
    return head


def _joined(file: FileName, name: str) -> str:
    return "/".join((*file.folders, name))
