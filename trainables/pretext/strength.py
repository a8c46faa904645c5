"""Strength of the augmentation by short pretrainings: the strongest at which the method still learns.

Views that share too little cannot be matched, and views that share nearly everything teach nothing (Tian et al., "What
makes for good views for contrastive learning?", 2020). Where the limit is depends on the images, so it is measured.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from trainables.common.errors import UserError
from trainables.data.store.frames import FrameStore
from trainables.engine.runtime import LocalRuntime, Runtime
from trainables.engine.settings import FitSettings
from trainables.networks.backbones import BackboneSettings
from trainables.networks.network import NetworkSettings
from trainables.pretext.pretrain import PretextSettings, pretrain

STRENGTHS = (0.25, 0.5, 0.75, 1.0, 1.5)
"""Strengths that are tried, from the weakest up."""

SHARE = 0.2
"""Length of a short pretraining as a share of the full one."""

MIN_EPOCHS = 5
"""Least number of epochs of a short pretraining."""

KEPT = 0.5
"""Least skill of a strength, as a share of the best skill of all weaker ones."""


@dataclass(frozen=True)
class Tried:
    """One short pretraining.

    Attributes:
        strength: factor on the policy's operations.
        skill: skill after its last epoch, 0 at chance and 1 for perfect (`trainables.pretext.monitoring.signs`).
    """

    strength: float
    skill: float


def short(settings: PretextSettings, strength: float) -> PretextSettings:
    """Return the settings of the short pretraining at a strength."""
    epochs = min(settings.fit.epochs, max(MIN_EPOCHS, round(SHARE * settings.fit.epochs)))
    fit: FitSettings = replace(settings.fit, epochs=epochs, evaluate_every=epochs)
    return replace(settings, fit=fit, augment=settings.augment.resolved(strength), guard="warn", probe=None)


def try_strengths(
    settings: PretextSettings,
    network: NetworkSettings | BackboneSettings,
    store: FrameStore,
    runtime: Runtime,
    seed: int,
) -> list[Tried]:
    """Pretrain briefly at rising strengths until one no longer learns, and return what was tried.

    Args:
        settings: settings of the full pretraining.
        network: network to train; a backbone's settings suffice for a method that trains the backbone only.
        store: frame store of the dataset; its validation split measures the skill.
        runtime: device of the runs, and receiver of a report and a checkpoint after each.
        seed: seed of all runs, so that they differ in strength only.

    Raises:
        UserError: a run ends without a verdict, for lack of validation images as a rule.
    """
    state = runtime.load()
    tried = [] if state is None else [Tried(*entry) for entry in state["tried"]]
    try:
        for strength in STRENGTHS[len(tried) :]:
            if tried and not _learns(tried):
                break
            done = pretrain(short(settings, strength), network, store, LocalRuntime(device=runtime.device), seed)
            if done.learning is None or done.learning.verdict == "unknown":
                why = done.learning.reason if done.learning is not None else "the method measures no skill"
                fix = "Fix: set augment.strength to a number"
                raise UserError(f"augment.strength: auto cannot tell what is learned (found: {why}). {fix}")
            skill = done.learning.skill
            tried.append(Tried(strength, 0.0 if skill is None or math.isnan(skill) else skill))
            runtime.report(len(tried), {"strength": strength, "val/skill": tried[-1].skill})
            runtime.save(lambda: {"tried": [[entry.strength, entry.skill] for entry in tried]}, force=True)
    finally:
        runtime.flush()
    return tried


def strongest(tried: list[Tried]) -> float:
    """Return the strongest strength that still learns; the weakest where none does.

    Example:
        >>> strongest([Tried(0.25, 0.9), Tried(0.5, 0.8), Tried(0.75, 0.3)])
        0.5
    """
    learned = [entry.strength for number, entry in enumerate(tried, 1) if _learns(tried[:number])]
    return max(learned, default=tried[0].strength)


def _learns(tried: list[Tried]) -> bool:
    """Return True if the last strength keeps enough of the best skill so far."""
    return tried[-1].skill > 0 and tried[-1].skill >= KEPT * max(entry.skill for entry in tried)
