"""Windows of a sequence: what a network over time is trained on, and how whole sequences are segmented with them.

A sequence is taken to go back at its ends the way it came, and windows begin up to half their length outside it. So its
first and last frames, which have the expert's masks, are seen as often as all others and with as much around them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from trainables.common.seeds import numpy_generator


def training_windows(sequences: Sequence[np.ndarray], length: int, seed: int) -> Callable[[int], np.ndarray]:
    """Return a function that draws random windows for every epoch, as many per sequence as its frames fill.

    Args:
        sequences: rows of each, in order of time.
        length: frames of a window.
        seed: names the places, together with the epoch.

    Returns:
        A function from the epoch to its windows' rows, int64 `(windows, length)`.
    """
    every = [rows for rows in sequences for _ in range(-(-len(rows) // length))]

    def choose(epoch: int) -> np.ndarray:
        shares = numpy_generator(seed, "windows", epoch).random(len(every))
        windows = []
        for rows, share in zip(every, shares, strict=True):
            first, last = _limits(len(rows), length)
            windows.append(rows[_window(len(rows), first + int(share * (last - first + 1)), length)])
        return np.stack(windows).astype(np.int64)

    return choose


def sliding_windows(frames: int, length: int) -> np.ndarray:
    """Windows that cover a sequence, each an eighth further than the one before: frames' numbers, `(windows, length)`.

    The more windows speak of a frame, the more of what each gets wrong by itself averages out: the whole is smoother.
    """
    first, last = _limits(frames, length)
    starts = [*range(first, last, max(1, length // 8)), last]
    return np.stack([_window(frames, start, length) for start in starts])


def mean_over_windows(windows: np.ndarray, values: Tensor, frames: int) -> Tensor:
    """Return the mean over windows of each frame's values.

    Args:
        windows: frame numbers `(W, T)`.
        values: `(W, T, ...)`.
        frames: number of frames of the sequence, N.

    Returns:
        `(N, ...)`.
    """
    place = torch.from_numpy(windows).flatten().to(values.device)
    total = values.new_zeros(frames, *values.shape[2:]).index_add_(0, place, values.flatten(0, 1))
    count = torch.bincount(place, minlength=frames).to(values.dtype)
    return total / count.view(-1, *[1] * (values.ndim - 2))


def _limits(frames: int, length: int) -> tuple[int, int]:
    """Return the first frames of the first and the last window."""
    first = -(length // 2)
    return first, max(first, frames - length + length // 2)


def _window(frames: int, start: int, length: int) -> np.ndarray:
    """Return a window's frame numbers, reflected at both ends with the end frames repeated."""
    place = np.arange(start, start + length) % (2 * frames)
    return np.asarray(np.minimum(place, 2 * frames - 1 - place))
