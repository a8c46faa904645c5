"""The registration stage: a network that aligns any two frames of a sequence, trained without labels."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor

from trainables.common.errors import DataError, UserError
from trainables.common.seeds import derive
from trainables.data.sampling.batches import Batches, RowChooser
from trainables.data.store.frames import FrameStore
from trainables.engine.optim.optimizers import Adam
from trainables.engine.runtime import Runtime
from trainables.engine.settings import FitResult, FitSettings
from trainables.engine.trainer import fit
from trainables.registration.alignment import Alignment
from trainables.registration.network import DLIR
from trainables.registration.pairs import all_pairs, labelled_ends, one_pair_per_sequence
from trainables.registration.similarity import GlobalNCC, Similarity


@dataclass(frozen=True)
class RegistrationSettings:
    """Settings of the registration stage.

    The loss is -NCC + alpha x bending energy.

    Attributes:
        network: registration network and its control-point grid.
        similarity: similarity of the fixed and the warped frame.
        alpha: weight of the bending energy in pixels of the stored frames, at least 0.
        pairs: training pairs of an epoch; "one_per_sequence" draws one random pair of frames of every sequence, so that
            all are drawn over the epochs; "all" uses every ordered pair of every sequence.
        fit: duration and optimizer of the training; AMSGrad, learning rate 1e-3 and batches of 32 as in the paper.
    """

    network: DLIR = field(default_factory=DLIR)
    similarity: Similarity = field(default_factory=GlobalNCC)
    alpha: float = 1.0
    pairs: Literal["one_per_sequence", "all"] = "one_per_sequence"
    fit: FitSettings = field(default_factory=lambda: FitSettings(optimizer=Adam(lr=1e-3, amsgrad=True)))

    def __post_init__(self) -> None:
        if not self.alpha >= 0:
            raise ValueError(f"alpha is {self.alpha}, expected at least 0")


@dataclass(frozen=True)
class Registration:
    """Result of the registration stage.

    Attributes:
        state: state dict of the trained network, on the CPU.
        fitted: result of the training run.
    """

    state: dict[str, Tensor]
    fitted: FitResult


def train_registration(settings: RegistrationSettings, store: FrameStore, runtime: Runtime, seed: int) -> Registration:
    """Train on pairs of frames of the train split and keep the epoch with the lowest loss on labelled val pairs.

    If the val split has no sequence with masks at both ends, the last epoch is kept.

    Args:
        settings: network, loss, pairs and training settings.
        store: frame store of the dataset.
        runtime: devices, workers and callbacks of the training.
        seed: random seed of the weights, the order and the pairs.

    Raises:
        UserError: the batch size is not a multiple of the number of workers.
        DataError: no sequence of the train split has two frames.
    """
    size = settings.fit.batch_size
    if size % runtime.world_size:
        raise UserError(
            f"registration.fit.batch_size is {size}, expected a multiple of its {runtime.world_size} workers"
        )
    steps = settings.fit.steps_per_epoch
    train = Batches(store, _pairs(settings, store, seed), size, seed, keep_tail=False, steps=steps)
    if len(train) == 0:
        raise DataError("the dataset has no sequence of two frames or more in its train split")
    ends = labelled_ends(store, "val")
    val = Batches(store, ends, size, masks=True, shuffle=False) if len(ends) else None
    torch.manual_seed(derive(seed, "init"))
    network = settings.network.build(store.channels, (store.image_size, store.image_size))
    task = Alignment(network, settings.similarity, settings.alpha, store)
    fitted = fit(task, train, val, settings.fit, runtime, seed)
    return Registration({name: value.detach().cpu().clone() for name, value in network.state_dict().items()}, fitted)


def _pairs(settings: RegistrationSettings, store: FrameStore, seed: int) -> RowChooser:
    if settings.pairs == "one_per_sequence":
        return one_pair_per_sequence(store, "train", seed)
    pairs = all_pairs(store, "train")
    return lambda epoch: pairs
