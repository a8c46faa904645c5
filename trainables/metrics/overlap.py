"""Overlap of masks: the Dice coefficient, per image, per class and per subject.

Empty masks: a class that is in neither the truth nor the prediction scores 1 by default. A class that is in only one of
them always scores 0, so false positives and missed structures lower the mean. `both_empty="nan"` excludes the first
case from means, as some papers do.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from torch import Tensor

BothEmpty = Literal["one", "nan"]


def dice(predicted: Tensor, truth: Tensor, classes: int, both_empty: BothEmpty = "one") -> Tensor:
    """Compute the Dice coefficient of each image and foreground class.

    Args:
        predicted: class indices `(B, H, W)` of any integer type or bool, all less than `classes`.
        truth: reference class indices, in the shape of `predicted`.
        classes: number of classes K, background included.
        both_empty: score of a class that is in neither mask: "one" for 1, "nan" for nan.

    Returns:
        Float64 `(B, K - 1)`, in [0, 1]: 2 |P and T| / (|P| + |T|).

    Example:
        >>> predicted = torch.tensor([[[0, 1], [1, 1]]])
        >>> truth = torch.tensor([[[0, 0], [1, 1]]])
        >>> dice(predicted, truth, classes=2)
        tensor([[0.8000]], dtype=torch.float64)
    """
    return dice_from_counts(*counts(predicted, truth, classes), both_empty)


def dice_from_counts(overlap: Tensor, sizes: Tensor, both_empty: BothEmpty = "one") -> Tensor:
    """Compute Dice from the pixel counts `(..., K - 1)` of `counts`, possibly summed over the images of a volume."""
    neither = torch.full_like(sizes, 1.0 if both_empty == "one" else torch.nan)
    return torch.where(sizes > 0, 2 * overlap / sizes.clamp_min(1), neither)


def pooled_dice(predicted: Tensor, truth: Tensor, classes: int) -> Tensor:
    """Compute Dice of each foreground class over the pixels of all images, float64 `(K - 1,)`; nan for an absent class.

    Ouyang et al. (2020) and Saeed et al. (2022) report this variant. Images with larger structures weigh more.
    """
    overlap, sizes = (found.sum(0) for found in counts(predicted, truth, classes))
    return 2 * overlap / torch.where(sizes > 0, sizes, torch.nan)


def subject_means(scores: np.ndarray, subjects: np.ndarray) -> np.ndarray:
    """Average the scores of each subject's images.

    Args:
        scores: one row per image, `(N, K)`; nan where an image has no score.
        subjects: subject index of each image, `(N,)`.

    Returns:
        `(S, K)`, in ascending order of subject; nan where none of a subject's images has a score.
    """
    _, row_subjects = np.unique(subjects, return_inverse=True)
    valid = ~np.isnan(scores)
    total, count = np.zeros((2, row_subjects.max() + 1, scores.shape[1]))
    np.add.at(total, row_subjects, np.where(valid, scores, 0.0))
    np.add.at(count, row_subjects, valid)
    means: np.ndarray = np.full_like(total, np.nan)
    np.divide(total, count, out=means, where=count > 0)
    return means


def counts(predicted: Tensor, truth: Tensor, classes: int) -> tuple[Tensor, Tensor]:
    """Count the pixels of each foreground class.

    Returns:
        Pixels in both masks, |P and T|, and the sum of both masks' pixels, |P| + |T|; float64 `(B, K - 1)` each.
    """
    if predicted.device.type == "cpu":
        dtype = torch.uint8 if classes <= 16 else torch.int64  # bincount is several times faster on uint8
        pairs = (predicted.to(dtype) * classes + truth.to(dtype)).flatten(1)
        joint = torch.stack([torch.bincount(image, minlength=classes**2) for image in pairs])
    else:
        joint = histograms((predicted.long() * classes + truth.long()).flatten(1), classes**2)
    joint = joint.view(-1, classes, classes)
    overlap, sizes = joint.diagonal(dim1=1, dim2=2), joint.sum(1) + joint.sum(2)
    return overlap[:, 1:].double(), sizes[:, 1:].double()


def histograms(values: Tensor, bins: int) -> Tensor:
    """Count the values of each row at once; `torch.bincount` of each row would make the CPU wait for a GPU.

    Args:
        values: int64 `(B, N)`, in [0, bins).
        bins: number of different values.

    Returns:
        Counts, int64 `(B, bins)`.
    """
    found = torch.zeros(len(values), bins, dtype=torch.int64, device=values.device)
    return found.scatter_add_(1, values, torch.ones_like(values))
