"""Numbers of labelled subjects that a training uses."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class LabelCounts:
    """Numbers of labelled subjects that choose a network's weights.

    Attributes:
        training: subjects of the training split.
        validation: subjects of the validation split, which choose epoch and configuration.
    """

    training: int
    validation: int

    @property
    def total(self) -> int:
        """Number of subjects that need labels."""
        return self.training + self.validation

    def __str__(self) -> str:
        """Return the counts as text, such as "5 training + 2 validation subjects"."""
        return f"{self.training} training + {self.validation} validation subject{'' if self.total == 1 else 's'}"
