"""Early end of pretrainings that have collapsed, diverged or learn nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from trainables.common.learning import Learning, PretrainingFailed
from trainables.pretext.monitoring.learning import assess, collapsed, divergence
from trainables.pretext.monitoring.signs import Sign

GuardMode = Literal["stop", "warn", "off"]
"""Effect of the verdict on a pretraining: end a hopeless run early, be recorded only, or not be computed."""

PATIENCE = 3
"""Consecutive bad evaluations, or consecutive epochs with a diverged loss, that end a run."""

SHARE = 0.5
"""Share of the epochs after which a run that is still at chance is ended."""

MIN_STEPS = 300
"""Optimizer steps before which a run that is still at chance is not ended."""

HOPELESS = 0.5
"""Share of the skill for "weak" below which an evaluation counts as chance."""


@dataclass(frozen=True)
class LearningGuard:
    """Callback that ends a hopeless pretraining.

    A run ends when its embeddings are collapsed for `PATIENCE` evaluations, when its loss has diverged for `PATIENCE`
    epochs, or when its skill is near chance for `PATIENCE` evaluations after `SHARE` of its epochs and `MIN_STEPS`.

    Attributes:
        sign: the method's sign of learning; None to check for collapse and divergence only.
        epochs: planned number of epochs.
        steps: optimizer steps of an epoch.
        untrained: metrics `val/...` of the network before its first epoch; None where they are not known.
        images: number of evaluated images; None if there are enough.
    """

    sign: Sign | None
    epochs: int
    steps: int
    untrained: Mapping[str, float] | None = None
    images: int | None = None

    def __call__(self, history: Sequence[Mapping[str, float]]) -> None:
        """Check the metrics of all epochs so far.

        Raises:
            PretrainingFailed: the run is hopeless.
        """
        for learning in (self._collapse(history), self._divergence(history), self._no_learning(history)):
            if learning is not None:
                ended = f"stopped by pretext.guard after {len(history)} of {self.epochs} epochs (`warn` trains on)"
                raise PretrainingFailed(learning, ended)

    def _collapse(self, history: Sequence[Mapping[str, float]]) -> Learning | None:
        last = _last_evaluations(history, "val/embedding_std")
        return assess(self.sign, history, self.untrained, self.images) if last and all(map(collapsed, last)) else None

    def _divergence(self, history: Sequence[Mapping[str, float]]) -> Learning | None:
        last = [divergence(history[: len(history) - back]) for back in range(min(PATIENCE, len(history)))]
        return last[0] if len(last) == PATIENCE and all(last) else None

    def _no_learning(self, history: Sequence[Mapping[str, float]]) -> Learning | None:
        first = max(SHARE * self.epochs, MIN_STEPS / max(1, self.steps))
        if self.sign is None or len(history) < first:
            return None
        last = _last_evaluations(history, f"val/{self.sign.metric}")
        enough = self.images is None or self.images >= self.sign.min_images
        hopeless = enough and last and all(self.sign.skill(row) < HOPELESS * self.sign.weak for row in last)
        return assess(self.sign, history, self.untrained, self.images) if hopeless else None


def _last_evaluations(history: Sequence[Mapping[str, float]], metric: str) -> list[Mapping[str, float]]:
    """Return the last `PATIENCE` evaluations with a metric; none where fewer exist or the last epoch has none."""
    rows = [row for row in history if metric in row][-PATIENCE:]
    return rows if len(rows) == PATIENCE and metric in history[-1] else []
