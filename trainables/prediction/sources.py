"""Images to segment: files, folders of files and datasets, found without decoding them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from trainables.common.errors import DataError
from trainables.data.layouts import LAYOUTS, layout_name
from trainables.data.layouts.manifest import Manifest
from trainables.data.readers.folders import walk_folders
from trainables.data.records import RGB, Layout, SequenceRecord
from trainables.data.settings import DataSettings
from trainables.data.store.guard import list_dataset
from trainables.prediction.preprocessing import Preprocessing

_DOUBLE = (".nii.gz",)
_NOT_REGULAR = "not a regular file"


@dataclass(frozen=True)
class ImageSource:
    """An image to segment: one file, one folder of slices, or one sequence of a dataset.

    Attributes:
        name: its path relative to what the user gave; unique.
        output: path of its results without their suffix, relative to the output folder; unique.
        path: the file that its geometry comes from; a folder for a folder of slices.
        layout: layout that reads it.
        root: folder that the records' files are relative to.
        records: the dataset's record of the sequence; empty for a file, whose records are listed when it is read.
    """

    name: str
    output: str
    path: Path
    layout: Layout
    root: Path
    records: tuple[SequenceRecord, ...] = ()


@dataclass(frozen=True)
class FoundSources:
    """Images that the user's arguments name.

    Attributes:
        sources: the images, in the order of the arguments and by name.
        unusable: problem of each listed sequence of a dataset, or file of a known type, that cannot be read, by file.
        ignored: number of other files in the folders.
    """

    sources: tuple[ImageSource, ...]
    unusable: tuple[tuple[str, str], ...] = ()
    ignored: int = 0


def find_sources(
    arguments: Sequence[str],
    data: DataSettings,
    preprocessing: Preprocessing,
    *,
    time: bool = False,
    given: Mapping[str, Layout] | None = None,
) -> FoundSources:
    """Return the images that arguments name, without decoding them.

    A file is read by the layout of the study's dataset if that has files of its type, else as one of a manifest.

    Args:
        arguments: files, folders, and datasets as `LAYOUT=PATH`.
        data: settings of the dataset that the networks were trained on.
        preprocessing: the networks' input.
        time: the networks were trained on frames over time, so that the third axis of a file read as one of a manifest
            is time.
        given: layouts of datasets by name, in place of the study's and of the defaults.

    Raises:
        DataError: an argument does not exist or has no images, or two images have one name.
    """
    manifest = Manifest(time=time, channels="rgb" if preprocessing.channels == RGB else "grey")
    layouts = (data.layout, manifest)
    known = {layout_name(each): each for each in (manifest, data.layout)} | dict(given or {})
    sources: list[ImageSource] = []
    unusable: list[tuple[str, str]] = []
    ignored = 0
    for argument in arguments:
        layout, _, folder = argument.partition("=")
        path = Path(argument).expanduser()
        if layout in LAYOUTS and folder and not path.exists():
            chosen = known[layout] if layout in known else LAYOUTS[layout]()
            found = _of_dataset(chosen, Path(folder).expanduser(), data, unusable)
        else:
            found, others = _below(path, layouts, unusable)
            ignored += others
        if not found and not unusable:
            raise DataError(f"{argument}: no image. Fix: name image files, folders of them, or datasets (LAYOUT=PATH)")
        sources.extend(found)
    return FoundSources(_distinct(sources), tuple(unusable), ignored)


def _below(path: Path, layouts: Sequence[Layout], unusable: list[tuple[str, str]]) -> tuple[list[ImageSource], int]:
    """Return the images of a file or folder, and the number of its other files; append what cannot be read."""
    path = path.absolute()
    whole = _taken(path, path.name, layouts)
    if whole is not None:
        return [whole], 0
    if path.is_file():
        known = ", ".join(dict.fromkeys(suffix for layout in layouts for suffix in layout.suffixes))
        raise DataError(f"{path}: unsupported file type (found {path.suffix or 'no suffix'}, expected {known})")
    if path.exists() and not path.is_dir():
        raise DataError(f"{path}: {_NOT_REGULAR}")
    if not path.is_dir():
        raise DataError(f"{path}: no such file or folder, nor a dataset (LAYOUT=PATH with one of {', '.join(LAYOUTS)})")
    found: list[ImageSource] = []
    others = 0
    for folder in walk_folders(path):
        stack = _taken(path / folder.name, folder.name, layouts) if folder.name else None
        if stack is not None:
            found.append(stack)
            continue
        for entry in folder.entries:
            file, name = Path(entry.path), (PurePosixPath(folder.name) / entry.name).as_posix()
            source = _taken(file, name, layouts)
            if source is not None:
                found.append(source)
            elif not file.is_file() and _has_suffix(file, layouts):
                unusable.append(
                    (name, "a link to nothing" if file.is_symlink() and not file.exists() else _NOT_REGULAR)
                )
            else:
                others += 1
    return found, others


def _taken(path: Path, name: str, layouts: Sequence[Layout]) -> ImageSource | None:
    """Return the image at a path, read by the first layout that takes it, or None."""
    layout = next((each for each in layouts if each.takes(path)), None)
    return ImageSource(name, "", path, layout, path.parent) if layout is not None else None


def _has_suffix(path: Path, layouts: Sequence[Layout]) -> bool:
    return any(path.name.lower().endswith(suffix) for layout in layouts for suffix in layout.suffixes)


def _of_dataset(layout: Layout, root: Path, data: DataSettings, unusable: list[tuple[str, str]]) -> list[ImageSource]:
    """Return the sequences of a dataset; of the study's own layout, in its views."""
    own = type(layout) is type(data.layout)
    listing = list_dataset(replace(data, layout=layout), root.absolute())
    unusable.extend((issue.file, issue.message) for issue in listing.issues if issue.skipped == "sequence")
    views = data.views if own and data.views is not None else {record.view for record in listing.records}
    records = sorted((r for r in listing.records if r.view in views), key=lambda r: (r.subject, r.view, r.sequence))
    files = Counter(_main_file(record) for record in records)
    found = []
    for record in records:
        file = _main_file(record)
        part = f"_{record.timepoint}" if files[file] > 1 else ""
        path = root.absolute() / file
        found.append(ImageSource(file + part, "", path, layout, root.absolute(), (_without_masks(record),)))
    return found


