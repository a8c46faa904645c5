"""Verdict on a pretraining, as jobs, ledger and reports carry it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from trainables.common.errors import TrainingFailed

Verdict = Literal["learned", "weak", "not learned", "collapsed", "diverged", "unknown"]


@dataclass(frozen=True)
class Learning:
    """Verdict on a pretraining, with the numbers that it rests on.

    Attributes:
        verdict: "learned"; "weak" (the task was learned in part, or the untrained network could do it as well); "not
            learned" (at chance, or near it); "collapsed" (all images have nearly one embedding); "diverged"; or
            "unknown" (nothing to evaluate, or a method without a sign of learning).
        reason: numbers behind the verdict, without a full stop.
        advice: suggestion for a better pretraining; "" for one that learned.
        skill: skill of the last evaluation, 0 at chance and 1 for perfect; None where it is not known.
    """

    verdict: Verdict
    reason: str
    advice: str = ""
    skill: float | None = None

    @property
    def healthy(self) -> bool:
        """True unless the weights are known to have learned nothing."""
        return self.verdict in ("learned", "weak", "unknown")

    @property
    def doubtful(self) -> bool:
        """True if the weights are known not to have clearly learned their task."""
        return self.verdict not in ("learned", "unknown")

    @property
    def summary(self) -> str:
        """Verdict, the first number of the reason, and the advice, in a short line.

        Example:
            >>> Learning("weak", "matched views 5.0%; uniformity -1.2", "train longer").summary
            'weak: matched views 5.0%. Fix: train longer'
        """
        return replace(self, reason=self.reason.partition("; ")[0]).text

    @property
    def text(self) -> str:
        """Verdict, reason and advice in one line."""
        return f"{self.verdict}: {self.reason}" + (f". Fix: {self.advice}" if self.advice else "")


class PretrainingFailed(TrainingFailed):
    """A pretraining that ended early because it collapsed, diverged or learned nothing.

    Args:
        learning: verdict at its end.
        ended: name of the guard that ended it and the epoch, for the message; "" for neither.

    Attributes:
        learning: verdict at its end.
    """

    def __init__(self, learning: Learning, ended: str = "") -> None:
        super().__init__(f"{ended}: {learning.text}" if ended else learning.text)
        self.learning = learning
