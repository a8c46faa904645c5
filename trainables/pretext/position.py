"""Anatomical position prediction (Bai et al. 2019): nine positions defined by the heart's imaging planes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from trainables.augment.batch_rng import to_device_async
from trainables.augment.policy import Policy
from trainables.common.added import ADDED
from trainables.common.errors import DataError
from trainables.data.sampling.batches import Batch
from trainables.data.store.frames import FrameStore
from trainables.engine.task import Task
from trainables.metrics.overlap import counts, dice_from_counts
from trainables.networks.backbones import Backbone
from trainables.networks.network import SegmentationNetwork
from trainables.networks.normalise import Normalise
from trainables.pretext.method import NetworkMethod
from trainables.pretext.monitoring.signs import BOXES, Sign
from trainables.pretext.parts.planes import intersection_line, intersection_point, normal_of

POSITIONS = 9
_LEFT, _FRONT, _HEAD = np.array([1.0, 0, 0]), np.array([0, -1.0, 0]), np.array([0, 0, 1.0])


@dataclass(frozen=True)
class PositionPrediction(NetworkMethod):
    """Settings of the ten-way segmentation of nine boxes and the background.

    On every short-axis image the planes of the four- and the two-chamber view draw two lines that meet in the left
    ventricle; on a four-chamber image the middle short-axis plane and the two-chamber plane do. Box 1 lies where the
    lines meet. The others are centred on the lines, at one and at two distances from there to both sides, the nearer
    one first:

    | boxes | short axis (figure 1b) | long axis (figure 1c) |
    |---|---|---|
    | 2, 3 | four-chamber line, to the patient's left | short-axis line, to the patient's left |
    | 4, 5 | four-chamber line, to the right | short-axis line, to the right |
    | 6, 7 | two-chamber line, to the front | two-chamber line, towards the head |
    | 8, 9 | two-chamber line, to the back | two-chamber line, towards the feet |

    A box has the same number in every heart, however the heart lies, since the view that draws a line names it: the
    directions of two lines may be equally far to the left. The sides of a box are along the image's rows and columns.

    Attributes:
        image: images to train on, "short_axis" or "long_axis".
        box_mm: side of the boxes, rounded to whole pixels of the store; 11 pixels of 1.82 mm in the paper.
        distance_mm: distance between neighbouring boxes' centres; 30 pixels of 1.82 mm in the paper.
        cines: train on the frames of cines, too; False for images of single moments alone, which are end-diastole and
            end-systole, as in the paper, where `data.layout.frame_step` exceeds the length of the cines.
    """

    image: Literal["short_axis", "long_axis"] = "short_axis"
    box_mm: float = 20.02
    distance_mm: float = 54.6
    cines: bool = field(default=True, metadata=ADDED)

    def __post_init__(self) -> None:
        if not 0 < self.box_mm < self.distance_mm:
            raise ValueError(f"box_mm {self.box_mm}, distance_mm {self.distance_mm}: expected 0 < box_mm < distance_mm")

    def rows(self, store: FrameStore, rows: np.ndarray) -> np.ndarray:
        """Return the frames on which the nine positions are known.

        Raises:
            DataError: no subject has the required views with their geometry.
        """
        known = ~np.isnan(positions(store, self)[:, 0, 0])
        if not known.any():
            view, others = self.planes
            needed = f"a {view} view with the planes of {' and '.join(others)} of the same subject"
            raise DataError(f"position prediction needs {needed}; {_missing(store, (view, *others))}")
        if not self.cines:
            known &= store.index["stack"] == 1
        return np.asarray(rows[known[rows]])

    @property
    def planes(self) -> tuple[str, tuple[str, str]]:
        """View whose images are used, and the views whose planes intersect them (left-right, then upwards)."""
        return ("SA", ("4CH", "2CH")) if self.image == "short_axis" else ("4CH", ("SA", "2CH"))

    @property
    def sign(self) -> Sign:
        """Dice of the predicted boxes."""
        return BOXES

    def labels(self, store: FrameStore, rows: np.ndarray) -> Tensor:
        """Return the frames' box maps, uint8 `(B, S, S)`: 0 background, 1 to 9 the positions."""
        centres = torch.from_numpy(positions(store, self)[rows])
        return box_maps(centres, self.sides(torch.from_numpy(np.array(store.index["spacing"][rows]))), store.image_size)

    def sides(self, spacing: Tensor) -> Tensor:
        """Return the boxes' heights and widths `(B, 2)` in whole pixels."""
        return (self.box_mm / spacing).round().clamp_min(1)

    def build(self, backbone: Backbone, decoder: nn.Module, augment: Policy, store: FrameStore) -> PositionTask:
        """Return the task that trains backbone and decoder."""
        return PositionTask(self, backbone, decoder, augment, store)


