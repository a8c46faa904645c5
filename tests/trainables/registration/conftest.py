"""A bright disc in a textured field that moves a little from frame to frame."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from trainables.data.records import PHASES
from trainables.data.store.frames import INDEX_DTYPE, FrameStore


@dataclass(frozen=True)
class Discs:
    """Frames uint8 `(N, 1, S, S)`, and true masks uint8 `(N, S, S)`: 1 the disc, 2 a ring around it."""

    frames: np.ndarray
    masks: np.ndarray


def moving_disc(count: int, step: tuple[float, float], size: int = 64, seed: int = 0) -> Discs:
    """A disc of radius 13 with a ring of 5 around it, shifted by `step` pixels each frame."""
    generator = np.random.default_rng(seed)
    texture = ndimage.gaussian_filter(generator.normal(size=(2 * size, 2 * size)), 2.0)
    texture *= 25 / texture.std()
    y, x = np.mgrid[:size, :size].astype(float)
    frames, masks = [], []
    for frame in range(count):
        cy, cx = (size / 2 - 2 + s * (frame - (count - 1) / 2) for s in step)
        distance = np.hypot(y - cy, x - cx)
        grey = np.interp(distance, [12, 14, 17, 19], [40.0, 190.0, 190.0, 110.0])
        moved = ndimage.map_coordinates(texture, [y + size / 2 - cy + size / 2, x + size / 2 - cx + size / 2], order=1)
        frames.append(np.clip(grey + moved, 0, 255).astype(np.uint8))
        masks.append(np.where(distance < 13, 1, np.where(distance < 18, 2, 0)).astype(np.uint8))
    return Discs(np.stack(frames)[:, None], np.stack(masks))


@pytest.fixture(scope="session")
def shifting() -> Discs:
    return moving_disc(6, (1.5, 2.0))


@pytest.fixture(scope="session")
def sequences() -> FrameStore:
    """Nine subjects of a sequence each, of five frames but for the last train one, which has a single frame.

    The disc goes its own way in each; the first frame is end-diastole, the last end-systole, both with masks.
    """
    generator = np.random.default_rng(0)
    frames, masks, index = [], [], []
    for subject in range(9):
        count = 1 if subject == 6 else 5
        discs = moving_disc(count, tuple(generator.uniform(-1.5, 1.5, 2)), size=48, seed=subject)
        for frame in range(count):
            phase = {0: "ED", count - 1: "ES"}.get(frame, "")
            mask = len(masks) if phase else -1
            masks += [discs.masks[frame]] if phase else []
            index.append((subject, subject % 3, subject, frame, PHASES.index(phase), mask))
        frames.append(discs.frames)
    rows = np.zeros(len(index), INDEX_DTYPE)
    names = ("subject", "split", "sequence", "frame", "phase", "mask")
    for name, values in zip(names, np.transpose(index), strict=True):
        rows[name] = values
    rows["spacing"] = 0.5
    return FrameStore(
        folder=Path(),
        images=np.concatenate(frames),
        masks=np.stack(masks),
        index=rows,
        clinical={},
        subjects=tuple(map(str, range(9))),
        classes=("background", "disc", "ring"),
        views=("4CH",),
        mean=(0.4,),
        std=(0.2,),
        fingerprint="discs",
        issues={},
        split_by="official",
    )
