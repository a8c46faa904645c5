"""Dense labels from sparse: the masks of a sequence's two labelled frames carried through all frames between them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from trainables.registration.blend import Rule, blend
from trainables.registration.warp import compose, warp_labels

Register = Callable[[Tensor, Tensor], Tensor]
"""Gives the displacement `(B, 2, H, W)` in pixels from float images (fixed, moving), each `(B, C, H, W)` in [0, 1]."""


@dataclass(frozen=True)
class Propagation:
    """How labels are carried from frame to frame.

    Attributes:
        direction: "forward" from the first frame, "backward" from the last, or "bidirectional", the blend of both.
        warping: "composed" takes each frame's labels from the labelled frame through the composition of all
            displacements between, so they are rounded to pixels once; "sequential" warps each frame's labels from its
            neighbour's, as the authors' program does, which rounds at every frame.
        blend: of the two directions, see `blend`.
        batch_size: pairs registered at once, from 1 up.
    """

    direction: Literal["forward", "backward", "bidirectional"] = "bidirectional"
    warping: Literal["composed", "sequential"] = "composed"
    blend: Rule = "argmax"
    batch_size: int = 32

    def __post_init__(self) -> None:
        if self.batch_size < 1:
            raise ValueError(f"batch_size is {self.batch_size}, expected a whole number from 1 up")


def propagate(
    settings: Propagation,
    register: Register,
    frames: Tensor,
    first: np.ndarray,
    last: np.ndarray,
    classes: int,
    spacing: tuple[float, float] = (1.0, 1.0),
) -> np.ndarray:
    """Labels of all frames from those of the first and the last.

    Args:
        settings: of the propagation.
        register: a trained network's `displacement`, say.
        frames: uint8 `(N, C, H, W)`, N from 2 up, on the device to compute on; from end-diastole to end-systole, or
            the other way round.
        first: class indices `(H, W)` of the first frame.
        last: of the last.
        classes: number of classes, background included.
        spacing: (row, column) distance of pixels in mm.

    Returns:
        Uint8 `(N, H, W)`. The labelled end of a direction keeps its mask, and so do both ends of the blend, but for
        what "released" closes.
    """
    if len(frames) < 2:
        raise ValueError(f"{len(frames)} frames, expected 2 or more")
    if settings.direction == "forward":
        return _carry(settings, register, frames, first)
    backward = _carry(settings, register, frames.flip(0), last)[::-1].copy()
    if settings.direction == "backward":
        return backward
    return blend(_carry(settings, register, frames, first), backward, classes, spacing, settings.blend)


@torch.no_grad()
def _carry(settings: Propagation, register: Register, frames: Tensor, mask: np.ndarray) -> np.ndarray:
    """The first frame's labels through all frames."""
    images = frames.float() / 255
    source = torch.from_numpy(np.ascontiguousarray(mask, np.uint8)).to(frames.device).unsqueeze(0)
    labels, whole = [source], None  # type: list[Tensor], Tensor | None
    pairs = zip(images[1:].split(settings.batch_size), images[:-1].split(settings.batch_size), strict=True)
    for fixed, moving in pairs:
        for step in register(fixed, moving).split(1):
            if settings.warping == "sequential":
                labels.append(warp_labels(labels[-1], step))
            else:
                whole = step if whole is None else compose(whole, step)
                labels.append(warp_labels(source, whole))
    return torch.cat(labels).cpu().numpy()
