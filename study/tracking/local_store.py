"""The MLflow store of a workspace, one SQLite file: whether it holds a run, and what it says of moved files."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from study.storage.sqlite_url import SQLITE, sqlite_path


def store_holds(uri: str, run_id: str) -> bool:
    """Return True if a store has this run; True for a tracking server, which is not asked.

    Args:
        uri: address of the store or server.
        run_id: MLflow's identifier of a run.
    """
    if not uri.startswith(SQLITE):
        return True
    with _opened(sqlite_path(uri)) as store:
        found = store.execute("select 1 from runs where run_uuid = ?", (run_id,)).fetchone() if store else None
    return found is not None


def move_files(uri: str, files: Path) -> None:
    """Let the experiments of a moved workspace find their files, whose absolute addresses the store holds.

    Args:
        uri: address of the workspace's store; nothing happens for another one.
        files: folder that holds a folder of files for each experiment, by its name.
    """
    if not uri.startswith(SQLITE):
        return
    with _opened(sqlite_path(uri)) as store:
        if store is None:
            return
        for experiment, name, old in store.execute("select experiment_id, name, artifact_location from experiments"):
            new = (files / name).as_uri()
            if old == new or not str(old).endswith(f"/{files.name}/{name}"):
                continue
            _move_models(store, experiment, old, new)
            store.execute("update experiments set artifact_location = ? where experiment_id = ?", (new, experiment))
            store.execute(
                "update runs set artifact_uri = ? || substr(artifact_uri, ?) "
                "where experiment_id = ? and substr(artifact_uri, 1, ?) = ?",
                (new, len(old) + 1, experiment, len(old) + 1, f"{old}/"),
            )


def _move_models(store: sqlite3.Connection, experiment: int, old: str, new: str) -> None:
    """Let the registered models of an experiment's runs find their files, whose absolute addresses the store holds."""
    for column in ("source", "storage_location"):
        store.execute(
            f"update model_versions set {column} = ? || substr({column}, ?) where substr({column}, 1, ?) = ? "
            "and run_id in (select run_uuid from runs where experiment_id = ?)",
            (new, len(old) + 1, len(old) + 1, f"{old}/", experiment),
        )


@contextlib.contextmanager
def no_stray_folder(uri: str) -> Iterator[None]:
    """Remove the empty folder that MLflow makes as it opens a store whose address has escapes, which it does not undo.

    Args:
        uri: address of the store or server.
    """
    stray = Path(uri.removeprefix(SQLITE)).parent
    made = uri.startswith(SQLITE) and stray != sqlite_path(uri).parent and not stray.exists()
    try:
        yield
    finally:
        if made:
            with contextlib.suppress(OSError):  # nothing was made, or somebody else uses it
                os.removedirs(stray)


@contextlib.contextmanager
def _opened(file: Path) -> Iterator[sqlite3.Connection | None]:
    """Yield a connection that is committed at the end; None where there is no store, or one without tables yet."""
    if not file.exists():
        yield None
        return
    with contextlib.closing(sqlite3.connect(file, timeout=10)) as store, store:
        tables = {name for (name,) in store.execute("select name from sqlite_master where type = 'table'")}
        yield store if {"runs", "experiments", "model_versions"} <= tables else None
