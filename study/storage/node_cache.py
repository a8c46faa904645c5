"""Folder of a node for what it has copied from elsewhere."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from trainables.common.errors import UserError


def node_cache() -> Path:
    """Return this node's cache: $STUDY_CACHE, or a temporary folder of this user, which only this user may read.

    Raises:
        UserError: another user has made the temporary folder.
    """
    if os.environ.get("STUDY_CACHE"):
        return Path(os.environ["STUDY_CACHE"])
    cache = Path(tempfile.gettempdir()) / f"study-cache-{os.getuid()}"
    cache.mkdir(mode=0o700, exist_ok=True)
    if cache.is_symlink() or cache.stat().st_uid != os.getuid():
        raise UserError(f"{cache}: belongs to another user. Fix: name a folder of yours by $STUDY_CACHE")
    cache.chmod(0o700)  # frames of patients lie in it
    return cache
