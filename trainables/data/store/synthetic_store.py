"""Frame store of noise, for benchmarks and examples."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from trainables.data.records import SPLITS
from trainables.data.store.frames import INDEX_DTYPE, FrameStore


def synthetic_store(sequences: int, size: int, frames: int) -> FrameStore:
    """Return a store in memory: `sequences` training sequences of noise and four for validation.

    Args:
        sequences: number of training sequences.
        size: side of the square frames in pixels.
        frames: number of frames of each sequence; all have masks of three classes.
    """
    classes = ("background", "one", "two", "three")
    total = (sequences + 4) * frames
    index = np.zeros(total, INDEX_DTYPE)
    index["mask"] = np.arange(total)
    for column in ("subject", "sequence"):
        index[column] = np.arange(total) // frames
    index["split"][sequences * frames :] = SPLITS.index("val")
    noise = np.random.default_rng(0)
    return FrameStore(
        folder=Path(),
        images=noise.integers(0, 256, (total, 1, size, size), dtype=np.uint8),
        masks=noise.integers(0, len(classes), (total, size, size), dtype=np.uint8),
        index=index,
        clinical={},
        subjects=tuple(map(str, range(total))),
        classes=classes,
        views=("",),
        mean=(0.5,),
        std=(0.3,),
        fingerprint="synthetic",
        issues={},
        split_by="official",
    )
