"""Frame store of a finished job."""

from __future__ import annotations

import json
from pathlib import Path

from study.storage.workspace import StudyFolder
from trainables.data.store.frames import FrameStore


def frames_of(folder: StudyFolder, job: str) -> FrameStore | None:
    """Open the frame store of a job, also in a workspace that was moved; None where it does not exist any more."""
    config = folder.job(job).config
    if not config.exists():
        return None
    described = json.loads(config.read_text())
    places = (Path(described["frames"]), folder.workspace.data / "frames" / Path(described["frames"]).name)
    stores = (FrameStore.open(place) for place in places if place.is_dir())
    return next((store for store in stores if store.fingerprint == described["config"]["data"]), None)
