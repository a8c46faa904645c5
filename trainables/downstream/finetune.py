"""The downstream stage: a segmentation network trained on some labelled subjects, from a given start."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from trainables.augment.policy import Policy
from trainables.data.batches import Batches
from trainables.data.frames import FrameStore
from trainables.data.records import Split
from trainables.data.splits import label_subset
from trainables.downstream.losses import DiceCrossEntropy, Loss
from trainables.downstream.multitask import Alternating, MultiTask
from trainables.downstream.segmentation import Predictions, Segmentation
from trainables.downstream.transfer import Transfer
from trainables.errors import DataError, UserError, did_you_mean
from trainables.loop import FitResult, FitSettings, Task, autocast_dtype, fit
from trainables.micro_batches import divided_all
from trainables.networks.imagenet import ImageNetWeights, load_imagenet
from trainables.networks.network import NetworkSettings, SegmentationNetwork
from trainables.networks.weights import load_weights, part_of
from trainables.pretext.method import NetworkMethod, training_rows
from trainables.runtime import Runtime
from trainables.seeds import derive

Start = Mapping[str, Tensor] | ImageNetWeights | None
"""Pretrained weights (keys "backbone...." and perhaps "decoder...."), ImageNet's, or None for random weights."""


@dataclass(frozen=True)
class DownstreamSettings:
    """How the segmentation network is trained.

    Attributes:
        label_fraction: share of the labelled training subjects that is used, in (0, 1].
        labels: number of labelled training subjects instead of a share, at least 1.
        views: names of the views whose labelled frames are trained and judged on; None for all.
        transfer: what is loaded from the start, and what is trained.
        loss: minimised.
        fit: how long and how to train.
        augment: of images and masks.
    """

    label_fraction: float = 1.0
    labels: int | None = None
    views: tuple[str, ...] | None = None
    transfer: Transfer = field(default_factory=Transfer)
    loss: Loss = field(default_factory=DiceCrossEntropy)
    fit: FitSettings = field(default_factory=FitSettings)
    augment: Policy = field(default_factory=Policy.mild)

    def __post_init__(self) -> None:
        if not 0 < self.label_fraction <= 1:
            raise ValueError(f"label_fraction is {self.label_fraction}, expected a share in (0, 1]")
        if self.labels is not None and self.labels < 1:
            raise ValueError(f"labels is {self.labels}, expected at least 1 subject")


@dataclass(frozen=True)
class Finetuned:
    """A trained segmentation network.

    Attributes:
        state: its weights, on the CPU.
        fitted: the run.
        subjects: how many labelled subjects it saw.
        test: its answers on the test split, when asked for.
    """

    state: dict[str, Tensor]
    fitted: FitResult
    subjects: int
    test: Predictions | None


def finetune(
    settings: DownstreamSettings,
    network: NetworkSettings,
    start: Start,
    store: FrameStore,
    runtime: Runtime,
    seed: int,
    *,
    test: bool = False,
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
    """
    subjects = labelled_subjects(settings, store, seed)
    if settings.fit.batch_size % runtime.world_size:
        raise UserError(
            f"downstream.fit.batch_size is {settings.fit.batch_size}, "
            f"expected a multiple of its {runtime.world_size} workers"
        )
    transfer = settings.transfer
    if (transfer.freeze_epochs or transfer.method) and runtime.world_size > 1:
        text = "set resources.downstream.workers to 1"
        raise UserError(f"downstream.transfer: freeze_epochs and multitask need a single worker; {text}")
    rows = _labelled_rows(store, "train", settings, subjects)
    alone = runtime.world_size == 1  # workers must have equal shares of a batch, so a smaller last one is left out
    size, steps = settings.fit.batch_size, settings.fit.steps_per_epoch
    train = Batches(store, rows, size, seed, masks=True, keep_tail=alone, steps=steps)
    val = _to_judge(store, "val", settings)
    built = _build(transfer, network, start, store, seed)
    task = Segmentation(built, settings.loss, settings.augment, store, transfer)
    whole, batches = _beside(task, train, settings, store, seed)
    fitted = fit(whole, batches, val, settings.fit, runtime, seed)
    predictions = _predict(task, _to_judge(store, "test", settings), settings.fit, runtime) if test else None
    state = {name: value.detach().cpu().clone() for name, value in task.network.state_dict().items()}
    return Finetuned(state, fitted, len(subjects), predictions)


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
    candidates = np.unique(store.index["subject"][_labelled_rows(store, "train", settings)])
    if settings.labels is not None and settings.labels > len(candidates):
        text = f"downstream.labels is {settings.labels}, the training split has {len(candidates)} labelled subjects"
        raise UserError(text)
    fraction = None if settings.labels is not None else settings.label_fraction
    return label_subset(candidates, fraction, settings.labels, derive(seed, "labels"))


def _labelled_rows(
    store: FrameStore, split: Split, settings: DownstreamSettings, subjects: np.ndarray | None = None
) -> np.ndarray:
    rows = store.rows(split, labelled=True, subjects=subjects)
    if settings.views is not None:
        for view in settings.views:
            if view not in store.views:
                raise UserError(f"downstream.views: the dataset has no view '{view}'{did_you_mean(view, store.views)}")
        rows = rows[np.isin(store.index["view"][rows], [store.views.index(view) for view in settings.views])]
    if len(rows) == 0:
        raise DataError(f"the dataset has no labelled frame in its {split} split")
    return rows


def _to_judge(store: FrameStore, split: Split, settings: DownstreamSettings) -> Batches:
    rows = _labelled_rows(store, split, settings)
    return Batches(store, rows, settings.fit.batch_size, masks=True, shuffle=False)


def _build(
    transfer: Transfer, network: NetworkSettings, start: Start, store: FrameStore, seed: int
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
        load_weights(built, wanted, partly=True)
    return built


def _predict(task: Segmentation, batches: Batches, settings: FitSettings, runtime: Runtime) -> Predictions:
    task.eval()
    dtype = autocast_dtype(settings.precision, runtime.device)
    enabled = dtype is not torch.float32
    with torch.no_grad(), torch.autocast(runtime.device.type, dtype=dtype, enabled=enabled):
        return task.predict(divided_all(batches.epoch(0, device=runtime.device), settings.micro_batch))
