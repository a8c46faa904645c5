"""What a machine was measured to do, kept so that a study is planned at once the next time."""

from __future__ import annotations

import json
import platform
from collections.abc import Callable
from pathlib import Path

import torch

from trainables.common.files import write_text


class Calibration:
    """Images a second by what was measured, in a file of the workspace, apart for each machine and torch.

    Args:
        path: the file; it is made when something is measured.
        again: measure all of it again, whatever the file has.
    """

    def __init__(self, path: Path, *, again: bool = False) -> None:
        self._path = path
        self._machine = f"{platform.node()}, {device()}, torch {torch.__version__}"
        self._known: dict[str, float] = {} if again else self._read().get(self._machine, {})

    def rate(self, what: str, measure: Callable[[], float]) -> float:
        """Images a second, measured if that was not done before."""
        if what not in self._known:
            self._known[what] = measure()
            self._path.parent.mkdir(parents=True, exist_ok=True)
            write_text(self._path, json.dumps({**self._read(), self._machine: self._known}, indent=1))
        return self._known[what]

    def _read(self) -> dict[str, dict[str, float]]:
        try:
            found: dict[str, dict[str, float]] = json.loads(self._path.read_text())
        except (OSError, ValueError):  # never measured here, or damaged: measured again
            return {}
        return found


def device() -> str:
    """What one worker trains on."""
    return torch.cuda.get_device_name() if torch.cuda.is_available() else "one CPU core"
