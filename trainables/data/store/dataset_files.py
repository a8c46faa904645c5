"""State of a dataset's files, and the rule for its symbolic links and special files."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from trainables.common.errors import DataError
from trainables.data.readers.folders import Folder, walk_folders
from trainables.data.records import DatasetIssue

Links = Literal["follow", "inside"]

_SHOWN = 3
_SPECIAL = {stat.S_IFIFO: "a FIFO", stat.S_IFSOCK: "a socket", stat.S_IFCHR: "a device", stat.S_IFBLK: "a device"}


@dataclass(frozen=True)
class DatasetFiles:
    """Files below a dataset's folder, linked folders included.

    Attributes:
        state: lines with relative path, size in bytes and modification time in ns of each file, sorted; another state
            is another dataset.
        outside: target of each link that leads out of the dataset's folder, by the link's relative path.
    """

    state: tuple[str, ...]
    outside: Mapping[str, str]

    def issues(self) -> list[DatasetIssue]:
        """Return a note of the links that lead out of the folder, so that `check` shows what is read through them."""
        if not self.outside:
            return []
        name, target = next(iter(self.outside.items()))
        found = "it is followed" if os.path.exists(target) else "there is no such file"  # noqa: PTH110
        text = f"a link that leads out of the dataset's folder, to {target}; {found}"
        if len(self.outside) > 1:
            text += f" (found {len(self.outside)} such links)"
        return [DatasetIssue(name, "", "link out of the dataset", text)]


def dataset_files(root: Path, links: Links) -> DatasetFiles:
    """Return the state of a dataset's files.

    Args:
        root: the dataset's folder.
        links: "follow" reads what links lead to, wherever it is; "inside" refuses links that lead out of `root`.

    Raises:
        DataError: the folder has a FIFO, socket or device, which a reader would wait for, or a link that `links`
            refuses.
    """
    state: list[str] = []
    outside: dict[str, str] = {}
    special: dict[str, str] = {}
    top = os.path.realpath(root)
    for folder in walk_folders(root):
        _add(folder, state, special)
        for link in folder.links:
            target = os.path.realpath(os.path.join(root, link))  # noqa: PTH118
            if target != top and not target.startswith(top.rstrip(os.sep) + os.sep):
                outside[link] = target
    if special:
        found = ", ".join(f"{kind} at {name}" for name, kind in list(special.items())[:_SHOWN])
        raise DataError(f"{root}: expected regular files only (found {_more(found, special)}). Fix: remove it")
    if outside and links == "inside":
        found = ", ".join(f"{name} -> {target}" for name, target in list(outside.items())[:_SHOWN])
        raise DataError(
            f"{root}: a link leads out of the dataset's folder (found {_more(found, outside)}). "
            "Fix: copy the files, or set `links: follow`"
        )
    return DatasetFiles(tuple(sorted(state)), outside)


def _add(folder: Folder, state: list[str], special: dict[str, str]) -> None:
    """Append the lines of a folder's files to `state`, and its special files to `special`."""
    for entry in folder.entries:
        try:
            status = entry.stat()
        except OSError:  # a dangling link is no file; the layout says what is missing
            continue
        name = f"{folder.name}/{entry.name}" if folder.name else entry.name
        if stat.S_ISREG(status.st_mode):
            state.append(f"{name}\0{status.st_size}\0{status.st_mtime_ns}\n")
        else:
            special[name] = _SPECIAL.get(stat.S_IFMT(status.st_mode), "a special file")
    state.extend(f"{name}\0->\0{first}\n" for name, first in folder.repeated.items())


def _more(found: str, every: Mapping[str, str]) -> str:
    return found + (f" and {len(every) - _SHOWN} more" if len(every) > _SHOWN else "")
