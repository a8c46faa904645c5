"""Checkpoints of a training run: checksummed files, written in a background thread, at most every few seconds."""

from __future__ import annotations

import hashlib
import io
import logging
import time
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import torch

from trainables.common.background import run_in_background
from trainables.common.errors import CheckpointError
from trainables.common.files import atomic_writer

log = logging.getLogger(__name__)

_HEADER = b"sha256:"
_HEADER_SIZE = len(_HEADER) + 64 + 1


class Checkpoints:
    """The two newest checkpoints of a run in one folder, written by a background thread.

    Args:
        folder: directory that holds `checkpoint.pt` and `checkpoint.previous.pt`; created when first needed.
    """

    def __init__(self, folder: Path) -> None:
        self._newest = folder / "checkpoint.pt"
        self._previous = folder / "checkpoint.previous.pt"
        self._writing: Future[None] | None = None

    def save(self, state: dict[str, Any], on_saved: Callable[[], None] = lambda: None) -> None:
        """Serialize `state` and start to write it as the newest checkpoint; the former newest becomes the previous.

        Args:
            state: tensors and plain values; it may change as soon as this method returns.
            on_saved: called by the background thread once the file is on disk.

        Raises:
            OSError: the checkpoint before this one could not be written.
        """
        content = _serialize(state)
        self.flush()
        self._writing = run_in_background("checkpoint", self._write, content, on_saved)

    def flush(self) -> None:
        """Wait until the last saved checkpoint is on disk.

        Raises:
            OSError: it could not be written.
        """
        writing, self._writing = self._writing, None
        if writing is not None:
            writing.result()

    def _write(self, content: memoryview, on_saved: Callable[[], None]) -> None:
        if self._newest.exists():
            self._newest.replace(self._previous)
        _write_content(self._newest, content)
        on_saved()

    def load(self) -> dict[str, Any] | None:
        """Return the newest checkpoint whose checksum holds, its tensors on the CPU, or None if there is none."""
        self.flush()
        for path in (self._newest, self._previous):
            if not path.exists():
                continue
            try:
                return load_tensors(path)
            except CheckpointError as error:
                log.warning("%s; falling back to the previous checkpoint", error)
        return None

    def clear(self) -> None:
        """Remove both checkpoint files, if they exist."""
        self._newest.unlink(missing_ok=True)
        self._previous.unlink(missing_ok=True)


class PeriodicCheckpoint:
    """A run's checkpoint, saved at most once every few seconds.

    Serializing the state blocks training, so a save that comes too soon after the last one is skipped.

    Args:
        folder: directory of the checkpoint files; None saves nothing.
        save_every: least number of seconds between two saves that are not forced; 0 saves each time.
        on_saved: called by the background thread after each checkpoint that is on disk.
        clock: monotonic time in seconds; tests pass a fake one.

    Example:
        >>> import tempfile
        >>> checkpoint = PeriodicCheckpoint(Path(tempfile.mkdtemp()), save_every=0)
        >>> checkpoint.save(lambda: {"epoch": 3})
        True
        >>> checkpoint.load()
        {'epoch': 3}
    """

    def __init__(
        self,
        folder: Path | None,
        save_every: float = 15.0,
        on_saved: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._checkpoints = Checkpoints(folder) if folder is not None else None
        self._save_every, self._on_saved = save_every, on_saved
        self._clock, self._saved_at = clock, clock()

    def load(self) -> dict[str, Any] | None:
        """Return the newest undamaged state, its tensors on the CPU, or None if nothing was saved."""
        return self._checkpoints.load() if self._checkpoints is not None else None

    def save(self, state: Callable[[], dict[str, Any]], *, force: bool = False) -> bool:
        """Save `state()` in the background if the last save is old enough, and return True if it was saved.

        Args:
            state: function that returns tensors and plain values; called only if the state is saved.
            force: save even if the last save was less than `save_every` seconds ago.

        Raises:
            OSError: the checkpoint before this one could not be written.
        """
        if self._checkpoints is None or (not force and self._clock() - self._saved_at < self._save_every):
            return False
        self._checkpoints.save(state(), self._on_saved)
        self._saved_at = self._clock()
        return True

    def flush(self) -> None:
        """Wait until the last saved state is on disk.

        Raises:
            OSError: it could not be written.
        """
        if self._checkpoints is not None:
            self._checkpoints.flush()


def save_tensors(path: Path, state: dict[str, Any]) -> None:
    """Write a dictionary of tensors and plain values atomically, after a first line with its SHA-256."""
    _write_content(path, _serialize(state))


def _serialize(state: dict[str, Any]) -> memoryview:
    buffer = io.BytesIO()
    torch.save(state, buffer)
    return buffer.getbuffer()


def _write_content(path: Path, content: memoryview) -> None:
    with atomic_writer(path) as file:
        file.write(_HEADER + hashlib.sha256(content).hexdigest().encode() + b"\n")
        file.write(content)


def load_tensors(path: Path) -> dict[str, Any]:
    """Return the dictionary that `save_tensors` wrote, its tensors on the CPU; no code is unpickled.

    Raises:
        CheckpointError: the file is missing, fails its checksum, or contains anything but tensors and plain values.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise CheckpointError(f"{path}: no such file") from None
    header, payload = data[:_HEADER_SIZE], data[_HEADER_SIZE:]
    if header != _HEADER + hashlib.sha256(payload).hexdigest().encode() + b"\n":
        raise CheckpointError(f"{path}: damaged (its content does not match its SHA-256)")
    try:
        loaded = torch.load(io.BytesIO(payload), map_location="cpu", weights_only=True)
    except Exception as error:
        raise CheckpointError(f"{path}: not a file of tensors ({error})") from error
    if not isinstance(loaded, dict):
        raise CheckpointError(f"{path}: found a {type(loaded).__name__}, expected a dictionary of tensors")
    return loaded