def _without_masks(record: SequenceRecord) -> SequenceRecord:
    """Return a sequence as if it were unlabelled, so that its masks are not read."""
    files = {role: file for role, file in record.files.items() if not role.startswith("mask")}
    return replace(record, labelled={}, outlines={}, files=files)


def _main_file(record: SequenceRecord) -> str:
    """Return the file that a sequence's results are named after."""
    roles = ("image", "sequence", "video", "ED")
    return next((record.files[role] for role in roles if role in record.files), next(iter(record.files.values())))


def _distinct(sources: Sequence[ImageSource]) -> tuple[ImageSource, ...]:
    """Return the images with their outputs: the name without suffix, or with it where several would be equal."""
    stems = Counter(without_suffix(source.name) for source in sources)
    names = Counter(source.name for source in sources)
    for name, count in names.items():
        if count > 1:
            raise DataError(f"{name}: the name of {count} images. Fix: give their common folder, or predict them apart")
    return tuple(_with_output(source, stems) for source in sources)


def _with_output(source: ImageSource, stems: Counter[str]) -> ImageSource:
    stem = without_suffix(source.name)
    return replace(source, output=stem if stems[stem] == 1 else source.name)


def without_suffix(name: str) -> str:
    """Return a path without the suffix of its file type.

    Example:
        >>> without_suffix("a/b.nii.gz"), without_suffix("a/b.png"), without_suffix("a/b.c_3")
        ('a/b', 'a/b', 'a/b.c_3')
    """
    return next((name[: -len(end)] for end in _ends() if name.lower().endswith(end)), name)


def _ends() -> Iterator[str]:
    yield from (*_DOUBLE, *Manifest.suffixes)
