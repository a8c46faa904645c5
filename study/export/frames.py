"""Frame store of a finished job."""

from __future__ import annotations

import json
from pathlib import Path

from study.storage.workspace import StudyFolder
from trainables.data.store.frames import FrameStore


def frames_of(folder: StudyFolder, job: str, fingerprint: str) -> FrameStore | None:
    """Open the frame store that a job read, also in a workspace that was moved; None where it does not exist any more.

    Args:
        folder: folder of the study.
        job: identifier of the job, which may be of another study of the workspace.
        fingerprint: fingerprint of the frames.
    """
    config, frames = folder.job(job).config, folder.workspace.data / "frames"
    named = [Path(json.loads(config.read_text())["frames"])] if config.exists() else []
    places = [*named, *(frames / path.name for path in named), *sorted(frames.glob("*-*"))]
    stores = (FrameStore.open(place) for place in places if (place / "meta.json").is_file())
    return next((store for store in stores if store.fingerprint == fingerprint), None)
