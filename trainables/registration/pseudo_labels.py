"""The propagation stage: pseudo-labels of all sequences with two labelled ends, and their quality."""

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
    """Agreement of pseudo-labels with the expert mask of one frame between the labelled ends.

    Attributes:
        subject: index into the store's subjects.
        sequence: sequence number in the store.
        position: relative position of the frame, from 0 at end-diastole to 1 at end-systole.
        direction: direction of the propagation.
        dice: Dice coefficient of each foreground class, in [0, 1].
        mean_absolute: mean absolute surface distance of each foreground class in mm; nan if the spacing is unknown.
        hausdorff: Hausdorff distance of each foreground class in mm; nan if the spacing is unknown.
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
    """Result of the propagation stage.

    Attributes:
        labels: pseudo-labels of the train and val splits' frames between labelled ends, ends included.
        quality: quality of all three directions at each frame with an expert mask; the test split is included, as no
            choice depends on it.
    """

    labels: DenseLabels
    quality: tuple[Quality, ...]


def pseudo_labels(
    settings: Propagation, network: DLIR, weights: Mapping[str, Tensor], store: FrameStore, device: torch.device
) -> PseudoLabels:
    """Propagate labels through every sequence with two labelled ends.

    Expert masks between the ends serve only to evaluate the pseudo-labels.

    Args:
        settings: direction, warping and blending of the propagation.
        network: settings of the trained registration network.
        weights: state dict of the trained network.
        store: frame store of the dataset.
        device: device that registers and warps.

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
            sequence_labels = _SequenceLabels(settings, built.displacement, store, ordered, images)
            if split != "test":
                rows.append(ordered)
                masks.append(sequence_labels.labels(settings.direction))
            quality += sequence_labels.quality()
    if not any((store.index["split"][each] == SPLITS.index("train")).all() for each in rows):
        text = "masks of both end-diastole and end-systole and frames between them (data.stride from 1 up)"
        raise DataError(f"no sequence of the train split has {text}; expected at least one")
    order = np.argsort(np.concatenate(rows), kind="stable")
    labels = DenseLabels(np.concatenate(rows)[order], np.concatenate(masks)[order])
    return PseudoLabels(labels, tuple(quality))


class _SequenceLabels:
    """Cache of one sequence's labels in each direction."""

    def __init__(
        self, settings: Propagation, register: Register, store: FrameStore, rows: np.ndarray, images: Tensor
    ) -> None:
        self.settings, self.register, self.store, self.rows, self.images = settings, register, store, rows, images
        self.spacing = store.index["spacing"][rows[0]].astype(np.float64)
        numbers = store.index["mask"][rows]
        self.first, self.last = np.asarray(store.masks[numbers[0]]), np.asarray(store.masks[numbers[-1]])
        self.labelled = 1 + np.flatnonzero(numbers[1:-1] >= 0)
        self._computed: dict[Direction, np.ndarray] = {}

    def labels(self, direction: Direction) -> np.ndarray:
        """Return the class indices `(N, S, S)` of all frames, computed once per direction."""
        if direction not in self._computed:
            known = not np.isnan(self.spacing).any()
            spacing = (float(self.spacing[0]), float(self.spacing[1])) if known else (1.0, 1.0)
            settings, classes = replace(self.settings, direction=direction), len(self.store.classes)
            self._computed[direction] = propagate(
                settings, self.register, self.images, self.first, self.last, classes, spacing
            )
        return self._computed[direction]

    def quality(self) -> list[Quality]:
        """Evaluate all directions at the frames between the ends that have an expert mask."""
        if len(self.labelled) == 0:
            return []
        truth = np.asarray(self.store.masks[self.store.index["mask"][self.rows[self.labelled]]])
        return [each for direction in DIRECTIONS for each in self._quality(direction, truth)]

    def _quality(self, direction: Direction, truth: np.ndarray) -> list[Quality]:
        found, classes = self.labels(direction)[self.labelled], len(self.store.classes)
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
            for number, place in enumerate(self.labelled)
        ]


def _from_diastole(store: FrameStore, rows: np.ndarray) -> np.ndarray:
    """Order a half cycle's rows from end-diastole to end-systole."""
    both = ends(store, rows)
    assert both is not None
    return rows if both[0] <= both[1] else rows[::-1].copy()
