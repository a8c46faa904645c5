"""Optimizers and learning-rate schedules, by name."""

from trainables.common.registry import Registry
from trainables.engine.optim.optimizers import SGD, Adam, AdamW, Lars, Madgrad, Optimizer
from trainables.engine.optim.schedules import Constant, Cosine, Plateau, Polynomial, Schedule

OPTIMIZERS: Registry[type[Optimizer]] = Registry(
    "optimizer", {"adam": Adam, "adamw": AdamW, "sgd": SGD, "madgrad": Madgrad, "lars": Lars}
)

SCHEDULES: Registry[type[Schedule]] = Registry(
    "schedule", {"constant": Constant, "cosine": Cosine, "polynomial": Polynomial, "plateau": Plateau}
)
