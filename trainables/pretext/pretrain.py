"""The pretext stage: a backbone, or a whole network, trained without labels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor, nn

from trainables.augment.policy import Policy
from trainables.common.errors import DataError, UserError
from trainables.common.seeds import derive
from trainables.data.records import Split
from trainables.data.sampling.batches import Batches, RowChooser
from trainables.data.store.frames import FrameStore
from trainables.engine.runtime import Runtime
from trainables.engine.settings import FitResult, FitSettings
from trainables.engine.task import Task
from trainables.engine.trainer import fit
from trainables.networks.backbones import BackboneSettings
from trainables.networks.network import NetworkSettings
from trainables.networks.weights import load_weights
from trainables.pretext.method import BackboneMethod, Method, NetworkMethod, training_rows
from trainables.pretext.monitoring.collapse import CollapseGuard
from trainables.pretext.monitoring.probe import LinearProbe, Probe
from trainables.pretext.simclr import SimCLR


@dataclass(frozen=True)
class PretextSettings:
    """How a backbone or network is pretrained.

    Attributes:
        method: and its settings.
        fit: how long and how to train.
        augment: of the views.
        frames: "one_per_sequence" takes one random unlabelled frame of every sequence in each epoch, as Saeed et al.
            (2022); "all" takes all frames that the store keeps. A method that can use only some frames takes all of
            these.
        collapse: when a run that has collapsed or diverged is ended; None never ends it while its loss is finite.
        probe: a segmentation of the frozen features by few labels, scored on validation at each evaluation; None leaves
            it out.
        init_from: an earlier pretext stage whose weights this one goes on from; None begins from random weights.
    """

    method: Method = field(default_factory=SimCLR)
    fit: FitSettings = field(default_factory=FitSettings)
    augment: Policy = field(default_factory=Policy)
    frames: Literal["one_per_sequence", "all"] = "one_per_sequence"
    init_from: PretextSettings | None = None
    collapse: CollapseGuard | None = field(default_factory=CollapseGuard)
    probe: Probe | None = None

    def __post_init__(self) -> None:
        if isinstance(self.method, Method) and self.method.continues and self.init_from is None:
            name = type(self.method).__name__
            raise ValueError(f"first is missing: {name} goes on from an earlier pretext stage, expected its settings")


@dataclass(frozen=True)
class Pretrained:
    """What was trained.

    Attributes:
        weights: after the last epoch, on the CPU; keys begin with "backbone." or, where the method trains the whole
            network, with "decoder." as well, as in a segmentation network.
        fitted: the run.
    """

    weights: dict[str, Tensor]
    fitted: FitResult


def pretrain(
    settings: PretextSettings,
    network: NetworkSettings | BackboneSettings,
    store: FrameStore,
    runtime: Runtime,
    seed: int,
    start: Mapping[str, Tensor] | None = None,
) -> Pretrained:
    """Train on the frames of the train split; those of the val split only show how it goes.

    Args:
        settings: of the stage.
        network: to train; a method that trains a backbone alone needs no more than that.
        store: the frames.
        runtime: where it runs.
        seed: of weights, order, frames and augmentation.
        start: weights of an earlier stage to go on from, keys as in `Pretrained.weights`.
    """
    size = settings.fit.batch_size
    if size % runtime.world_size:
        raise UserError(f"pretext.fit.batch_size is {size}, expected a multiple of its {runtime.world_size} workers")
    torch.manual_seed(derive(seed, "init"))
    parts, task = _built(settings, network, store, start)
    steps = settings.fit.steps_per_epoch
    train = Batches(store, _rows(settings, store, "train", seed), size, seed, keep_tail=False, steps=steps)
    val = Batches(store, _rows(settings, store, "val", seed), size, derive(seed, "val"), shuffle=False, keep_tail=False)
    on_epoch = settings.collapse.check if settings.collapse is not None else None
    probe = None
    if settings.probe is not None:
        at_a_time = settings.fit.micro_batch or size
        probe = LinearProbe(settings.probe, parts["backbone"], store, at_a_time, runtime.device, seed)  # type: ignore[arg-type]
    fitted = fit(task, train, val if len(val) else None, settings.fit, runtime, seed, on_epoch, probe)
    return Pretrained({name: value.detach().cpu().clone() for name, value in parts.state_dict().items()}, fitted)


def _built(
    settings: PretextSettings,
    network: NetworkSettings | BackboneSettings,
    store: FrameStore,
    start: Mapping[str, Tensor] | None,
) -> tuple[nn.ModuleDict, Task]:
    """What is trained, by name, and the task that trains it."""
    method = settings.method
    if isinstance(method, NetworkMethod):
        if isinstance(network, BackboneSettings):
            raise UserError(f"{type(method).__name__} trains a whole network, found the settings of a backbone")
        whole = network.of_images.build(store.channels, 1)
        parts = nn.ModuleDict({"backbone": whole.backbone, "decoder": whole.decoder})
        load_weights(parts, start, partly=True)
        return parts, method.build(whole.backbone, whole.decoder, settings.augment, store)
    assert isinstance(method, BackboneMethod)
    backbone = (network if isinstance(network, BackboneSettings) else network.backbone).build(store.channels)
    parts = nn.ModuleDict({"backbone": backbone})
    load_weights(parts, start, partly=True)
    return parts, method.build(backbone, settings.augment, store)


def _rows(settings: PretextSettings, store: FrameStore, split: Split, seed: int) -> RowChooser:
    rows = store.rows(split)
    if split == "train" and len(rows) == 0:
        raise DataError("the dataset has no frame in its train split")
    usable = training_rows(settings.method, store) if split == "train" else settings.method.rows(store, rows)
    if settings.frames == "all" or len(usable) < len(rows):
        return lambda epoch: usable
    return store.one_per_sequence(split, derive(seed, split))
