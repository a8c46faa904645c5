"""Walk over a dataset's folder that follows symbolic links and visits every folder once, so that loops end."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple


class Folder(NamedTuple):
    """One visited folder.

    Attributes:
        name: path relative to the walk's root, "" for the root itself.
        entries: its entries that are not folders, sorted by name: files, links to files, FIFOs, sockets, devices.
        links: its links, to files and to folders, relative to the walk's root.
        repeated: first path of each linked folder that was visited before, by its path here; both relative to the root.
    """

    name: str
    entries: Sequence[os.DirEntry[str]]
    links: Sequence[str]
    repeated: Mapping[str, str]


def walk_folders(root: Path) -> Iterator[Folder]:
    """Yield every folder at or below `root` once, parents first and siblings by name.

    A linked folder is visited as if it were there, unless it was visited before. Folders that cannot be listed are
    skipped.
    """
    seen: dict[tuple[int, int], str] = {_identity(os.fspath(root)): ""}
    waiting = [""]
    while waiting:
        name = waiting.pop()
        entries: list[os.DirEntry[str]] = []
        links: list[str] = []
        below: list[str] = []
        repeated: dict[str, str] = {}
        for entry in _listing(root, name):
            path = f"{name}/{entry.name}" if name else entry.name
            if entry.is_symlink():
                links.append(path)
            if not _is_folder(entry):
                entries.append(entry)
                continue
            first = seen.setdefault(_identity(entry.path), path)
            if first == path:
                below.append(path)
            else:
                repeated[path] = first
        yield Folder(name, entries, links, repeated)
        waiting.extend(reversed(below))


def walk_files(root: Path) -> Iterator[Path]:
    """Yield the regular files at or below `root`, links followed, in the order of `walk_folders`."""
    for folder in walk_folders(root):
        for entry in folder.entries:
            if os.path.isfile(entry.path):  # noqa: PTH113 - False, too, for a link to itself
                yield Path(entry.path)


def _listing(root: Path, name: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(os.path.join(root, name)) as entries:  # noqa: PTH118 - over all folders of a dataset
            return sorted(entries, key=lambda entry: entry.name)
    except OSError:
        return []


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def _identity(path: str) -> tuple[int, int]:
    status = os.stat(path)  # noqa: PTH116
    return status.st_dev, status.st_ino
