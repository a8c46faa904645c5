"""Segmentation trainer for the networks of this package."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from trainables.common.errors import UserError
from trainables.common.seeds import derive
from trainables.data.sampling.batches import Batches, RowChooser, shared_batch
from trainables.data.sampling.spread import spread_evenly
from trainables.data.store.frames import FrameStore
from trainables.downstream.build import PretrainedWeights, build_network
from trainables.downstream.cross_validation import cross_validate
from trainables.downstream.data import DownstreamData, Fold, without_images
from trainables.downstream.folds import weights_of
from trainables.downstream.multitask import Alternating, MultiTask
from trainables.downstream.segmentation import Predictions, Segmentation, joined, predict
from trainables.downstream.segmentation_trainer import FinetuneResult
from trainables.downstream.selection import dense_sequences, rows_of
from trainables.downstream.settings import DownstreamSettings
from trainables.downstream.temporal import TemporalSegmentation
from trainables.downstream.windows import training_windows
from trainables.engine.precision import autocast_dtype
from trainables.engine.runtime import Runtime
from trainables.engine.settings import FitResult, FitSettings
from trainables.engine.split import split_all
from trainables.engine.task import Task
from trainables.engine.trainer import fit
from trainables.networks.network import NetworkSettings, SegmentationNetwork
from trainables.networks.weights import part_of
from trainables.pretext.method import HEAD, NetworkMethod, head_of, training_rows

CALIBRATION_FRAMES = 256
"""Most frames whose statistics recalibrated batch norms use."""

CALIBRATION_BATCH = 32
"""Most frames in a batch of that pass."""


class TorchTrainer:
    """Trainer that runs this package's training loop, with cross-validation, temporal and multitask training.

    Args:
        settings: settings of the downstream stage.
        network: settings of the network to train.
        start: pretrained weights; None for random weights.
        scratch: not used.
    """

    def __init__(
        self,
        settings: DownstreamSettings,
        network: NetworkSettings,
        start: PretrainedWeights,
        scratch: Path | None = None,
    ) -> None:
        self.settings, self.network, self.start = settings, network, start

    def train(self, data: DownstreamData, runtime: Runtime, seed: int) -> FinetuneResult:
        """Train one network, or one per fold, and segment the selected rows with their mean probabilities.

        Folds that are tested segment their own subjects alone.

        Raises:
            DataError: the images lack the channels that the augmentation needs.
        """
        self.settings.augment.require_channels(data.eval_store.channel_names, "downstream.augment")
        if self.settings.folds is None:
            task, fitted = self.train_fold(data, data.folds[0], runtime, seed)
            tasks, state = [task], weights_of(task.network)
        else:
            tasks, fitted = cross_validate(
                data.folds,
                self.settings.fit.epochs,
                lambda fold, fold_runtime, fold_seed: self.train_fold(data, fold, fold_runtime, fold_seed),
                lambda weights: self.restore(data, weights, runtime),
                runtime,
                seed,
            )
            state = {f"{n}.{name}": v for n, task in enumerate(tasks) for name, v in weights_of(task.network).items()}
        test = None if data.test_rows is None else self._tested(tasks, data, data.test_rows, runtime)
        val = None if data.sequence_rows is None else self._predict(tasks, data, data.sequence_rows, runtime)
        return FinetuneResult(state, fitted, data.labels, test, val)

    def train_fold(
        self, data: DownstreamData, fold: Fold, runtime: Runtime, seed: int
    ) -> tuple[Segmentation, FitResult]:
        """Train on a fold's train subjects and keep the epoch that is best on its val subjects, or the last one."""
        fit_settings, views, store = self.settings.fit, self.settings.views, data.train_store
        labelled = rows_of(store, fold.train, views)
        rows: np.ndarray | RowChooser = labelled
        if self.network.frames > 1:
            rows = training_windows(dense_sequences(store, labelled), self.network.frames, derive(seed, "train"))
        size = shared_batch(len(rows(0)) if callable(rows) else len(rows), fit_settings.batch_size, runtime.world_size)
        # Workers need equal parts of each batch, so several workers drop a smaller last batch.
        single = runtime.world_size == 1
        train = Batches(store, rows, size, seed, masks=True, keep_tail=single, steps=fit_settings.steps_per_epoch)
        val_rows = rows_of(data.eval_store, fold.val, views)
        val = self._eval_batches(data.eval_store, val_rows, size) if len(val_rows) else None
        network = build_network(self.settings.transfer, self.network, self.start, data.eval_store, seed)
        task = self._task(network, data.eval_store)
        trained, train = self._with_pretext(task, train, data.eval_store, seed)
        return task, fit(trained, train, val, fit_settings, runtime, seed)

    def restore(self, data: DownstreamData, weights: Mapping[str, Tensor], runtime: Runtime) -> Segmentation:
        """Return the task of a finished fold, its network loaded with the fold's weights."""
        store = data.eval_store
        task = self._task(self.network.build(store.channels, len(store.classes)), store)
        task.network.load_state_dict(dict(weights))
        return task.to(runtime.device)

    def _task(self, network: SegmentationNetwork, store: FrameStore) -> Segmentation:
        """Return the task for the network: frames by themselves, or windows of sequences."""
        settings, fit_settings = self.settings, self.settings.fit
        if self.network.frames == 1:
            return Segmentation(
                network,
                settings.loss,
                settings.augment,
                store,
                settings.transfer,
                freeze_norms=settings.batch_norm == "frozen" and self.start is not None,
                calibration=_calibration(store, fit_settings) if settings.batch_norm == "recalibrated" else None,
            )
        if settings.batch_norm != "batch":
            name = type(self.network).__name__
            raise UserError(f"downstream.batch_norm is {settings.batch_norm}, expected batch for {name}")
        windows = fit_settings.micro_batch or fit_settings.batch_size
        return TemporalSegmentation(
            network, settings.loss, settings.augment, store, settings.transfer, self.network.frames, windows
        )

    def _eval_batches(self, store: FrameStore, rows: np.ndarray, size: int) -> Batches:
        """Return unshuffled batches; without images for a temporal network, which reads each sequence itself."""
        source = without_images(store) if self.network.frames > 1 else store
        return Batches(source, rows, size, shuffle=False)

    def _with_pretext(self, task: Segmentation, train: Batches, store: FrameStore, seed: int) -> tuple[Task, Batches]:
        """Return task and batches, alternating with a pretext task if `transfer` has one."""
        transfer, method = self.settings.transfer, self.settings.transfer.method
        if method is None:
            return task, train
        assert isinstance(method, NetworkMethod)
        rows = training_rows(method, store)
        pretext = method.build(task.network.backbone, task.network.decoder, self.settings.augment, store)
        self._restore_head(pretext)
        batches = Batches(store, rows, self.settings.fit.batch_size, derive(seed, "pretext"), keep_tail=False)
        return MultiTask(task, pretext), Alternating(train, batches, transfer.beta)

    def _restore_head(self, pretext: Task) -> None:
        """Load the head that the pretraining left, where it was trained by a task of the same form."""
        head = head_of(pretext)
        if head is None or not isinstance(self.start, Mapping):
            return
        known = part_of(self.start, HEAD)
        if {name: value.shape for name, value in known.items()} == {n: v.shape for n, v in head.state_dict().items()}:
            head.load_state_dict(known)

    def _tested(
        self, tasks: Sequence[Segmentation], data: DownstreamData, rows: np.ndarray, runtime: Runtime
    ) -> Predictions:
        """Segment the test rows by all tasks together, or the rows of each fold that is tested by its own task."""
        if self.settings.test == "split":
            return self._predict(tasks, data, rows, runtime)
        folds = [data.rows_of(fold, rows) for fold in data.folds]
        return joined([self._predict([task], data, own, runtime) for task, own in zip(tasks, folds, strict=True)])

    def _predict(
        self, tasks: Sequence[Segmentation], data: DownstreamData, rows: np.ndarray, runtime: Runtime
    ) -> Predictions:
        """Segment rows of the eval store by the mean probabilities of all tasks."""
        fit_settings, device = self.settings.fit, runtime.device
        batches = self._eval_batches(data.eval_store, rows, fit_settings.batch_size)
        for task in tasks:
            task.eval()
        dtype = autocast_dtype(fit_settings.precision, device)
        enabled = dtype is not torch.float32
        with torch.no_grad(), torch.autocast(device.type, dtype=dtype, enabled=enabled):
            return predict(tasks, split_all(batches.epoch(0, device=device), fit_settings.micro_batch))


def _calibration(store: FrameStore, fit_settings: FitSettings) -> Batches:
    """Return frames of the training split, labelled or not, spread evenly over it, for the statistics of batch norm."""
    rows = store.rows("train")
    size = min(fit_settings.micro_batch or CALIBRATION_BATCH, CALIBRATION_BATCH)
    return Batches(store, rows[spread_evenly(len(rows), CALIBRATION_FRAMES)], size, keep_tail=False)
