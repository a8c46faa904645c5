"""Downstream: segmentation networks trained on few labels. Losses by name."""

from trainables.downstream.losses import CrossEntropy, Dice, DiceCrossEntropy, Loss
from trainables.registry import Registry

LOSSES: Registry[type[Loss]] = Registry(
    "loss", {"cross_entropy": CrossEntropy, "dice": Dice, "dice_ce": DiceCrossEntropy}
)
