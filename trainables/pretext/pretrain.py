"""The pretext stage: a backbone trained without labels."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor

from trainables.augment.policy import Policy
from trainables.data.batches import Batches, RowChooser
from trainables.data.frames import FrameStore
from trainables.data.records import Split
from trainables.errors import DataError, UserError
from trainables.loop import FitResult, FitSettings, fit
from trainables.networks.backbones import BackboneSettings
from trainables.pretext.method import Method
from trainables.pretext.simclr import SimCLR
from trainables.runtime import Runtime
from trainables.seeds import derive


@dataclass(frozen=True)
class PretextSettings:
    """How a backbone is pretrained.

    Attributes:
        method: and its settings.
        fit: how long and how to train.
        augment: of the views.
        frames: "one_per_sequence" takes one random unlabelled frame of every sequence in each epoch, as Saeed et al.
            (2022); "all" takes all frames that the store keeps.
    """

    method: Method = field(default_factory=SimCLR)
    fit: FitSettings = field(default_factory=FitSettings)
    augment: Policy = field(default_factory=Policy)
    frames: Literal["one_per_sequence", "all"] = "one_per_sequence"


@dataclass(frozen=True)
class Pretrained:
    """A trained backbone.

    Attributes:
        backbone: its weights after the last epoch, on the CPU.
        fitted: the run.
    """

    backbone: dict[str, Tensor]
    fitted: FitResult


def pretrain(
    settings: PretextSettings, backbone: BackboneSettings, store: FrameStore, runtime: Runtime, seed: int
) -> Pretrained:
    """Train a backbone on the frames of the train split; those of the val split only show how it goes.

    Args:
        settings: of the stage.
        backbone: to train.
        store: the frames.
        runtime: where it runs.
        seed: of weights, order, frames and augmentation.
    """
    size = settings.fit.batch_size
    if size % runtime.world_size:
        raise UserError(f"pretext.fit.batch_size is {size}, expected a multiple of its {runtime.world_size} workers")
    torch.manual_seed(derive(seed, "init"))
    built = backbone.build(store.channels)
    task = settings.method.build(built, settings.augment, store)
    train = Batches(store, _rows(settings, store, "train", seed), size, seed, keep_tail=False)
    val = Batches(store, _rows(settings, store, "val", seed), size, derive(seed, "val"), shuffle=False, keep_tail=False)
    fitted = fit(task, train, val if len(val) else None, settings.fit, runtime, seed)
    return Pretrained({name: value.detach().cpu().clone() for name, value in built.state_dict().items()}, fitted)


def _rows(settings: PretextSettings, store: FrameStore, split: Split, seed: int) -> RowChooser:
    rows = store.rows(split)
    if split == "train" and len(rows) == 0:
        raise DataError("the dataset has no frame in its train split")
    if settings.frames == "all":
        return lambda epoch: rows
    return store.one_per_sequence(split, derive(seed, split))
