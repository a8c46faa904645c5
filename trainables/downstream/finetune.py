"""The downstream stage: a segmentation network trained on some labelled subjects, from a given start."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from trainables.augment.policy import Policy
from trainables.common.errors import UserError
from trainables.common.seeds import derive
from trainables.data.sampling.batches import Batches, RowChooser, shared_batch
from trainables.data.sampling.splits import label_subset
from trainables.data.sampling.targets import DenseLabels, Targets, targeted
from trainables.data.store.frames import FrameStore
from trainables.downstream.folds import FoldCheckpoint, divided_subjects, weights_of
from trainables.downstream.losses import DiceCrossEntropy, Loss
from trainables.downstream.multitask import Alternating, MultiTask
from trainables.downstream.segmentation import Predictions, Segmentation, predict
from trainables.downstream.selection import dense_sequences, judged_rows, labelled_rows, rows_of
from trainables.downstream.temporal import SegmentationOverTime
from trainables.downstream.transfer import Transfer
from trainables.downstream.windows import training_windows
from trainables.engine.precision import autocast_dtype
from trainables.engine.runtime import Runtime
from trainables.engine.settings import FitResult, FitSettings
from trainables.engine.split import split_all
from trainables.engine.task import Task
from trainables.engine.trainer import fit
from trainables.external.nnunet.settings import NnUNet
from trainables.external.nnunet.trainer import finetune_nnunet
from trainables.networks.imagenet import ImageNetWeights, load_imagenet
from trainables.networks.network import NetworkSettings, SegmentationNetwork
from trainables.networks.weights import load_weights, part_of
from trainables.pretext.method import NetworkMethod, training_rows

PretrainedWeights = Mapping[str, Tensor] | ImageNetWeights | None
"""Pretrained weights (keys "backbone...." and perhaps "decoder...."), ImageNet's, or None for random weights."""


@dataclass(frozen=True)
class DownstreamSettings:
    """How the segmentation network is trained.

    Attributes:
        label_fraction: share of the labelled training subjects that is used, in (0, 1].
        labels: number of labelled training subjects instead of a share, at least 1.
        views: names of the views whose labelled frames are trained and judged on; None for all.
        targets: "labelled" frames of the dataset; "ed_es", those of end-diastole and end-systole alone, though the
            dataset may have more; or "propagated", the ends and the pseudo-labels of the frames between them. With the
            last two, validation and test know the ends alone, and test segments whole sequences.
        folds: train this many networks, each judged on another part of the labelled subjects of the train and val
            splits together, and average their answers on the test split; from 2 up. None trains one.
        transfer: what is loaded from the start, and what is trained.
        loss: minimised.
        fit: how long and how to train.
        augment: of images and masks.
    """

    label_fraction: float = 1.0
    labels: int | None = None
    views: tuple[str, ...] | None = None
    targets: Targets = "labelled"
    folds: int | None = None
    transfer: Transfer = field(default_factory=Transfer)
    loss: Loss = field(default_factory=DiceCrossEntropy)
    fit: FitSettings = field(default_factory=FitSettings)
    augment: Policy = field(default_factory=Policy.mild)

    def __post_init__(self) -> None:
        if not 0 < self.label_fraction <= 1:
            raise ValueError(f"label_fraction is {self.label_fraction}, expected a share in (0, 1]")
        if self.labels is not None and self.labels < 1:
            raise ValueError(f"labels is {self.labels}, expected at least 1 subject")
        if self.folds is not None and self.folds < 2:
            raise ValueError(f"folds is {self.folds}, expected a whole number from 2 up")
        if self.folds is not None and self.transfer.method is not None:
            raise ValueError(f"folds is {self.folds}: multitask trains one network, expected null")
        if self.augment.size is not None:
            text = "frames are segmented at the size at which they are stored"
            raise ValueError(f"augment.size is {self.augment.size}: {text}, expected null")

    @property
    def epochs(self) -> int:
        """Of all trainings together."""
        return self.fit.epochs * (self.folds or 1)


