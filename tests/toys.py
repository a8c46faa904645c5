"""Frame stores in memory that several tests share."""

import dataclasses
from pathlib import Path

import numpy as np

from trainables.data.records import PHASES
from trainables.data.store.frames import INDEX_DTYPE, FrameStore


def toy_store(frames: int = 24, size: int = 8) -> FrameStore:
    """A store in memory: a frame a subject, bright pixels as masks, a third of the subjects in each split."""
    generator = np.random.default_rng(0)
    index = np.zeros(frames, INDEX_DTYPE)
    index["subject"], index["sequence"] = np.arange(frames), np.arange(frames)
    index["mask"], index["split"] = np.arange(frames), np.arange(frames) % 3
    coarse = generator.integers(0, 256, (frames, 1, size // 4, size // 4), dtype=np.uint8)
    images = coarse.repeat(4, axis=2).repeat(4, axis=3)
    masks = (images[:, 0] > 128).astype(np.uint8)
    return FrameStore(
        folder=Path(),
        images=images,
        masks=masks,
        index=index,
        clinical={},
        subjects=tuple(map(str, range(frames))),
        classes=("background", "bright"),
        views=("4CH",),
        mean=(0.5,),
        std=(0.25,),
        fingerprint="toy",
        issues={},
        split_by="official",
    )


def sequence_store(phases: list[str], frames_each: int, **columns: object):
    """Sequences of so many frames, the phases of their frames given in one list."""
    store = toy_store(len(phases), size=8)
    index = np.array(store.index)
    index["sequence"] = np.arange(len(phases)) // frames_each
    index["subject"] = index["sequence"]
    index["phase"] = [PHASES.index(phase) for phase in phases]
    index["split"], index["mask"], index["stack"] = 0, np.where(index["phase"] > 0, np.arange(len(phases)), -1), 0
    for name, values in columns.items():
        index[name] = values
    return dataclasses.replace(store, index=index)
