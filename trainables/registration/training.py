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
from trainables.registration.pairs import every_pair, labelled_ends, one_pair_per_sequence
from trainables.registration.similarity import GlobalNCC, Similarity


@dataclass(frozen=True)
class RegistrationSettings:
    """How the registration network is trained.

    The loss is -NCC + alpha x bending energy.

    Attributes:
        network: and its grid.
        similarity: of the fixed and the moved frame.
        alpha: weight of the bending energy in pixels of the stored frames, at least 0.
        pairs: of an epoch; "one_per_sequence" draws one random pair of frames of every sequence, so that over the
            epochs all come to be seen; "all" takes every ordered pair of every sequence.
        fit: how long and how to train; AMSGrad, 1e-3 and batches of 32 as in the paper.
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
    """A trained registration network.

    Attributes:
        state: its weights, on the CPU.
        fitted: the run.
    """

    state: dict[str, Tensor]
    fitted: FitResult


def train_registration(settings: RegistrationSettings, store: FrameStore, runtime: Runtime, seed: int) -> Registration:
    """Train on pairs of frames of the train split; keep the epoch of the least loss on labelled pairs of the val split.

    Where the val split has no sequence with masks at both ends, the last epoch is kept.

    Args:
        settings: of the stage.
        store: the frames.
        runtime: where it runs.
        seed: of weights, order and pairs.
    """
    size = settings.fit.batch_size
    if size % runtime.world_size:
        raise UserError(
            f"registration.fit.batch_size is {size}, expected a multiple of its {runtime.world_size} workers"
        )
    train = Batches(store, _pairs(settings, store, seed), size, seed, keep_tail=False)
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
    pairs = every_pair(store, "train")
    return lambda epoch: pairs
