"""Windows of a sequence: what a network over time is trained on, and how whole sequences are segmented with them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from trainables.seeds import numpy_generator


def training_windows(sequences: Sequence[np.ndarray], length: int, seed: int) -> Callable[[int], np.ndarray]:
    """A chooser of windows for every epoch, so many of each sequence as its frames fill, at random places.

    Args:
        sequences: rows of each, in order of time.
        length: frames of a window; a shorter sequence stays at its last frame until the window is full.
        seed: names the places, together with the epoch.

    Returns:
        A function from the epoch to its windows' rows, int64 `(windows, length)`.
    """
    every = [rows for rows in sequences for _ in range(-(-len(rows) // length))]

    def choose(epoch: int) -> np.ndarray:
        shares = numpy_generator(seed, "windows", epoch).random(len(every))
        starts = [int(share * max(1, len(rows) - length + 1)) for rows, share in zip(every, shares, strict=True)]
        return np.stack([_window(rows, start, length) for rows, start in zip(every, starts, strict=True)])

    return choose


def sliding_windows(frames: int, length: int) -> np.ndarray:
    """Windows that cover a sequence, each overlapping the one before by half: frame numbers, int64 `(windows, length)`.

    The last ends where the sequence does; a sequence shorter than a window stays at its last frame.
    """
    last = max(0, frames - length)
    starts = [*range(0, last, max(1, length // 2)), last]
    return np.stack([_window(np.arange(frames), start, length) for start in starts])


def mean_over_windows(windows: np.ndarray, values: Tensor, frames: int) -> Tensor:
    """What all windows say of each frame, averaged.

    Args:
        windows: frame numbers `(W, T)`.
        values: `(W, T, ...)`.
        frames: of the sequence, N.

    Returns:
        `(N, ...)`.
    """
    place = torch.from_numpy(windows).flatten().to(values.device)
    total = values.new_zeros(frames, *values.shape[2:]).index_add_(0, place, values.flatten(0, 1))
    count = torch.bincount(place, minlength=frames).to(values.dtype)
    return total / count.view(-1, *[1] * (values.ndim - 2))


def _window(rows: np.ndarray, start: int, length: int) -> np.ndarray:
    return np.asarray(rows[np.minimum(np.arange(start, start + length), len(rows) - 1)], np.int64)
