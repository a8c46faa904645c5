"""Overlap of masks: the Dice coefficient, per image, per class and per subject.

Empty masks: where a class is neither in the truth nor in the prediction, the image scores 1 for it by default, since
nothing was missed and nothing invented. Where it is in one of them alone, it scores 0, always: a false positive or a
missed structure never drops out of a mean. The papers' other rule, to leave the first case out, is `both_empty="nan"`.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from torch import Tensor

BothEmpty = Literal["one", "nan"]


def dice(predicted: Tensor, truth: Tensor, classes: int, both_empty: BothEmpty = "one") -> Tensor:
    """Dice of each image and foreground class.

    Args:
        predicted: class indices `(B, H, W)` of any integer type or bool, all less than `classes`.
        truth: likewise.
        classes: number of classes K, background included.
        both_empty: the score of a class that is in neither mask.

    Returns:
        Float64 `(B, K - 1)`: 2 |P and T| / (|P| + |T|).
    """
    return dice_of(*counts(predicted, truth, classes), both_empty)


def dice_of(overlap: Tensor, sizes: Tensor, both_empty: BothEmpty = "one") -> Tensor:
    """Dice from counts `(..., K - 1)` as `counts` gives them, summed over the images of a volume or not."""
    neither = torch.full_like(sizes, 1.0 if both_empty == "one" else torch.nan)
    return torch.where(sizes > 0, 2 * overlap / sizes.clamp_min(1), neither)


def pooled_dice(predicted: Tensor, truth: Tensor, classes: int) -> Tensor:
    """Dice of each foreground class over all pixels of all images at once, float64 `(K - 1,)`; nan for an absent class.

    The variant of Ouyang et al. (2020) and Saeed et al. (2022); large structures weigh more in it than small ones.
    """
    overlap, sizes = (found.sum(0) for found in counts(predicted, truth, classes))
    return 2 * overlap / torch.where(sizes > 0, sizes, torch.nan)


def subject_means(scores: np.ndarray, subjects: np.ndarray) -> np.ndarray:
    """Mean of each subject's images.

    Args:
        scores: `(N, K)`, nan where an image has none.
        subjects: `(N,)`, whose each image is.

    Returns:
        `(S, K)`, in ascending order of subject; nan where all of a subject's images have none.
    """
    _, of = np.unique(subjects, return_inverse=True)
    valid = ~np.isnan(scores)
    total, count = np.zeros((2, of.max() + 1, scores.shape[1]))
    np.add.at(total, of, np.where(valid, scores, 0.0))
    np.add.at(count, of, valid)
    means: np.ndarray = np.full_like(total, np.nan)
    np.divide(total, count, out=means, where=count > 0)
    return means


def counts(predicted: Tensor, truth: Tensor, classes: int) -> tuple[Tensor, Tensor]:
    """Pixels that both masks, and that either mask, give to each foreground class, float64 `(B, K - 1)` each."""
    small = torch.uint8 if classes <= 16 else torch.int64  # the pairs of classes are counted several times faster so
    pairs = (predicted.to(small) * classes + truth.to(small)).flatten(1)
    joint = torch.stack([torch.bincount(image, minlength=classes**2) for image in pairs]).view(-1, classes, classes)
    overlap, sizes = joint.diagonal(dim1=1, dim2=2), joint.sum(1) + joint.sum(2)
    return overlap[:, 1:].double(), sizes[:, 1:].double()
