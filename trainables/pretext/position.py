"""Anatomical position prediction (Bai et al. 2019): find nine places that the heart's view planes define."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from trainables.augment.policy import Policy
from trainables.data.batches import Batch
from trainables.data.frames import FrameStore
from trainables.errors import DataError
from trainables.loop import Task
from trainables.metrics.overlap import counts, dice_of
from trainables.networks.backbones import Backbone
from trainables.networks.network import SegmentationNetwork
from trainables.networks.normalise import Normalise
from trainables.pretext.method import NetworkMethod
from trainables.pretext.planes import Line, cut, meeting, normal_of

POSITIONS = 9
_LEFT, _FRONT, _HEAD = np.array([1.0, 0, 0]), np.array([0, -1.0, 0]), np.array([0, 0, 1.0])


@dataclass(frozen=True)
class PositionPrediction(NetworkMethod):
    """Ten-way segmentation of nine boxes and the background.

    On a short-axis image the planes of the two- and the four-chamber view draw two lines that meet in the left
    ventricle; on a four-chamber image the two-chamber plane and the middle short-axis plane do. The boxes are centred
    where the lines meet and, on each line, at one and two distances to both sides: 1 is the meeting, 2 and 3 lie to the
    patient's left, 4 and 5 to the right, 6 and 7 to the front (on a four-chamber image: towards the head), 8 and 9 to
    the back (towards the feet), the nearer one first.

    Attributes:
        image: "short_axis" or "long_axis" images.
        box_mm: side of the boxes; 11 pixels of 1.82 mm in the paper.
        distance_mm: between neighbouring boxes' centres; 30 pixels of 1.82 mm in the paper.
    """

    image: Literal["short_axis", "long_axis"] = "short_axis"
    box_mm: float = 20.02
    distance_mm: float = 54.6

    def __post_init__(self) -> None:
        if not 0 < self.box_mm < self.distance_mm:
            raise ValueError(f"box_mm {self.box_mm}, distance_mm {self.distance_mm}: expected 0 < box_mm < distance_mm")

    def rows(self, store: FrameStore, rows: np.ndarray) -> np.ndarray:
        """Frames on which the nine places are known.

        Raises:
            DataError: no subject has the views that this needs, with their geometry.
        """
        known = ~np.isnan(positions(store, self)[:, 0, 0])
        if not known.any():
            view, others = self.planes
            text = f"a {view} view with the planes of {' and '.join(others)} of the same subject"
            raise DataError(f"position prediction needs {text}; the dataset has none (its views: {store.views})")
        return np.asarray(rows[known[rows]])

    @property
    def planes(self) -> tuple[str, tuple[str, str]]:
        """The view whose images are used, and those whose planes cut them."""
        return ("SA", ("4CH", "2CH")) if self.image == "short_axis" else ("4CH", ("SA", "2CH"))

    def build(self, backbone: Backbone, decoder: nn.Module, augment: Policy, store: FrameStore) -> PositionTask:
        """The task."""
        return PositionTask(self, backbone, decoder, augment, store)


class PositionTask(Task):
    """Trains backbone, decoder and a head of ten classes by cross-entropy."""

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
        """Cross-entropy on the augmented batch, its boxes moved along."""
        images, boxes = self.augment.apply(batch.images, self.boxes(batch), batch.draw)
        assert boxes is not None
        return {"loss": F.cross_entropy(self.network(self.normalise(images)).float(), boxes.long())}

    def evaluate(self, batches: Iterable[Batch]) -> dict[str, float]:
        """The same without augmentation, and the boxes' Dice over all frames."""
        losses, overlap, sizes = [], [], []
        for batch in batches:
            boxes = self.boxes(batch)
            logits = self.network(self.normalise(batch.images.float() / 255)).float()
            losses.append(F.cross_entropy(logits, boxes.long()))
            common, both = counts(logits.argmax(1), boxes, POSITIONS + 1)
            overlap.append(common.sum(0))
            sizes.append(both.sum(0))
        dice = dice_of(torch.stack(overlap).sum(0), torch.stack(sizes).sum(0), "nan")
        named = {f"box_dice/{number}": float(value) for number, value in enumerate(dice, 1)}
        return {"loss": float(torch.stack(losses).mean()), "box_dice": float(dice.nanmean()), **named}

    def boxes(self, batch: Batch) -> Tensor:
        """The batch's box maps, uint8 `(B, S, S)`: 0 background, 1 to 9 the positions."""
        rows = batch.rows.cpu()
        half = self.settings.box_mm / 2 / self._spacing[rows]
        return box_maps(self._centres[rows], half, self.size).to(batch.device)


