"""Settings of a dataset: where it is, how it is decoded and how it is split."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from trainables.common.added import ADDED
from trainables.common.errors import UserError
from trainables.data.layouts.echonet import EchoNetDynamic
from trainables.data.readers.limits import MAX_GIGABYTES
from trainables.data.records import Layout
from trainables.phantom import PhantomSettings, phantom_form

MAX_IMAGE_SIZE = 4096
"""Largest side of a stored frame in pixels; one frame then takes 17 MB for each channel."""


@dataclass(frozen=True)
class DataSettings:
    """A dataset and its decoded form.

    Example:
        >>> DataSettings(image_size=64, structures=("lv",)).layout.title
        'EchoNet-Dynamic'

    Attributes:
        layout: the dataset's published form on disk.
        path: the dataset's folder; None where it is given at run time or where `phantom` is set.
        phantom: settings of a dataset to generate in this layout instead of reading one from `path`; None for real
            data.
        image_size: side of the stored square frames in pixels, from 8 to 4096. Images are shrunk by area averaging (a
            box filter as wide as the stored pixel, so free of aliasing) and enlarged bilinearly; masks use the nearest
            pixel. The aspect ratio is not kept; the stored spacing accounts for it.
        pixel_mm: width of the stored pixels in mm: images are resampled to it, then cropped or padded about their
            centre to `image_size`; None stretches the full image to the stored square.
        stride: step between the stored frames without a mask, taken strictly between end-diastole and end-systole, or
            from the full sequence where these are unknown; 0 stores frames with masks only.
        structures: names of the mask's classes to keep, the others becoming background; None for all.
        views: names of the views to keep; None for all.
        exclude: names of subjects to leave out, as the dataset writes them; empty for none.
        split: "official" is the dataset's official split; "fractions" splits the subjects by `fractions`; "auto" is the
            official split, its training subjects being split where it has no val, and `fractions` where it has no
            train or test.
        fractions: shares of the labelled subjects in train, val and test; unlabelled subjects are training data.
        split_seed: seed of the split by fractions.
        tolerance: largest share that may be lost of the listed sequences, of their masks, or of the listed files, each
            counted by itself, before the dataset is refused, in [0, 1].
        on_error: "stop" stops the study at a file that cannot be decoded; "skip" leaves the file out as a loss.
        max_gigabytes: largest size in GB of one decoded file, above 0; a larger one is refused before it is decoded.
        links: "follow" reads what symbolic links in the dataset's folder lead to, wherever it is; "inside" refuses a
            dataset with a link that leads out of its folder.
    """

    layout: Layout = field(default_factory=EchoNetDynamic)
    path: str | None = None
    phantom: PhantomSettings | None = None
    image_size: int = 112
    pixel_mm: float | None = None
    stride: int = 1
    structures: tuple[str, ...] | None = None
    views: tuple[str, ...] | None = None
    exclude: tuple[str, ...] = field(default=(), metadata=ADDED)
    split: Literal["auto", "official", "fractions"] = "auto"
    fractions: tuple[float, float, float] = (0.7, 0.15, 0.15)
    split_seed: int = 0
    tolerance: float = 0.02
    on_error: Literal["stop", "skip"] = "stop"
    max_gigabytes: float = MAX_GIGABYTES
    links: Literal["follow", "inside"] = "follow"

    def __post_init__(self) -> None:
        if self.phantom is not None:
            try:
                phantom_form(self.layout, self.phantom.form)
            except UserError as error:
                raise ValueError(str(error)) from None
        if self.path is not None and self.phantom is not None:
            raise ValueError("path and phantom are both set (expected at most one). Fix: remove one of them")
        if not 8 <= self.image_size <= MAX_IMAGE_SIZE:
            raise ValueError(f"image_size {self.image_size}: expected a whole number from 8 to {MAX_IMAGE_SIZE}")
        if self.pixel_mm is not None and not self.pixel_mm > 0:
            raise ValueError(f"pixel_mm {self.pixel_mm}: expected a number above 0")
        if self.structures is not None and len(set(self.structures) - {"background"}) != len(self.structures):
            raise ValueError(f"structures {self.structures}: expected different names, background not among them")
        for name, chosen in (("structures", self.structures), ("views", self.views)):
            if chosen is not None and not chosen:
                raise ValueError(f"{name} []: expected at least one name. Fix: name one, or set null for all")
        if self.stride < 0:
            raise ValueError(f"stride {self.stride}: expected a whole number from 0 up")
        if not 0 <= self.tolerance <= 1:
            raise ValueError(f"tolerance {self.tolerance}: expected a number in [0, 1]")
        if not self.max_gigabytes > 0:
            raise ValueError(f"max_gigabytes {self.max_gigabytes}: expected a number above 0")
        if min(self.fractions) < 0 or sum(self.fractions) <= 0:
            raise ValueError(f"fractions {self.fractions}: expected three numbers from 0 up, not all zero")