@dataclass(frozen=True)
class Finetuned:
    """A trained segmentation network, or several.

    Attributes:
        state: its weights, on the CPU; of several networks, each key begins with the network's number.
        fitted: the run.
        subjects: how many labelled subjects it saw.
        test: its answers on the test split, when asked for.
        val: its answers on the whole sequences of the validation split, when asked for.
    """

    state: dict[str, Tensor]
    fitted: FitResult
    subjects: int
    test: Predictions | None
    val: Predictions | None = None


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
) -> Finetuned:
    """Train on a subset of the labelled training subjects; keep the epoch that is best on validation.

    The subset and everything random derive from `seed`; subsets of one seed are nested over label fractions.

    Args:
        settings: of the stage.
        network: to train.
        start: of its backbone.
        store: the frames.
        runtime: where it runs.
        seed: of weights, order, augmentation and labelled subset.
        test: whether the kept weights are then judged on the test split.
        sequences: whether they then segment the validation split's sequences as a whole.
        dense: pseudo-labels, where the settings ask for them.
        scratch: a folder for another program's files, kept from one attempt to the next; None makes one for this run.
    """
    _check_workers(settings, runtime)
    judged = targeted(store, "labelled" if settings.targets == "labelled" else "ed_es", None)
    stage = _Stage(settings, network, start, targeted(store, settings.targets, dense), judged)
    subjects = labelled_subjects(settings, judged, seed)
    parts = _parts(settings, judged, subjects, seed)
    rows = None
    if test:
        whole = settings.targets != "labelled" or network.temporal
        rows = judged_rows(judged, "test", settings.views, whole=whole)
    if isinstance(network, NnUNet):
        if start is not None:
            raise UserError("network: nnunet starts from random weights; expected pretext.method: random")
        if sequences:
            raise UserError("search.objectives: nnunet answers for the test split only, expected no val/smoothness")
        with _folder(scratch) as folder:
            stores, epochs = (stage.seen, judged), settings.fit.epochs
            weights, fitted, predictions = finetune_nnunet(
                network, stores, parts, settings.views, rows, epochs, runtime, seed, folder
            )
        return Finetuned(weights, fitted, len(subjects), predictions)
    if settings.folds is None:
        task, fitted = stage.train(*parts[0], runtime, seed)
        tasks, state = [task], weights_of(task.network)
    else:
        tasks, fitted = _cross_validated(stage, parts, runtime, seed)
        state = {f"{number}.{name}": v for number, t in enumerate(tasks) for name, v in weights_of(t.network).items()}
    val_rows = judged_rows(judged, "val", settings.views, whole=True) if sequences else None
    tested, validated = (
        _predict(tasks, Batches(judged, each, settings.fit.batch_size, shuffle=False), settings.fit, runtime)
        if each is not None
        else None
        for each in (rows, val_rows)
    )
    return Finetuned(state, fitted, len(subjects), tested, validated)


@dataclass(frozen=True)
class _Stage:
    """What all trainings of a stage share; `seen` has the masks to train on, `judged` those to judge by."""

    settings: DownstreamSettings
    network: NetworkSettings
    start: PretrainedWeights
    seen: FrameStore
    judged: FrameStore

    def train(self, train: np.ndarray, val: np.ndarray, runtime: Runtime, seed: int) -> tuple[Segmentation, FitResult]:
        """Train on some subjects, and keep the epoch that is best on others."""
        fit_settings, views = self.settings.fit, self.settings.views
        size, alone = fit_settings.batch_size, runtime.world_size == 1
        rows: np.ndarray | RowChooser = rows_of(self.seen, train, views)
        if self.network.frames > 1:
            found = dense_sequences(self.seen, rows_of(self.seen, train, views))
            rows = training_windows(found, self.network.frames, derive(seed, "train"))
        size = shared_batch(len(rows(0)) if callable(rows) else len(rows), size, runtime.world_size)
        # Workers must have equal shares of a batch, so a smaller last one is left out where there are several.
        batches = Batches(self.seen, rows, size, seed, masks=True, keep_tail=alone, steps=fit_settings.steps_per_epoch)
        chosen_by = Batches(self.judged, rows_of(self.judged, val, views), size, shuffle=False)
        task = self.task(_build(self.settings.transfer, self.network, self.start, self.judged, seed))
        whole, batches = _beside(task, batches, self.settings, self.judged, seed)
        return task, fit(whole, batches, chosen_by, fit_settings, runtime, seed)

    def task(self, built: SegmentationNetwork) -> Segmentation:
        """The task of a network, over time or not."""
        settings = self.settings
        if self.network.frames == 1:
            return Segmentation(built, settings.loss, settings.augment, self.judged, settings.transfer)
        frames, at_a_time = self.network.frames, settings.fit.micro_batch or settings.fit.batch_size
        return SegmentationOverTime(
            built, settings.loss, settings.augment, self.judged, settings.transfer, frames, at_a_time
        )

    def trained(self, weights: Mapping[str, Tensor], runtime: Runtime) -> Segmentation:
        """The task of a network that was trained before."""
        task = self.task(self.network.build(self.judged.channels, len(self.judged.classes)))
        task.network.load_state_dict(dict(weights))
        return task.to(runtime.device)


Parts = list[tuple[np.ndarray, np.ndarray]]
"""Of each training, the labelled subjects to train on and those to choose the epoch by."""


