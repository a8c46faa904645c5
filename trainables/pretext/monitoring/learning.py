"""Verdict on a pretraining: whether it learned its task, by its own validation metrics."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from trainables.common.learning import Learning
from trainables.pretext.monitoring.signs import Sign

COLLAPSED_STD = 0.01
"""Embeddings, or predictions, below this standard deviation are one point; 1 is a uniform spread."""

COLLAPSED_RANK = 1.05
"""Embeddings below this effective rank lie on a line."""

DIVERGED = 100.0
"""A training loss above this multiple of the first epoch's has diverged."""

GAIN = 0.05
"""Least gain of skill over the untrained network; with less, the network knew the task before it was trained."""


def assess(
    sign: Sign | None,
    history: Sequence[Mapping[str, float]],
    untrained: Mapping[str, float] | None = None,
    images: int | None = None,
) -> Learning:
    """Return the verdict on a pretraining after the epochs of its history.

    Args:
        sign: the method's sign of learning; None for a method that states none.
        history: metrics of every epoch so far.
        untrained: metrics `val/...` of the network before its first epoch; None where they are not known.
        images: number of evaluated images; None if there are enough.
    """
    diverged = divergence(history)
    if diverged is not None:
        return diverged
    evaluated = [row for row in history if any(name.startswith("val/") for name in row)]
    if not evaluated:
        return Learning("unknown", "no validation images")
    last = evaluated[-1]
    known = sign is not None and sign.known(last)
    reason = "; ".join([*([sign.text(last)] if sign is not None and known else []), *_context(sign, last, untrained)])
    if collapsed(last):
        return Learning("collapsed", reason, "lower the learning rate or increase the batch size")
    if sign is None or not known:
        return Learning("unknown", "; ".join(["the method states no sign of learning", *([reason] if reason else [])]))
    skill = sign.skill(last)
    if math.isnan(skill):
        return Learning("unknown", reason)
    if images is not None and images < sign.min_images:
        few = f"only {images} validation images, expected at least {sign.min_images}"
        return Learning("unknown", f"{few}; {reason}", skill=skill)
    reason = f"skill {skill:.2f}, learned from {sign.learned:g}: {reason}"
    if skill < sign.weak:
        return Learning("not learned", reason, sign.advice, skill)
    before = sign.skill(untrained) if untrained is not None and sign.known(untrained) else 0.0
    if sign.gains and skill - before < GAIN:
        advice = "the task is too easy: strengthen the augmentation, or train longer"
        return Learning("weak", f"{reason}; the untrained network does it as well", advice, skill)
    if skill < sign.learned:
        return Learning("weak", reason, sign.advice, skill)
    return Learning("learned", reason, skill=skill)


def collapsed(row: Mapping[str, float]) -> bool:
    """Return True if an evaluation shows one embedding, or one prediction, for all images."""
    spread = [row[name] for name in ("val/embedding_std", "val/prediction_std") if name in row]
    return any(not value >= COLLAPSED_STD for value in spread) or not (
        row.get("val/effective_rank", math.inf) >= COLLAPSED_RANK
    )


def divergence(history: Sequence[Mapping[str, float]]) -> Learning | None:
    """Return the verdict on a diverged loss, or None; losses that can be negative, as similarities, are not checked."""
    losses = [row["loss"] for row in history if "loss" in row]
    if not losses or losses[0] <= 0 or losses[-1] <= DIVERGED * losses[0]:
        return None
    reason = f"loss {losses[-1]:.3g} after {len(history)} epochs, {losses[0]:.3g} in the first"
    return Learning("diverged", reason, "lower the learning rate")


def _context(sign: Sign | None, last: Mapping[str, float], untrained: Mapping[str, float] | None) -> list[str]:
    """Return further numbers for the reason, beside those of the untrained network where they are known."""
    before = untrained or {}
    found = []
    if sign is not None and sign.known(before):
        value = before[f"val/{sign.metric}"]
        found.append(f"untrained {value:.1%}" if sign.kind != "error" else f"untrained {value:.3g}")
    spread = (("embedding_std", "embedding std"), ("prediction_std", "prediction std")) if collapsed(last) else ()
    if "val/matching_accuracy" in last and (sign is None or sign.metric != "matching_accuracy"):
        found.append(f"matched views {last['val/matching_accuracy']:.1%}")
    for name, label in (*spread, ("effective_rank", "effective rank"), ("probe_dice", "probe Dice")):
        if f"val/{name}" in last:
            was = f" (untrained {before[f'val/{name}']:.3g})" if f"val/{name}" in before else ""
            found.append(f"{label} {last[f'val/{name}']:.3g}{was}")
    if "val/uniformity" in last:
        found.append(f"uniformity {last['val/uniformity']:.2f}")
    return found
