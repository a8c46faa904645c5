"""Segmentation trainer that runs nnU-Net on the folds of a downstream run."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import fields
from pathlib import Path

import numpy as np

from trainables.common.errors import UserError
from trainables.data.store.frames import FrameStore
from trainables.downstream.build import PretrainedWeights
from trainables.downstream.data import DownstreamData
from trainables.downstream.segmentation import Predictions, evaluate_masks, scores_of
from trainables.downstream.segmentation_trainer import FinetuneResult
from trainables.downstream.selection import around, dense_sequences, rows_of
from trainables.downstream.settings import DownstreamSettings
from trainables.engine.runtime import Runtime
from trainables.engine.settings import FitResult, FitSettings
from trainables.external.nnunet.run import NnUNetResult, train_nnunet
from trainables.external.nnunet.settings import NnUNet
from trainables.networks.network import NetworkSettings
from trainables.networks.weight_files.read import WeightsFile

TAKEN = ("label_fraction", "labels", "views", "targets", "folds", "test")
"""Settings of the downstream stage that nnU-Net takes, beside `fit.epochs`; it plans everything else itself."""


class NnUNetTrainer:
    """Trainer that runs nnU-Net in a separate process and evaluates its predictions.

    Args:
        settings: settings of the downstream stage: those of `TAKEN`, and `fit.epochs`; the others at their defaults.
        network: settings of nnU-Net.
        start: file with weights of nnU-Net or nnssl; None for random weights.
        scratch: folder for nnU-Net's files, in which a killed run resumes; None uses a temporary folder.

    Raises:
        UserError: other pretrained weights are given, or a setting that nnU-Net would ignore.
    """

    def __init__(
        self,
        settings: DownstreamSettings,
        network: NetworkSettings,
        start: PretrainedWeights,
        scratch: Path | None = None,
    ) -> None:
        assert isinstance(network, NnUNet)
        if start is not None and not isinstance(start, WeightsFile):
            raise UserError(
                "network: nnunet starts from random weights or a file; expected pretext.method: random or file"
            )
        ignored = ignored_settings(settings)
        if ignored:
            text = "nnU-Net plans its own and takes the defaults only"
            raise UserError(f"downstream: {text} (found {', '.join(ignored)}). Fix: remove them for network: nnunet")
        self.settings, self.network, self.start, self.scratch = settings, network, start, scratch

    def train(self, data: DownstreamData, runtime: Runtime, seed: int) -> FinetuneResult:
        """Train nnU-Net on every fold, evaluate it on all val subjects and segment the test rows.

        A fold that is tested has no val subjects. nnU-Net, which always watches some, then watches subjects that it is
        trained on, and what it says of them is left out.

        Args:
            data: stores, folds and evaluation rows.
            runtime: device and reporting; a single worker.
            seed: seed of nnU-Net's random numbers; nnU-Net does not draw all of them from it.

        Raises:
            UserError: sequences of the validation split or several workers are requested.
        """
        if data.sequence_rows is not None:
            raise UserError("search.objectives: nnunet predicts the test split only, expected no val/smoothness")
        if runtime.world_size > 1:
            raise UserError("network: nnunet trains with one worker, expected resources.downstream.workers: 1")
        train_store, eval_store, views = data.train_store, data.eval_store, self.settings.views
        tested = self.settings.test == "folds"
        watched = [fold.train if tested else fold.val for fold in data.folds]
        folds = [
            (rows_of(train_store, fold.train, views), rows_of(train_store, watch, views))
            for fold, watch in zip(data.folds, watched, strict=True)
        ]
        if self.network.temporal:
            for train, _ in folds:
                frames = train[train_store.index["stack"][train] == 0]
                if len(frames):
                    dense_sequences(train_store, frames)
        val = np.unique(np.concatenate([rows_of(eval_store, fold.val, views) for fold in data.folds]))
        rows = val if data.test_rows is None else np.union1d(val, data.test_rows)
        if self.network.temporal:
            rows = around(eval_store, rows)
        alone = {subject: number for number, fold in enumerate(data.folds) for subject in fold.test.tolist()}

        def report(epoch: int, metrics: Mapping[str, float]) -> None:
            runtime.report(epoch, _reported(metrics, tested=tested))

        with _folder(self.scratch) as folder:
            epochs, device = self.settings.fit.epochs, runtime.device
            result = train_nnunet(
                self.network, train_store, folds, rows, epochs, seed, device, folder, report, self.start, alone
            )
        history = [_reported(row, tested=tested) for row in result.history]
        metrics = dict(history[-1]) if history else {}
        if len(val):
            scores = scores_of(eval_store, _predictions(eval_store, result, val))
            metrics |= {f"val/{name}": value for name, value in scores.items()}
        fitted = FitResult(metrics, len(history), history)
        test = _predictions(eval_store, result, data.test_rows) if data.test_rows is not None else None
        return FinetuneResult(dict(result.weights), fitted, data.labels, test)


def ignored_settings(settings: DownstreamSettings) -> list[str]:
    """Return the names of changed settings that nnU-Net does not take.

    Example:
        >>> ignored_settings(DownstreamSettings(labels=5)), ignored_settings(DownstreamSettings(batch_norm="frozen"))
        ([], ['batch_norm'])
    """
    taken = DownstreamSettings(fit=FitSettings(epochs=settings.fit.epochs))
    needed = ("validation",) if settings.test == "folds" else ()
    return [
        part.name
        for part in fields(settings)
        if part.name not in (*TAKEN, *needed) and getattr(settings, part.name) != getattr(taken, part.name)
    ]


def _reported(metrics: Mapping[str, float], *, tested: bool) -> dict[str, float]:
    """Return an epoch's metrics, without those of subjects that nnU-Net watches for want of others."""
    return {name: value for name, value in metrics.items() if not (tested and name.startswith("val/"))}


def _predictions(store: FrameStore, result: NnUNetResult, rows: np.ndarray) -> Predictions:
    """Evaluate nnU-Net's masks of some rows."""
    return evaluate_masks(store, rows, np.stack([result.masks[int(row)] for row in rows]))


@contextlib.contextmanager
def _folder(scratch: Path | None) -> Iterator[Path]:
    """Yield the given folder, or a temporary one that is removed afterwards."""
    if scratch is not None:
        yield scratch
        return
    with tempfile.TemporaryDirectory() as temporary:
        yield Path(temporary)