def box_maps(centres: Tensor, half: Tensor, size: int) -> Tensor:
    """Draw boxes.

    Args:
        centres: (row, column) of each `(B, 9, 2)`.
        half: half their sides `(B, 2)` in pixels.
        size: of the maps.

    Returns:
        uint8 `(B, size, size)`: the number of the box, from 1, that holds the pixel's centre; 0 outside all.
    """
    grid = torch.arange(size, dtype=centres.dtype)
    inside = [
        (grid - centres[:, :, axis, None]).abs() <= half[:, None, axis, None] for axis in (0, 1)
    ]  # each (B, 9, size)
    held = inside[0][..., :, None] & inside[1][..., None, :]
    numbers = torch.arange(1, centres.shape[1] + 1, dtype=torch.uint8)[None, :, None, None]
    return (held * numbers).amax(1)


def positions(store: FrameStore, settings: PositionPrediction) -> np.ndarray:
    """The nine places of every frame, float32 `(N, 9, 2)` (row, column) in stored pixels; NaN where unknown."""
    found = np.full((len(store), POSITIONS, 2), np.nan, np.float32)
    view, others = settings.planes
    if not {view, *others} <= set(store.views):
        return found
    planes = np.asarray(store.index["plane"], np.float64)
    usable = ~np.isnan(planes).any(axis=(1, 2))
    for subject in np.unique(store.index["subject"]):
        mine = usable & (store.index["subject"] == subject)
        cutting = [_plane_of(store, planes, mine, other) for other in others]
        rows = np.flatnonzero(mine & (store.index["view"] == store.views.index(view)))
        for row in rows:
            places = nine_places(planes[row], cutting, settings)
            if places is not None and _inside(places[0], store.image_size):
                found[row] = places
    return found


def nine_places(
    image: np.ndarray, cutting: Iterable[np.ndarray | None], settings: PositionPrediction
) -> np.ndarray | None:
    """The nine places `(9, 2)` (row, column) in an image's pixels; None where the planes do not define them.

    Args:
        image: its plane.
        cutting: the two planes that cut it.
        settings: their distance, and how the lines are told apart.
    """
    lines = [cut(image, plane) for plane in cutting if plane is not None]
    one, two = lines if len(lines) == 2 else (None, None)
    if one is None or two is None:
        return None
    middle = meeting(one, two)
    if middle is None:
        return None
    across, along = (one, two) if abs(one.direction @ _LEFT) >= abs(two.direction @ _LEFT) else (two, one)
    upper = _FRONT if settings.image == "short_axis" else _HEAD
    places = [middle]
    for line, towards in ((across, _LEFT), (along, upper)):
        for sign in (1, -1):
            places += [middle + sign * share * _step(line, towards, settings) for share in (1, 2)]
    return np.array(places)


def _step(line: Line, towards: np.ndarray, settings: PositionPrediction) -> np.ndarray:
    return np.asarray(line.step * settings.distance_mm * (1 if line.direction @ towards >= 0 else -1))


def _plane_of(store: FrameStore, planes: np.ndarray, mine: np.ndarray, view: str) -> np.ndarray | None:
    """A subject's plane of a view; of several parallel ones the middle one."""
    rows = np.flatnonzero(mine & (store.index["view"] == store.views.index(view)))
    if not len(rows):
        return None
    height = planes[rows, 0] @ normal_of(planes[rows[0]])
    return np.asarray(planes[rows[np.argmin(np.abs(height - np.median(np.unique(height.round(2)))))]])


def _inside(place: np.ndarray, size: int) -> bool:
    return bool((place >= 0).all() and (place <= size - 1).all())
