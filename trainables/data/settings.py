"""Which data a study uses and how it is decoded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from trainables.data.phantom.settings import PhantomSettings


@dataclass(frozen=True)
class DataSettings:
    """A dataset and its decoded form.

    Attributes:
        layout: its published form on disk, by name ("echonet", "camus").
        path: the dataset's folder; None where it is given at run time or where `phantom` is set.
        phantom: generate a dataset in this layout instead of reading one from `path`; None for real data.
        image_size: side of the stored square frames in pixels, from 8 up. Images are shrunk by area averaging (a
            bilinear filter as wide as the pixel, so free of aliasing) and enlarged bilinearly; masks take the nearest
            pixel. The aspect ratio is not kept; the stored spacing says so.
        stride: of the frames without a mask, every k-th is kept of those strictly between end-diastole and end-systole,
            or of the whole sequence where these are unknown; 0 keeps frames with masks only.
        views: names of the views to keep; None for all.
        split: "official" is the dataset's own; "fractions" divides the subjects by `fractions`; "auto" is the official
            one unless it is missing or leaves train, val or test empty.
        fractions: of the subjects in train, val and test.
        split_seed: names the division by fractions.
        tolerance: share of the listed sequences that may lose something before the dataset is refused, in [0, 1].
        unreadable: a file that cannot be decoded stops the study ("stop") or is left out as a loss ("skip").
    """

    layout: str = "echonet"
    path: str | None = None
    phantom: PhantomSettings | None = None
    image_size: int = 112
    stride: int = 1
    views: tuple[str, ...] | None = None
    split: Literal["auto", "official", "fractions"] = "auto"
    fractions: tuple[float, float, float] = (0.7, 0.15, 0.15)
    split_seed: int = 0
    tolerance: float = 0.02
    unreadable: Literal["stop", "skip"] = "stop"

    def __post_init__(self) -> None:
        if self.path is not None and self.phantom is not None:
            raise ValueError("give either path or phantom, not both")
        if self.image_size < 8:
            raise ValueError(f"image_size {self.image_size}: expected a whole number from 8 up")
        if self.stride < 0:
            raise ValueError(f"stride {self.stride}: expected a whole number from 0 up")
        if not 0 <= self.tolerance <= 1:
            raise ValueError(f"tolerance {self.tolerance}: expected a number in [0, 1]")
        if min(self.fractions) < 0 or sum(self.fractions) <= 0:
            raise ValueError(f"fractions {self.fractions}: expected three numbers from 0 up, not all zero")
