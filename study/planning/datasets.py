"""Datasets as the plan refers to them: the folder and fingerprint of a frame store."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from study.config.plain import plain
from study.storage.artifacts import digest
from study.storage.workspace import Workspace
from trainables.data.settings import DataSettings
from trainables.data.store.prepare import existing_store


@dataclass(frozen=True)
class Dataset:
    """A frame store that jobs read.

    Attributes:
        folder: folder of the frame store; empty if it does not exist yet.
        fingerprint: hash of the frames, part of the digest of every job that reads them.
    """

    folder: str
    fingerprint: str


Datasets = Callable[[DataSettings], Dataset]
"""Function that returns the frame store of a dataset's settings."""


def unprepared(settings: DataSettings) -> Dataset:
    """Return a placeholder for a dataset that is not decoded yet, so that a study can be planned without its data."""
    return Dataset("", f"unprepared-{digest({'data': plain(settings)})}")


def prepared_in(workspace: Workspace) -> Datasets:
    """Return a function that finds the frame stores of a workspace; datasets without one get a placeholder."""
    key = workspace.subject_key() if workspace.key_file.exists() else None

    def find(settings: DataSettings) -> Dataset:
        store = existing_store(settings, workspace.data, key) if key is not None else None
        return unprepared(settings) if store is None else Dataset(str(store.folder), store.fingerprint)

    return found_once(find)


def found_once(find: Datasets) -> Datasets:
    """Return a function that asks `find` once for each settings object: thousands of cells share a few of them."""
    known: dict[int, tuple[DataSettings, Dataset]] = {}

    def look_up(settings: DataSettings) -> Dataset:
        if id(settings) not in known:
            known[id(settings)] = (settings, find(settings))  # kept alive, so that no other object gets its id
        return known[id(settings)][1]

    return look_up