class PositionTask(Task):
    """Training of backbone, decoder and a head of ten classes by cross-entropy."""

    division = "images"

    def __init__(
        self, settings: PositionPrediction, backbone: Backbone, decoder: nn.Module, augment: Policy, store: FrameStore
    ) -> None:
        super().__init__()
        self.settings, self.augment, self.size = settings, augment, store.image_size
        self.normalise = Normalise(store.mean, store.std)
        self.network = SegmentationNetwork(backbone, decoder, POSITIONS + 1)
        self._centres = torch.from_numpy(positions(store, settings))
        self._spacing = torch.from_numpy(np.array(store.index["spacing"]))

    def training_step(self, batch: Batch) -> dict[str, Tensor]:
        """Return the cross-entropy on the augmented batch with transformed boxes."""
        images, boxes = self.augment.apply(batch.images, self.boxes(batch), batch.draw)
        assert boxes is not None
        return {"loss": F.cross_entropy(self.network(self.normalise(images)).float(), boxes.long())}

    def evaluate(self, batches: Iterable[Batch]) -> dict[str, float]:
        """Return the cross-entropy without augmentation, and the boxes' Dice over all frames."""
        losses, overlap, sizes = [], [], []
        for batch in batches:
            boxes = self.boxes(batch)
            logits = self.network(self.normalise(batch.images.float() / 255)).float()
            losses.append(F.cross_entropy(logits, boxes.long()))
            common, both = counts(logits.argmax(1), boxes, POSITIONS + 1)
            overlap.append(common.sum(0))
            sizes.append(both.sum(0))
        dice = dice_from_counts(torch.stack(overlap).sum(0), torch.stack(sizes).sum(0), "nan")
        named = {f"box_dice/{number}": float(value) for number, value in enumerate(dice, 1)}
        return {"loss": float(torch.stack(losses).mean()), "box_dice": float(dice.nanmean()), **named}

    def boxes(self, batch: Batch) -> Tensor:
        """Return the batch's box maps, uint8 `(B, S, S)`: 0 background, 1 to 9 the positions."""
        rows = batch.rows.cpu()
        centres, sides = self._centres[rows], self.settings.sides(self._spacing[rows])
        return box_maps(to_device_async(centres, batch.device), to_device_async(sides, batch.device), self.size)


def box_maps(centres: Tensor, sides: Tensor, size: int) -> Tensor:
    """Rasterize boxes into label maps.

    Args:
        centres: centre (row, column) of each box `(B, 9, 2)`.
        sides: heights and widths `(B, 2)` in whole pixels.
        size: side of the maps in pixels.

    Returns:
        Label maps, uint8 `(B, size, size)`: the number of the box from 1, 0 outside all boxes.
    """
    from_centre = torch.arange(size, dtype=centres.dtype, device=centres.device) - centres[..., None]  # (B, 9, 2, size)
    half = sides[:, None, :, None] / 2
    inside = (from_centre >= -half) & (from_centre < half)
    held = inside[:, :, 0, :, None] & inside[:, :, 1, None, :]
    numbers = torch.arange(1, centres.shape[1] + 1, dtype=torch.uint8, device=centres.device)[None, :, None, None]
    return (held * numbers).amax(1)


