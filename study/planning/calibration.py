"""Measured training speeds, cached per machine in a file of the workspace."""

from __future__ import annotations

import contextlib
import json
import platform
from collections.abc import Callable
from pathlib import Path

import torch

from study.storage.workspace import create_root
from trainables.common.files import write_text
from trainables.engine.runtime import best_device


class Calibration:
    """Cache of measured rates and shares of a GPU's memory, separate for each machine, device and torch version.

    Args:
        path: JSON file of the cache; it is created by the first measurement.
        remeasure: ignore what the file has and measure every rate again.
    """

    def __init__(self, path: Path, *, remeasure: bool = False) -> None:
        self._path = path
        self._machine = machine_name()
        self._rates: dict[str, float] = {} if remeasure else self._read().get(self._machine, {})

    def rate(self, key: str, measure: Callable[[], float]) -> float:
        """Return the rate stored under `key` in samples per second; measure and store it if it is missing."""
        if key not in self._rates:
            self.record(key, measure())
        return self._rates[key]

    def known(self, key: str) -> float | None:
        """Return the rate stored under `key`; None if it is missing."""
        return self._rates.get(key)

    def record(self, key: str, rate: float) -> None:
        """Store a rate under `key` in place of an older one; where the file cannot be written, in memory alone."""
        self._rates[key] = rate
        with contextlib.suppress(OSError):
            create_root(self._path.parent)
            write_text(self._path, json.dumps({**self._read(), self._machine: self._rates}, indent=1))

    def _read(self) -> dict[str, dict[str, float]]:
        """Return the stored rates by machine; none if the file is missing or damaged."""
        try:
            stored: dict[str, dict[str, float]] = json.loads(self._path.read_text())
        except (OSError, ValueError):
            return {}
        return stored


def machine_name() -> str:
    """Return the name of this machine with its device and version of torch."""
    return f"{platform.node()}, {device_name(best_device())}, torch {torch.__version__}"


def device_name(device: torch.device) -> str:
    """Return the name of a device that one worker trains on."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "one CPU core"
