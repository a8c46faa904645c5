"""Preparation of a dataset: decoded once into a frame store, atomically, by one process while others wait."""

from __future__ import annotations

import dataclasses
import fcntl
import hashlib
import hmac
import json
import multiprocessing
import shutil
from collections.abc import Callable
from pathlib import Path

from trainables.common.added import digested
from trainables.common.errors import DataError, UserError
from trainables.common.plugin_code import code_of
from trainables.data.layouts import layout_name
from trainables.data.records import Progress
from trainables.data.settings import DataSettings
from trainables.data.store.build import build_store
from trainables.data.store.dataset_files import dataset_files
from trainables.data.store.frames import STORE_VERSION, FrameStore
from trainables.data.store.integrity import require_folder
from trainables.data.store.parallel import ProcessDied
from trainables.phantom import PHANTOMS, PhantomSettings, phantom_form
from trainables.phantom.settings import PHANTOM_VERSION


def prepare(
    settings: DataSettings,
    root: Path | None,
    storage: Path,
    key: bytes,
    progress: Progress | None = None,
    *,
    workers: int | None = None,
) -> FrameStore:
    """Open the frame store of a dataset, building it first where `storage` has none for these settings.

    Args:
        settings: the dataset's settings.
        root: the dataset's folder, or None for `settings.path` or the phantom.
        storage: folder of all stores and generated phantoms.
        key: secret under which the subjects' identifiers are hashed.
        progress: callback after each step; None for none.
        workers: number of decoding processes; None chooses by the amount of work.

    Raises:
        DataError: the dataset is missing, damaged, or loses more data than its settings tolerate, or its frame store
            has changed since it was written.
    """
    root = dataset_root(settings, root, storage, progress)
    folder = store_folder(settings, root, storage, key)
    _build_once(folder, lambda part: build_store(root, settings, key, part, progress=progress, workers=workers))
    store = FrameStore.open(folder)
    store.verify()
    return store


def store_folder(settings: DataSettings, root: Path, storage: Path, key: bytes) -> Path:
    """Return the folder of a dataset's frame store, which may not exist yet.

    Args:
        settings: the dataset's settings.
        root: the dataset's folder.
        storage: folder of all stores and generated phantoms.
        key: secret under which the subjects' identifiers are hashed.

    Raises:
        DataError: the dataset's folder has a link or a special file that its settings refuse.
    """
    return storage / "frames" / f"{layout_name(settings.layout)}-{_digest(settings, root, key)}"


def dataset_root(settings: DataSettings, root: Path | None, storage: Path, progress: Progress | None = None) -> Path:
    """Return the folder of the raw dataset; generate a phantom under `storage` where it does not exist yet.

    Raises:
        DataError: the folder does not exist, neither a folder nor a phantom is set, or the layout has no phantom.
    """
    phantom = settings.phantom
    if root is not None or phantom is None:
        return dataset_folder(settings, root)
    form = phantom_form(settings.layout, phantom.form)
    folder = _phantom_folder(form, phantom, storage)
    _build_once(folder, lambda part: PHANTOMS[form].write(part, phantom, progress), resume=False)
    return folder


def existing_store(settings: DataSettings, storage: Path, key: bytes) -> FrameStore | None:
    """Open the frame store of a dataset if it has been prepared before, without verifying its files.

    Args:
        settings: the dataset's settings.
        storage: folder of all stores and generated phantoms.
        key: secret under which the subjects' identifiers are hashed.
    """
    phantom = settings.phantom
    try:
        if phantom is not None:
            root = _phantom_folder(phantom_form(settings.layout, phantom.form), phantom, storage)
        else:
            root = dataset_folder(settings)
        if not root.exists():
            return None
        folder = store_folder(settings, root, storage, key)
        return FrameStore.open(folder) if folder.exists() else None
    except DataError:
        return None


def _phantom_folder(form: str, phantom: PhantomSettings, storage: Path) -> Path:
    stated = [PHANTOM_VERSION, dataclasses.asdict(phantom)]
    digest = hashlib.sha256(json.dumps(stated, sort_keys=True).encode()).hexdigest()[:12]
    return storage / "phantom" / f"{form}-{digest}"


def dataset_folder(settings: DataSettings, root: Path | None = None) -> Path:
    """Return the folder of a dataset that is not a phantom.

    Args:
        settings: the dataset's settings.
        root: the folder; None for `settings.path`.

    Raises:
        DataError: no folder is set, or it does not exist.
    """
    if root is None and settings.path is None:
        raise DataError(
            f"dataset '{settings.layout.title}': no folder. Fix: set its `path`, or a `phantom` to generate"
        )
    folder = root or Path(settings.path or "").expanduser()
    require_folder(folder, settings.layout.title)
    return folder


def _digest(settings: DataSettings, root: Path, key: bytes) -> str:
    """Return the store's name: a hash of the settings, the state of the dataset's files and the key."""
    chosen = dataclasses.asdict(settings)
    for unread in ("path", "phantom", "links"):  # none of them changes the frames
        del chosen[unread]
    chosen["layout"] = [layout_name(settings.layout), digested(settings.layout)]
    if (code := code_of(type(settings.layout))) is not None:
        chosen["code"] = code
    state = hashlib.sha256(json.dumps([STORE_VERSION, chosen], sort_keys=True).encode())
    state.update(hmac.digest(key, b"frame store", "sha256"))
    for line in dataset_files(root, settings.links).state:
        state.update(line.encode(errors="surrogateescape"))
    return state.hexdigest()[:16]


def _build_once(folder: Path, make: Callable[[Path], None], *, resume: bool = True) -> None:
    """Create `folder` by `make` unless it exists; other processes that need it wait on a lock.

    With `resume`, `make` receives the partial folder that a killed process left.
    """
    if folder.exists():
        return
    if getattr(multiprocessing.current_process(), "_inheriting", False):
        # A decoding process that imports its parent's script would wait here forever, for its parent.
        raise RuntimeError(
            'data prepared at import time of a script. Fix: prepare it under `if __name__ == "__main__":`'
        )
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (folder.parent / f".{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if folder.exists():
            return
        part = folder.parent / f".{folder.name}.part"
        if not resume:
            shutil.rmtree(part, ignore_errors=True)  # safe, as this process holds the lock
        part.mkdir(exist_ok=True)
        try:
            make(part)
        except ProcessDied:
            raise  # the next attempt goes on from here
        except UserError:
            shutil.rmtree(part, ignore_errors=True)  # a retry would fail the same way
            raise
        part.rename(folder)
