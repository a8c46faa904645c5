"""Downstream: segmentation networks trained on few labels. Losses by name."""

from trainables.common.registry import Registry
from trainables.downstream.losses import CrossEntropy, Dice, DiceCrossEntropy, Loss

LOSSES: Registry[type[Loss]] = Registry(
    "loss", {"cross_entropy": CrossEntropy, "dice": Dice, "dice_ce": DiceCrossEntropy}
)
