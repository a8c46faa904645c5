"""The propagation stage: pseudo-labels of all sequences with two labelled ends, and how good they are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np
import torch
from torch import Tensor

from trainables.common.errors import DataError
from trainables.data.records import SPLITS
from trainables.data.sampling.sequences import ends, half_cycles
from trainables.data.sampling.targets import DenseLabels
from trainables.data.store.frames import FrameStore
from trainables.metrics.overlap import dice
from trainables.metrics.surface import surface_distances
from trainables.registration.network import DLIR
from trainables.registration.propagate import Propagation, Register, propagate

Direction = Literal["forward", "backward", "bidirectional"]
DIRECTIONS: tuple[Direction, ...] = get_args(Direction)


@dataclass(frozen=True)
class Quality:
    """How pseudo-labels agree with a frame's own mask, for a frame between the labelled ends that has one.

    Attributes:
        subject: into the store's subjects.
        sequence: of the store.
        position: of the frame from end-diastole (0) to end-systole (1).
        direction: of the propagation.
        dice: by foreground class.
        mean_absolute: surface distance in mm, by foreground class; nan where the spacing is unknown.
        hausdorff: likewise.
    """

    subject: int
    sequence: int
    position: float
    direction: Direction
    dice: tuple[float, ...]
    mean_absolute: tuple[float, ...]
    hausdorff: tuple[float, ...]


@dataclass(frozen=True, eq=False)
class PseudoLabels:
    """What the stage gives.

    Attributes:
        labels: of the train and val splits' frames between labelled ends, the ends included.
        quality: of all three directions, wherever a dataset has the true masks; the test split's too, as nothing is
            chosen by it.
    """

    labels: DenseLabels
    quality: tuple[Quality, ...]


def pseudo_labels(
    settings: Propagation, network: DLIR, weights: Mapping[str, Tensor], store: FrameStore, device: torch.device
) -> PseudoLabels:
    """Carry labels through every sequence.

    The masks that a dataset has between the ends are compared with, never used.

    Args:
        settings: of the propagation.
        network: that was trained.
        weights: its state.
        store: the frames.
        device: to compute on.

    Raises:
        DataError: no sequence of the train split has masks of both ends, with frames between them.
    """
    built = network.build(store.channels, (store.image_size, store.image_size))
    built.load_state_dict(dict(weights))
    built.to(device).eval()
    rows, masks, quality = [], [], []
    for split in SPLITS:
        for sequence in half_cycles(store, split):
            ordered = _from_diastole(store, sequence)
            if len(ordered) < 3:
                continue
            images = torch.from_numpy(store.images[ordered]).to(device)
            carried = _Carried(settings, built.displacement, store, ordered, images)
            if split != "test":
                rows.append(ordered)
                masks.append(carried.labels(settings.direction))
            quality += carried.quality()
    if not any((store.index["split"][each] == SPLITS.index("train")).all() for each in rows):
        text = "masks of both end-diastole and end-systole and frames between them (data.stride from 1 up)"
        raise DataError(f"no sequence of the train split has {text}; expected at least one")
    order = np.argsort(np.concatenate(rows), kind="stable")
    labels = DenseLabels(np.concatenate(rows)[order], np.concatenate(masks)[order])
    return PseudoLabels(labels, tuple(quality))


class _Carried:
    """A sequence's labels in each direction, each made once."""

    def __init__(
        self, settings: Propagation, register: Register, store: FrameStore, rows: np.ndarray, images: Tensor
    ) -> None:
        self.settings, self.register, self.store, self.rows, self.images = settings, register, store, rows, images
        self.spacing = store.index["spacing"][rows[0]].astype(np.float64)
        numbers = store.index["mask"][rows]
        self.first, self.last = np.asarray(store.masks[numbers[0]]), np.asarray(store.masks[numbers[-1]])
        self.judged = 1 + np.flatnonzero(numbers[1:-1] >= 0)
        self._made: dict[Direction, np.ndarray] = {}

    def labels(self, direction: Direction) -> np.ndarray:
        """Class indices `(N, S, S)` of all frames."""
        if direction not in self._made:
            known = not np.isnan(self.spacing).any()
            spacing = (float(self.spacing[0]), float(self.spacing[1])) if known else (1.0, 1.0)
            settings, classes = replace(self.settings, direction=direction), len(self.store.classes)
            self._made[direction] = propagate(
                settings, self.register, self.images, self.first, self.last, classes, spacing
            )
        return self._made[direction]

    def quality(self) -> list[Quality]:
        """Of the frames between the ends that have a mask."""
        if len(self.judged) == 0:
            return []
        truth = np.asarray(self.store.masks[self.store.index["mask"][self.rows[self.judged]]])
        return [each for direction in DIRECTIONS for each in self._quality(direction, truth)]

    def _quality(self, direction: Direction, truth: np.ndarray) -> list[Quality]:
        found, classes = self.labels(direction)[self.judged], len(self.store.classes)
        overlap = dice(torch.from_numpy(found), torch.from_numpy(truth), classes).numpy()
        distances = surface_distances(found, truth, classes, (float(self.spacing[0]), float(self.spacing[1])))
        entry = self.store.index[self.rows[0]]
        return [
            Quality(
                int(entry["subject"]),
                int(entry["sequence"]),
                float(place / (len(self.rows) - 1)),
                direction,
                *(
                    tuple(map(float, table[number]))
                    for table in (overlap, distances.mean_absolute, distances.hausdorff)
                ),
            )
            for number, place in enumerate(self.judged)
        ]


def _from_diastole(store: FrameStore, rows: np.ndarray) -> np.ndarray:
    """A half cycle's rows from end-diastole to end-systole."""
    both = ends(store, rows)
    assert both is not None
    return rows if both[0] <= both[1] else rows[::-1].copy()
