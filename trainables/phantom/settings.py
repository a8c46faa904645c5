"""Settings of a generated dataset."""

from __future__ import annotations

from dataclasses import dataclass

PHANTOM_VERSION = 2
"""Version of what equal settings generate; a phantom of another version is generated anew."""


@dataclass(frozen=True)
class PhantomSettings:
    """Size and randomness of a generated dataset.

    Attributes:
        subjects: number of patients, from 1 up.
        frames: frames per video, from 8 up; they span one to one and a half heartbeats.
        size: side of the images in pixels, from 32 up; the default 112 is EchoNet-Dynamic's.
        slices: slices per volume, from 4 up.
        seed: seed of everything random; equal seeds give equal files of one version.
        fractions: fractions of subjects in train, val and test, where the layout has a split.
        form: name of the phantom, such as "decathlon_liver"; None for the layout's first one.
    """

    subjects: int = 300
    frames: int = 24
    size: int = 112
    slices: int = 8
    seed: int = 0
    fractions: tuple[float, float, float] = (0.8, 0.1, 0.1)
    form: str | None = None

    def __post_init__(self) -> None:
        if self.subjects < 1:
            raise ValueError(f"subjects {self.subjects}: expected a whole number from 1 up")
        if self.frames < 8:
            raise ValueError(f"frames {self.frames}: expected a whole number from 8 up")
        if self.size < 32:
            raise ValueError(f"size {self.size}: expected a whole number from 32 up")
        if self.slices < 4:
            raise ValueError(f"slices {self.slices}: expected a whole number from 4 up")
        if min(self.fractions) < 0 or sum(self.fractions) <= 0:
            raise ValueError(f"fractions {self.fractions}: expected three numbers from 0 up, not all zero")
