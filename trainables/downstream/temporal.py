"""The downstream task over time: segment the frames of a sequence together."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from trainables.augment.policy import Policy
from trainables.data.sampling.batches import Batch
from trainables.data.store.frames import FrameStore
from trainables.downstream.losses import Loss
from trainables.downstream.segmentation import Segmentation
from trainables.downstream.transfer import Transfer
from trainables.downstream.windows import mean_over_windows, sliding_windows
from trainables.networks.network import SegmentationNetwork


class SegmentationOverTime(Segmentation):
    """Trains a network on windows of sequences, `(B, T, C, S, S)`, and judges it by whole sequences.

    The frames of a window are moved and changed alike by the augmentation, pixel noise apart. A sequence is segmented
    in windows that slide along it by an eighth of their length, and the probabilities of each frame are averaged.

    Args:
        network: over time.
        window: frames T that it sees at a time.
        at_a_time: windows that are segmented at once.
    """

    def __init__(
        self,
        network: SegmentationNetwork,
        loss: Loss,
        augment: Policy,
        store: FrameStore,
        transfer: Transfer,
        window: int,
        at_a_time: int,
    ) -> None:
        super().__init__(network, loss, augment, store, transfer)
        self.window, self.at_a_time = window, at_a_time
        self._last: tuple[np.ndarray, Tensor] | None = None

    def training_step(self, batch: Batch) -> dict[str, Tensor]:
        """The loss over a window's pixels of all frames."""
        assert batch.masks is not None
        shape = batch.images.shape[:2]
        images, masks = self.augment.apply(
            batch.images.flatten(0, 1), batch.masks.flatten(0, 1), batch.draw.of_frames(self.window)
        )
        assert masks is not None
        logits = self._windows(images.unflatten(0, shape))
        return {"loss": self.loss(logits.flatten(2, 3), masks.unflatten(0, shape).flatten(1, 2).long())}

    def scores(self, batch: Batch) -> Tensor:
        """Logarithms of each frame's mean probabilities, from the sequences that the frames are of."""
        return torch.stack([self._frame(int(row), batch.device) for row in batch.rows])

    def train(self, mode: bool = True) -> SegmentationOverTime:
        """As every module; what was segmented before is forgotten."""
        self._last = None
        super().train(mode)
        return self

    def _frame(self, row: int, device: torch.device) -> Tensor:
        if self._last is None or row not in self._last[0]:
            rows = self._around(row)
            self._last = rows, self._sequence(rows, device)
        rows, found = self._last
        return found[int(np.searchsorted(rows, row))]

    def _around(self, row: int) -> np.ndarray:
        """The frames that a frame is segmented with: from the first to the last with a mask, as windows are trained on.

        A frame outside that range is segmented with its whole sequence.
        """
        index = self.store.index
        rows = np.flatnonzero(index["sequence"] == index["sequence"][row])
        labelled = rows[index["mask"][rows] >= 0]
        if len(labelled) == 0 or not labelled[0] <= row <= labelled[-1]:
            return rows
        return np.asarray(rows[(rows >= labelled[0]) & (rows <= labelled[-1])])

    def _sequence(self, rows: np.ndarray, device: torch.device) -> Tensor:
        """Log-probabilities `(N, K, S, S)` of a sequence's frames."""
        windows = sliding_windows(len(rows), self.window)
        found = []
        for part in np.array_split(windows, -(-len(windows) // self.at_a_time)):
            images = torch.from_numpy(self.store.images[rows[part]]).to(device)
            found.append(self._windows(images.float() / 255).float().softmax(1).movedim(2, 1))
        return mean_over_windows(windows, torch.cat(found), len(rows)).clamp_min(1e-12).log()

    def _windows(self, images: Tensor) -> Tensor:
        """Logits `(B, K, T, S, S)` of windows `(B, T, C, S, S)` of images in [0, 1]."""
        normal = self.normalise(images.flatten(0, 1)).unflatten(0, images.shape[:2])
        logits: Tensor = self.network(normal.movedim(1, 2))
        return logits