def positions(store: FrameStore, settings: PositionPrediction) -> np.ndarray:
    """Return the nine positions (row, column) of every frame in pixels, float32 `(N, 9, 2)`; NaN where unknown."""
    found = np.full((len(store), POSITIONS, 2), np.nan, np.float32)
    view, others = settings.planes
    if not {view, *others} <= set(store.views):
        return found
    planes, views = store.index["plane"], np.asarray(store.index["view"])
    for rows in _by_subject(store):
        of = {name: rows[views[rows] == store.views.index(name)] for name in (view, *others)}
        if not all(len(each) for each in of.values()):
            continue
        across, along = (_middle(planes[of[name]].astype(np.float64)) for name in others)
        # The frames of a sequence share their plane: intersect it once for all of them.
        images, frame = np.unique(planes[of[view]].reshape(-1, 9), axis=0, return_inverse=True)
        for number, image in enumerate(images.reshape(-1, 3, 3).astype(np.float64)):
            places = anatomical_positions(image, across, along, settings)
            if places is not None and _inside(places[0], store.image_size):
                found[of[view][frame.ravel() == number]] = places
    return found


def anatomical_positions(
    image: np.ndarray, across: np.ndarray, along: np.ndarray, settings: PositionPrediction
) -> np.ndarray | None:
    """Return the nine positions (row, column) in an image's pixels, `(9, 2)`; None where the planes do not define them.

    Args:
        image: plane of the image.
        across: plane that intersects the image from right to left.
        along: plane that intersects the image from back to front, on long-axis images from feet to head.
        settings: distance and kind of images.
    """
    lines = intersection_line(image, across), intersection_line(image, along)
    if lines[0] is None or lines[1] is None:
        return None
    middle = intersection_point(lines[0], lines[1])
    left = lines[0].towards(_LEFT)
    upper = lines[1].towards(_FRONT if settings.image == "short_axis" else _HEAD)
    if middle is None or left is None or upper is None:
        return None
    steps = (left.step, -left.step, upper.step, -upper.step)
    places = [middle + count * settings.distance_mm * step for step in steps for count in (1, 2)]
    return np.array([middle, *places])


def _by_subject(store: FrameStore) -> list[np.ndarray]:
    """Return the rows of each subject's frames with known planes."""
    known = np.flatnonzero(~np.isnan(store.index["plane"]).any(axis=(1, 2)))
    subjects = store.index["subject"][known]
    order = np.argsort(subjects, kind="stable")
    return np.split(known[order], np.flatnonzero(np.diff(subjects[order])) + 1)


def _middle(planes: np.ndarray) -> np.ndarray:
    """Return the middle one of parallel planes `(n, 3, 3)`."""
    height = planes[:, 0] @ normal_of(planes[0])
    return np.asarray(planes[np.argmin(np.abs(height - np.median(np.unique(height.round(2)))))])


def _inside(place: np.ndarray, size: int) -> bool:
    return bool((place >= 0).all() and (place <= size - 1).all())


def _missing(store: FrameStore, views: tuple[str, ...]) -> str:
    """Return the reason why no frame has its nine positions, for an error message."""
    absent = [view for view in views if view not in store.views]
    if absent:
        return f"the dataset has no {' and no '.join(absent)} (its views: {', '.join(store.views) or 'none'})"
    known = ~np.isnan(store.index["plane"]).any(axis=(1, 2))
    unplaced = [view for view in views if not known[store.index["view"] == store.views.index(view)].any()]
    if unplaced:
        text = "say where they lie in the patient (position, orientation and pixel spacing in the files)"
        return f"no frames of {' and '.join(unplaced)} {text}"
    return "no subject has all of them with planes that cut each other inside the image"
