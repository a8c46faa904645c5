"""Fine-tuning of a segmentation network on few labelled subjects."""

from __future__ import annotations

from pathlib import Path

from trainables.common.errors import UserError
from trainables.data.sampling.targets import DenseLabels
from trainables.data.store.frames import FrameStore
from trainables.downstream.build import PretrainedWeights
from trainables.downstream.data import resolve_data
from trainables.downstream.segmentation_trainer import FinetuneResult
from trainables.downstream.settings import DownstreamSettings
from trainables.downstream.trainers import TRAINERS
from trainables.engine.runtime import Runtime
from trainables.networks.network import NetworkSettings


def finetune(
    settings: DownstreamSettings,
    network: NetworkSettings,
    start: PretrainedWeights,
    store: FrameStore,
    runtime: Runtime,
    seed: int,
    *,
    test: bool = False,
    sequences: bool = False,
    dense: DenseLabels | None = None,
    scratch: Path | None = None,
) -> FinetuneResult:
    """Train on a subset of the labelled subjects; keep the epoch with the best validation score, or the last one.

    The subset and all random numbers derive from `seed`; subsets of one seed are nested over label fractions.

    Args:
        settings: settings of the downstream stage.
        network: settings of the segmentation network.
        start: pretrained weights of the network; None for random weights.
        store: decoded frames of the dataset.
        runtime: device, workers, checkpoints and reporting.
        seed: seed of weights, batch order, augmentation and labelled subset.
        test: True to segment the test split with the kept weights; False does not read it.
        sequences: True to segment the validation subjects' complete sequences with the kept weights.
        dense: pseudo-labels, required if `settings.targets` is "propagated".
        scratch: folder for files of external trainers, kept between attempts; None uses a temporary folder.

    Raises:
        UserError: settings, network and workers do not fit together, or there are too few labelled subjects.
    """
    _check_workers(settings, runtime)
    data = resolve_data(settings, store, dense, seed, temporal=network.temporal, test=test, sequences=sequences)
    trainer = TRAINERS[network.trainer](settings, network, start, scratch)
    return trainer.train(data, runtime, seed)


def _check_workers(settings: DownstreamSettings, runtime: Runtime) -> None:
    """Check that the settings allow the number of workers.

    Raises:
        UserError: the batch size is no multiple of the workers, or the transfer needs a single worker.
    """
    if settings.fit.batch_size % runtime.world_size:
        raise UserError(
            f"downstream.fit.batch_size is {settings.fit.batch_size}, "
            f"expected a multiple of its {runtime.world_size} workers"
        )
    transfer = settings.transfer
    if (transfer.freeze_epochs or transfer.method) and runtime.world_size > 1:
        text = "set resources.downstream.workers to 1"
        raise UserError(f"downstream.transfer: freeze_epochs and multitask need a single worker; {text}")
