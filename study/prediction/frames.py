"""Frame store of a finished job."""

from __future__ import annotations

import json
from pathlib import Path

from study.storage.workspace import StudyFolder
from trainables.common.errors import DataError
from trainables.data.store.frames import META, FrameStore


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
    stores = (_opened(place) for place in places if (place / META).is_file())
    return next((store for store in stores if store is not None and store.fingerprint == fingerprint), None)


def _opened(place: Path) -> FrameStore | None:
    """Open a frame store; None for a damaged one, or one of another format version."""
    try:
        return FrameStore.open(place)
    except DataError:
        return None
