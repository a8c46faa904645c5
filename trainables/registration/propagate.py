"""Label propagation: the masks of a sequence's two labelled frames warped to all frames between them."""

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
"""Function from float images (fixed, moving), `(B, C, H, W)` in [0, 1], to displacements `(B, 2, H, W)` in pixels."""


@dataclass(frozen=True)
class Propagation:
    """Settings of label propagation from frame to frame.

    Attributes:
        direction: "forward" from the first frame, "backward" from the last, or "bidirectional", the blend of both.
        warping: "composed" warps the labelled frame's mask by the composition of all displacements between, so labels
            are rounded to pixels once; "sequential" warps each frame's labels from its neighbor's, as the authors'
            program does, and rounds at every frame.
        blend: rule that blends the two directions, see `trainables.registration.blend.blend`.
        batch_size: number of pairs registered at once, at least 1.
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
    """Propagate the labels of the first and the last frame to all frames.

    Args:
        settings: direction, warping and blending of the propagation.
        register: registration function, such as a trained network's `displacement`.
        frames: uint8 `(N, C, H, W)`, N at least 2, on the device to compute on; from end-diastole to end-systole or
            in reverse.
        first: class indices `(H, W)` of the first frame.
        last: class indices `(H, W)` of the last frame.
        classes: number of classes K, background included.
        spacing: (row, column) pixel spacing in mm; by default distances are in pixels.

    Returns:
        Uint8 `(N, H, W)`. Each direction keeps the mask of its labelled end, and the blend those of both ends,
        except for pixels that the closing of "released" changes.

    Raises:
        ValueError: there are fewer than 2 frames.
    """
    if len(frames) < 2:
        raise ValueError(f"{len(frames)} frames, expected 2 or more")
    if settings.direction == "forward":
        return _propagate_one_way(settings, register, frames, first)
    backward = _propagate_one_way(settings, register, frames.flip(0), last)[::-1].copy()
    if settings.direction == "backward":
        return backward
    return blend(_propagate_one_way(settings, register, frames, first), backward, classes, spacing, settings.blend)


@torch.no_grad()
def _propagate_one_way(settings: Propagation, register: Register, frames: Tensor, mask: np.ndarray) -> np.ndarray:
    """Propagate the first frame's labels to all frames, uint8 `(N, H, W)`."""
    images = frames.float() / 255
    source = torch.from_numpy(np.ascontiguousarray(mask, np.uint8)).to(frames.device).unsqueeze(0)
    labels, total = [source], None  # type: list[Tensor], Tensor | None
    pairs = zip(images[1:].split(settings.batch_size), images[:-1].split(settings.batch_size), strict=True)
    for fixed, moving in pairs:
        for displacement in register(fixed, moving).split(1):
            if settings.warping == "sequential":
                labels.append(warp_labels(labels[-1], displacement))
            else:
                total = displacement if total is None else compose(total, displacement)
                labels.append(warp_labels(source, total))
    return torch.cat(labels).cpu().numpy()
