"""Signs of learning: a validation metric of a pretext method beside its value without learning."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Sign:
    """Metric in which the learning of a pretext method shows.

    The skill is 0 where the metric has its value without learning, and 1 where it is perfect:

    | kind | perfect | skill |
    |---|---|---|
    | accuracy | 1 | 1 - log(metric) / log(chance): the share of the candidates' entropy that is resolved |
    | error | 0 | 1 - metric / chance |
    | score | 1 | (metric - chance) / (1 - chance) |

    Attributes:
        metric: name of the validation metric, without "val/".
        chance: name of the metric's value without learning, or that value itself.
        kind: scale of the metric.
        label: noun phrase for messages.
        baseline: noun phrase of the value without learning, for messages.
        weak: skill from which something was learned.
        learned: skill from which the task was learned.
        advice: suggestion where the skill is lower.
        min_images: number of evaluated images below which chance alone may decide; the verdict is then unknown.
        gains: True if a network that learned has a higher skill than before it was trained.

    Example:
        >>> sign = Sign("error", "mean_error", "error", "error", "mean image", weak=0.1, learned=0.3, advice="")
        >>> round(sign.skill({"val/error": 0.6, "val/mean_error": 0.8}), 2)
        0.25
    """

    metric: str
    chance: str | float
    kind: Literal["accuracy", "error", "score"]
    label: str
    baseline: str
    weak: float
    learned: float
    advice: str
    min_images: int = 1
    gains: bool = True

    def skill(self, metrics: Mapping[str, float]) -> float:
        """Return the skill of an evaluation; NaN where the metric is not finite.

        Args:
            metrics: metrics of an epoch, with `val/<metric>` and `val/<chance>`.
        """
        value, chance = metrics[f"val/{self.metric}"], self.chance_of(metrics)
        if not math.isfinite(value):
            return math.nan
        if self.kind == "accuracy":
            return 1 - math.log(max(value, chance)) / math.log(chance) if chance < 1 else math.nan
        if self.kind == "error":
            return 1 - value / chance if chance > 0 else math.nan
        return (value - chance) / (1 - chance)

    def chance_of(self, metrics: Mapping[str, float]) -> float:
        """Return the metric's value without learning."""
        return self.chance if isinstance(self.chance, float) else metrics[f"val/{self.chance}"]

    def known(self, metrics: Mapping[str, float]) -> bool:
        """Return True if an epoch's metrics include this sign."""
        return f"val/{self.metric}" in metrics

    def text(self, metrics: Mapping[str, float]) -> str:
        """Return the metric beside its baseline, such as "matched views 3.1% (chance 0.8%)"."""
        value, chance = metrics[f"val/{self.metric}"], self.chance_of(metrics)
        if self.kind != "error":
            return f"{self.label} {value:.1%} ({self.baseline} {chance:.1%})"
        return f"{self.label} {value:.3g} ({self.baseline} {chance:.3g})"


FEW_VIEWS = 16
"""Least number of evaluated images for a metric that counts views."""

WEAKER_VIEWS = (
    "train longer if the run is short; otherwise the two views share too little: weaken the crop or the intensity "
    "operations of pretext.augment and look at them with `study data views`, or lower learning rate and weight decay"
)

MATCHING = Sign(
    "matching_accuracy", "matching_chance", "accuracy", "matched views", "chance", 0.4, 0.6, WEAKER_VIEWS, FEW_VIEWS
)
"""Sign of contrastive methods: the partner of a view is nearer than all views of other subjects in the batch."""

PARTNER = Sign(
    "partner_nearer",
    0.5,
    "score",
    "partner nearer than an unrelated view",
    "chance",
    0.25,
    0.5,
    WEAKER_VIEWS,
    FEW_VIEWS,
    gains=False,
)
"""Sign of methods that draw two views together without telling images apart, which need not find the nearest view.

An untrained network ranks the partner of a mildly changed view first as often, so that a gain over it is not asked for.
"""

PARTITION = Sign(
    "partition_accuracy",
    "partition_chance",
    "score",
    "views that found their partition",
    "chance",
    0.1,
    0.3,
    WEAKER_VIEWS,
    FEW_VIEWS,
)
"""Sign of contrast between partitions of volumes."""

REGIONS = Sign(
    "contrastive_accuracy",
    "contrastive_chance",
    "accuracy",
    "matched regions",
    "chance",
    0.3,
    0.5,
    WEAKER_VIEWS,
    FEW_VIEWS,
)
"""Sign of contrast between regions of an image."""

TRAIN_LONGER = "train longer, change the learning rate, or make the task easier (a lower mask_ratio or noise_ratio)"

RECONSTRUCTION = Sign(
    "loss", "mean_error", "error", "reconstruction error", "each patch's mean", 0.05, 0.15, TRAIN_LONGER
)
"""Sign of masked modelling: the error beside that of predicting the mean of each masked patch."""

RESTORATION = Sign(
    "loss", "trivial_error", "error", "restoration error", "best simple predictor", 0.0, 0.1, TRAIN_LONGER
)
"""Sign of masked-noise regression: the error beside the noisy input's, the image mean's and the neighbours' mean's."""

BOXES = Sign(
    "box_dice", 0.0, "score", "Dice of the boxes", "no box", 0.1, 0.5, "train longer, or raise the learning rate"
)
"""Sign of position prediction."""
