"""Checkpoints that survive a crash in the middle of writing one, and damage to the newest."""

from __future__ import annotations

import hashlib
import io
import logging
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
    """The newest checkpoint of a run and the one before it, in one folder, written while training goes on."""

    def __init__(self, folder: Path) -> None:
        self._newest = folder / "checkpoint.pt"
        self._previous = folder / "checkpoint.previous.pt"
        self._writing: Future[None] | None = None

    def save(self, state: dict[str, Any], then: Callable[[], None] = lambda: None) -> None:
        """Make `state` (tensors and plain values) the newest checkpoint; the former newest is kept behind it.

        `state` may change as soon as this returns, which is before it is on disk. `then` is called when it is.

        Raises:
            OSError: the checkpoint before could not be written.
        """
        content = _content(state)
        self.wait()
        self._writing = run_in_background("checkpoint", self._write, content, then)

    def wait(self) -> None:
        """Until what was saved is on disk.

        Raises:
            OSError: it could not be written.
        """
        writing, self._writing = self._writing, None
        if writing is not None:
            writing.result()

    def _write(self, content: memoryview, then: Callable[[], None]) -> None:
        if self._newest.exists():
            self._newest.replace(self._previous)
        _write_content(self._newest, content)
        then()

    def load(self) -> dict[str, Any] | None:
        """The newest checkpoint whose checksum holds, on the CPU; None when there is none."""
        self.wait()
        for path in (self._newest, self._previous):
            if not path.exists():
                continue
            try:
                return load_tensors(path)
            except CheckpointError as error:
                log.warning("%s; falling back", error)
        return None

    def clear(self) -> None:
        """Remove both."""
        self._newest.unlink(missing_ok=True)
        self._previous.unlink(missing_ok=True)


def save_tensors(path: Path, state: dict[str, Any]) -> None:
    """Write a dictionary of tensors and plain values behind a line with its SHA-256, whole or not at all."""
    _write_content(path, _content(state))


def _content(state: dict[str, Any]) -> memoryview:
    buffer = io.BytesIO()
    torch.save(state, buffer)
    return buffer.getbuffer()


def _write_content(path: Path, content: memoryview) -> None:
    with atomic_writer(path) as file:
        file.write(_HEADER + hashlib.sha256(content).hexdigest().encode() + b"\n")
        file.write(content)


def load_tensors(path: Path) -> dict[str, Any]:
    """Read what `save_tensors` wrote, on the CPU, without unpickling code.

    Raises:
        CheckpointError: the file is missing, fails its checksum, or holds more than tensors and plain values.
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
        raise CheckpointError(f"{path}: holds a {type(loaded).__name__}, expected a dictionary of tensors")
    return loaded
