"""The progress of a launch as a file, progress.json, from which `study status` reads what the ledger does not hold."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from trainables.common.files import write_json


@dataclass(frozen=True)
class LaunchProgress:
    """Progress of the last launch of a study.

    Attributes:
        pid: identifier of the driver's process.
        time: seconds since the Unix epoch at which this was written.
        running: jobs that run, each with `label`, `epoch` (trained so far) and `epochs`.
        complete: True if nothing was left to run when the launch ended; False while it runs.
        events: number of events in the ledger when the launch ended; 0 while it runs.
    """

    pid: int
    time: float
    running: Sequence[dict[str, Any]] = ()
    complete: bool = False
    events: int = 0


def write_progress(path: Path, progress: LaunchProgress) -> None:
    """Write the progress atomically."""
    write_json(path, asdict(progress))


def read_progress(path: Path) -> LaunchProgress | None:
    """Return the progress; None for a file that is missing, damaged or of another version, as nothing depends on it."""
    try:
        return LaunchProgress(**json.loads(path.read_text()))
    except (OSError, ValueError, TypeError):
        return None


def launch_completed(path: Path, events: int) -> bool:
    """Return True if the last launch left nothing to run and the ledger has grown by nothing since.

    Args:
        path: progress file of the study.
        events: number of events in the ledger.
    """
    progress = read_progress(path)
    return progress is not None and progress.complete and progress.events == events
