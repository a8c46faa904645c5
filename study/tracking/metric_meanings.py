"""Unit and meaning of each metric, for people who receive weights without the study."""

from __future__ import annotations

from typing import NamedTuple

SPLITS = {"val": "validation split", "test": "test split"}
"""Data of a metric by the prefix of its name; a metric without prefix is of the training batches."""


class Meaning(NamedTuple):
    """Unit or range of a metric, and its meaning in words."""

    unit: str
    text: str


FRACTION = "0 to 1"
UNKNOWN = Meaning("", "see the documentation of the method")
MEANINGS = {
    "loss": Meaning("", "objective of the training, lower is better; comparable only for equal settings"),
    "pretext_loss": Meaning("", "loss of the pretext task that is trained together with the segmentation"),
    "dice": Meaning(
        FRACTION, "Dice overlap with the reference masks, mean over subjects and classes; higher is better"
    ),
    "pooled_dice": Meaning(
        FRACTION, "Dice overlap over the pixels of all images together, mean over classes; higher is better"
    ),
    "pseudo_dice": Meaning(FRACTION, "nnU-Net's Dice over patches; higher is better"),
    "probe_dice": Meaning(
        FRACTION, "Dice of a linear classifier of the features of the frozen backbone; higher is better"
    ),
    "box_dice": Meaning(FRACTION, "Dice of the predicted anatomical positions, mean over boxes; higher is better"),
    "contrastive_accuracy": Meaning(FRACTION, "fraction of augmented views that are most similar to their partner"),
    "contrastive_chance": Meaning(FRACTION, "contrastive_accuracy of unrelated embeddings"),
    "matching_accuracy": Meaning(FRACTION, "fraction of views nearer to their partner than to views of other subjects"),
    "matching_chance": Meaning(FRACTION, "matching_accuracy of unrelated embeddings"),
    "partner_nearer": Meaning(
        FRACTION, "probability that a view's partner is nearer than a view of another subject; 0.5 by chance"
    ),
    "unrelated_distance": Meaning("0 to 4", "mean squared distance of views of different subjects"),
    "strength": Meaning("", "strength of the augmentation that was found by short pretrainings"),
    "matching": Meaning(FRACTION, "fraction of regions that lie in both augmented views"),
    "partition_accuracy": Meaning(FRACTION, "fraction of images most similar to an image of the same partition"),
    "partition_chance": Meaning(FRACTION, "partition_accuracy of unrelated embeddings"),
    "skill": Meaning("up to 1", "success at the pretext task: 0 at chance, 1 for perfect"),
    "embedding_std": Meaning(
        "0 to about 1", "spread of the embeddings: 1 covers the sphere, 0 is one point (collapse)"
    ),
    "prediction_std": Meaning(
        "0 to about 1", "spread of the predictions: 1 covers the sphere, 0 is one point (collapse)"
    ),
    "effective_rank": Meaning("dimensions", "number of dimensions that the embeddings use, from 1"),
    "alignment": Meaning("0 to 4", "mean squared distance of the embeddings of two views of an image"),
    "uniformity": Meaning(
        "up to 0", "log of the mean of exp(-2 d^2) over distances d of embeddings; lower is more uniform"
    ),
    "invariance": Meaning("", "term of the loss: mean squared difference of two views"),
    "variance": Meaning("", "term of the loss: lack of spread of each dimension"),
    "covariance": Meaning("", "term of the loss: correlation between dimensions"),
    "untouched": Meaning("unit of the loss", "error of the noisy image itself"),
    "mean_error": Meaning("unit of the loss", "error of the mean intensity as prediction"),
    "neighbours_error": Meaning("unit of the loss", "error of the mean of neighbouring pixels as prediction"),
    "trivial_error": Meaning("unit of the loss", "smallest error of a prediction without a network"),
    "gradient_norm": Meaning("", "mean norm of the gradient of all parameters"),
    "learning_rate": Meaning("", "learning rate of the first parameter group"),
    "images_per_second": Meaning("images/s", "training speed"),
}
"""Meaning by the metric's name without split and class."""


def meaning_of(metric: str) -> Meaning:
    """Return the meaning of a metric, with its data and its class.

    Example:
        >>> meaning_of("val/probe_dice/lv").text.partition(";")[2]
        ' higher is better (validation split, lv)'
    """
    prefix, _, rest = metric.partition("/")
    base, _, part = (rest if prefix in SPLITS else metric).partition("/")
    unit, text = MEANINGS.get(base, UNKNOWN)
    where = ", ".join([SPLITS.get(prefix, "training"), *([part] if part else [])])
    return Meaning(unit, f"{text} ({where})")
