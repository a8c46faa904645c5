"""Frame store of noise, for benchmarks and examples."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from trainables.data.records import GREY, SPLITS
from trainables.data.store.frames import INDEX_DTYPE, FrameStore


def synthetic_store(sequences: int, size: int, frames: int, channels: tuple[str, ...] = GREY) -> FrameStore:
    """Return a store in memory: `sequences` training sequences of noise and four for validation.

    Args:
        sequences: number of training sequences.
        size: side of the square frames in pixels.
        frames: number of frames of each sequence; all have masks of three classes.
        channels: names of the images' channels.
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
        images=noise.integers(0, 256, (total, len(channels), size, size), dtype=np.uint8),
        masks=noise.integers(0, len(classes), (total, size, size), dtype=np.uint8),
        index=index,
        clinical={},
        subjects=tuple(map(str, range(total))),
        classes=classes,
        views=("",),
        mean=(0.5,) * len(channels),
        std=(0.3,) * len(channels),
        fingerprint="synthetic",
        issues={},
        split_by="official",
        channel_names=channels,
    )