def _parts(settings: DownstreamSettings, judged: FrameStore, subjects: np.ndarray, seed: int) -> Parts:
    """The chosen subjects and those of the val split; of folds, both together divided."""
    val = np.unique(judged.index["subject"][labelled_rows(judged, "val", settings.views)])
    if settings.folds is None:
        return [(subjects, val)]
    pool = np.union1d(subjects, val)
    if len(pool) < settings.folds:
        text = f"downstream.folds is {settings.folds}, expected at most the {len(pool)} labelled subjects there are"
        raise UserError(text)
    return divided_subjects(pool, settings.folds, derive(seed, "folds"))


def _cross_validated(stage: _Stage, parts: Parts, runtime: Runtime, seed: int) -> tuple[list[Segmentation], FitResult]:
    """A training for each part."""
    turns, tasks = FoldCheckpoint(runtime), []
    for number, (train, left_out) in enumerate(parts):
        if number < len(turns.finished):
            tasks.append(stage.trained(turns.finished[number]["weights"], runtime))
            continue
        turn = turns.runtime_of(number, stage.settings.fit.epochs)
        task, fitted = stage.train(train, left_out, turn, derive(seed, "fold", number))
        turns.finish(weights_of(task.network), fitted)
        tasks.append(task)
    return tasks, turns.fitted


@contextlib.contextmanager
def _folder(scratch: Path | None) -> Iterator[Path]:
    """The given folder, or one that is removed afterwards."""
    if scratch is not None:
        yield scratch
        return
    with tempfile.TemporaryDirectory() as made:
        yield Path(made)


def _check_workers(settings: DownstreamSettings, runtime: Runtime) -> None:
    if settings.fit.batch_size % runtime.world_size:
        raise UserError(
            f"downstream.fit.batch_size is {settings.fit.batch_size}, "
            f"expected a multiple of its {runtime.world_size} workers"
        )
    transfer = settings.transfer
    if (transfer.freeze_epochs or transfer.method) and runtime.world_size > 1:
        text = "set resources.downstream.workers to 1"
        raise UserError(f"downstream.transfer: freeze_epochs and multitask need a single worker; {text}")


def _beside(
    task: Segmentation, train: Batches, settings: DownstreamSettings, store: FrameStore, seed: int
) -> tuple[Task, Batches]:
    """The task and its batches, alternating with a pretext task's where the transfer has one."""
    method = settings.transfer.method
    if method is None:
        return task, train
    assert isinstance(method, NetworkMethod)
    rows = training_rows(method, store)
    pretext = method.build(task.network.backbone, task.network.decoder, settings.augment, store)
    others = Batches(store, rows, settings.fit.batch_size, derive(seed, "pretext"), keep_tail=False)
    return MultiTask(task, pretext), Alternating(train, others, settings.transfer.beta)


def labelled_subjects(settings: DownstreamSettings, store: FrameStore, seed: int) -> np.ndarray:
    """The labelled training subjects that `settings` and `seed` choose, as indices into `store.subjects`."""
    candidates = np.unique(store.index["subject"][labelled_rows(store, "train", settings.views)])
    if settings.labels is not None and settings.labels > len(candidates):
        text = f"downstream.labels is {settings.labels}, the training split has {len(candidates)} labelled subjects"
        raise UserError(text)
    fraction = None if settings.labels is not None else settings.label_fraction
    return label_subset(candidates, fraction, settings.labels, derive(seed, "labels"))


def _build(
    transfer: Transfer, network: NetworkSettings, start: PretrainedWeights, store: FrameStore, seed: int
) -> SegmentationNetwork:
    torch.manual_seed(derive(seed, "init"))
    built = network.build(store.channels, len(store.classes))
    if isinstance(start, ImageNetWeights):
        load_imagenet(built.backbone, start)
    elif start is not None:
        wanted = dict(start)
        if transfer.load == "backbone":
            wanted = {key: value for key, value in wanted.items() if key.startswith("backbone.")}
        elif not part_of(start, "decoder"):
            text = "downstream.transfer.load is 'network', but the pretext trained a backbone only"
            raise UserError(f"{text}; choose a pretext method that trains the whole network, or load: backbone")
        load_weights(built, network.adapt_weights(wanted), partly=True)
    return built


def _predict(tasks: Sequence[Segmentation], batches: Batches, settings: FitSettings, runtime: Runtime) -> Predictions:
    for task in tasks:
        task.eval()
    dtype = autocast_dtype(settings.precision, runtime.device)
    enabled = dtype is not torch.float32
    with torch.no_grad(), torch.autocast(runtime.device.type, dtype=dtype, enabled=enabled):
        return predict(tasks, split_all(batches.epoch(0, device=runtime.device), settings.micro_batch))
