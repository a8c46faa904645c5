"""Temporal segmentation task: segment the frames of a sequence together."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from trainables.augment.policy import Policy
from trainables.data.sampling.batches import Batch
from trainables.data.store.frames import FrameStore
from trainables.downstream.losses import Loss
from trainables.downstream.segmentation import Segmentation
from trainables.downstream.transfer import Transfer
from trainables.downstream.windows import mean_over_windows, sliding_windows
from trainables.networks.network import SegmentationNetwork


class TemporalSegmentation(Segmentation):
    """Segmentation task on windows of sequences `(B, T, C, S, S)`, evaluated on complete sequences.

    The augmentation transforms all frames of a window identically, except pixel noise. A sequence is segmented
    in windows that slide along it by an eighth of their length, and the probabilities of each frame are averaged.

    Args:
        network: temporal segmentation network.
        window: number of frames T in a window.
        windows_per_batch: number of windows in one forward pass of the evaluation.
    """

    def __init__(
        self,
        network: SegmentationNetwork,
        loss: Loss,
        augment: Policy,
        store: FrameStore,
        transfer: Transfer,
        window: int,
        windows_per_batch: int,
    ) -> None:
        super().__init__(network, loss, augment, store, transfer)
        self.window, self.windows_per_batch = window, windows_per_batch
        self._last: tuple[np.ndarray, Tensor] | None = None

    def training_step(self, batch: Batch) -> dict[str, Tensor]:
        """Return the loss over the pixels of all frames of the windows."""
        assert batch.masks is not None
        shape = batch.images.shape[:2]
        images, masks = self.augment.apply(
            batch.images.flatten(0, 1), batch.masks.flatten(0, 1), batch.draw.of_frames(self.window)
        )
        assert masks is not None
        logits = self._windows(images.unflatten(0, shape))
        return {"loss": self.loss(logits.flatten(2, 3), masks.unflatten(0, shape).flatten(1, 2).long())}

    def scores(self, batch: Batch) -> Tensor:
        """Return log-probabilities `(B, K, S, S)` of the frames, averaged over windows of their sequences."""
        return torch.stack([self._frame(int(row), batch.device) for row in batch.rows])

    def train(self, mode: bool = True) -> TemporalSegmentation:
        """Set training mode and clear the cached sequence."""
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
        """Return the rows segmented together with a row: from the sequence's first to its last labelled frame.

        For a frame outside that range, return its complete sequence.
        """
        index = self.store.index
        rows = np.flatnonzero(index["sequence"] == index["sequence"][row])
        labelled = rows[index["mask"][rows] >= 0]
        if len(labelled) == 0 or not labelled[0] <= row <= labelled[-1]:
            return rows
        return np.asarray(rows[(rows >= labelled[0]) & (rows <= labelled[-1])])

    def _sequence(self, rows: np.ndarray, device: torch.device) -> Tensor:
        """Return log-probabilities `(N, K, S, S)` of a sequence's frames."""
        images = torch.from_numpy(self.store.images[rows]).to(device)  # read once, though windows overlap
        return sequence_scores(self.network, self.normalise, images, self.window, self.windows_per_batch)

    def _windows(self, images: Tensor) -> Tensor:
        return _logits(self.network, self.normalise, images)


def sequence_scores(
    network: nn.Module, normalise: nn.Module, images: Tensor, window: int, windows_per_batch: int
) -> Tensor:
    """Return log-probabilities `(N, K, S, S)` of a sequence's frames, averaged over windows that slide along it.

    Args:
        network: temporal segmentation network.
        normalise: normalization of images in [0, 1].
        images: uint8 `(N, C, S, S)`, the frames in order.
        window: number of frames in a window.
        windows_per_batch: number of windows in one forward pass.
    """
    windows = sliding_windows(len(images), window)
    found = []
    for part in np.array_split(windows, -(-len(windows) // windows_per_batch)):
        chosen = images[torch.from_numpy(part).to(images.device)].float() / 255
        found.append(_logits(network, normalise, chosen).float().softmax(1).movedim(2, 1))
    return mean_over_windows(windows, torch.cat(found), len(images)).clamp_min(1e-12).log()


def _logits(network: nn.Module, normalise: nn.Module, images: Tensor) -> Tensor:
    """Return logits `(B, K, T, S, S)` of windows `(B, T, C, S, S)` of images in [0, 1]."""
    normal = normalise(images.flatten(0, 1)).unflatten(0, images.shape[:2])
    logits: Tensor = network(normal.movedim(1, 2))
    return logits
