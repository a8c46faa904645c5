"""Pretext stage: self-supervised training of a backbone or a whole network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from trainables.augment.policy import Policy
from trainables.common.added import ADDED
from trainables.common.errors import DataError, TrainingFailed, UserError
from trainables.common.learning import Learning, PretrainingFailed
from trainables.common.seeds import derive
from trainables.data.records import SPLITS, Split
from trainables.data.sampling.batches import Batches, RowChooser
from trainables.data.store.frames import FrameStore
from trainables.engine.runtime import Runtime, of_rank_0
from trainables.engine.settings import FitResult, FitSettings
from trainables.engine.task import Task
from trainables.engine.trainer import fit
from trainables.engine.validator import evaluate_now
from trainables.networks.backbones import BackboneSettings
from trainables.networks.network import NetworkSettings
from trainables.networks.weight_files.read import WeightsFile
from trainables.networks.weights import load_weights
from trainables.pretext.method import HEAD, BackboneMethod, Method, NetworkMethod, head_of, no_usable_frame
from trainables.pretext.monitoring.guard import GuardMode, LearningGuard
from trainables.pretext.monitoring.learning import assess
from trainables.pretext.monitoring.probe import LinearProbe, Probe
from trainables.pretext.simclr import SimCLR


@dataclass(frozen=True)
class PretextSettings:
    """Settings of the pretext stage.

    Attributes:
        method: pretext method with its settings.
        fit: training settings.
        augment: augmentation policy of the views.
        frames: "fixed_per_sequence" for one random frame of every sequence, drawn once, as Saeed et al. (2022);
            "one_per_sequence" to draw it again in every epoch; "all" for all frames of the store. A method that can use
            only some frames takes all of these.
        splits: "train" to pretrain on the training split; "all" on the images of every split, without their masks, as
            papers do that pretrain on all volumes. Validation and test subjects are then known to the pretraining.
        guard: "stop" to end a collapsed, diverged or hopeless run early, which then fails; "warn" to train on and only
            record the verdict; "off" for no verdict. A loss that is not finite always ends the run.
        probe: linear probe of the frozen features, scored on validation at each evaluation; None for no probe.
        init_from: earlier pretext stage whose weights initialize this one, or a file with weights of the backbone; None
            for random weights.
    """

    method: Method = field(default_factory=SimCLR)
    fit: FitSettings = field(default_factory=FitSettings)
    augment: Policy = field(default_factory=Policy)
    frames: Literal["one_per_sequence", "fixed_per_sequence", "all"] = "one_per_sequence"
    init_from: PretextSettings | WeightsFile | None = None
    guard: GuardMode = "stop"
    probe: Probe | None = None
    splits: Literal["train", "all"] = field(default="train", metadata=ADDED)

    def __post_init__(self) -> None:
        if isinstance(self.method, Method) and self.method.continues and self.init_from is None:
            name = type(self.method).__name__
            raise ValueError(f"init_from is missing: {name} needs an earlier pretext stage, expected its settings")
        if self.augment.strength == "auto" and self.init_from is not None:
            raise ValueError("augment.strength is auto, which is found from random weights; expected a number here")
        if self.augment.strength == "auto" and isinstance(self.method, Method) and not self.method.compares_views:
            name = type(self.method).__name__
            raise ValueError(f"augment.strength is auto, but {name} does not compare views; expected a number")

    def shortened(self) -> PretextSettings:
        """Return the settings of a rehearsal, which is too short to learn and so has a verdict but no guard."""
        return replace(self, guard="off" if self.guard == "off" else "warn")

    @property
    def chain(self) -> list[PretextSettings]:
        """Steps of the chain of pretrainings that ends with this one, first step first; a file is no step."""
        earlier = self.init_from.chain if isinstance(self.init_from, PretextSettings) else []
        return [*earlier, self]


@dataclass(frozen=True)
class Pretrained:
    """Result of a pretraining.

    Attributes:
        weights: weights after the last epoch, on the CPU; keys begin with "backbone." and, for methods that train the
            whole network, "decoder.", as in a segmentation network, and "pretext_head." for the method's own last
            layer, from which multitask goes on.
        fitted: metrics of the run.
        learning: verdict on the run; None with the guard off.
    """

    weights: dict[str, Tensor]
    fitted: FitResult
    learning: Learning | None = None


def pretrain(
    settings: PretextSettings,
    network: NetworkSettings | BackboneSettings,
    store: FrameStore,
    runtime: Runtime,
    seed: int,
    start: Mapping[str, Tensor] | None = None,
) -> Pretrained:
    """Pretrain on the frames of the training split, or of all; the validation split is evaluated.

    Args:
        settings: settings of the stage.
        network: network to train; a backbone's settings suffice for a method that trains the backbone only.
        store: frame store of the dataset.
        runtime: process or worker group that runs the training.
        seed: seed of weights, order, frames and augmentation.
        start: weights of an earlier stage, keys as in `Pretrained.weights`; None for random weights.

    Raises:
        DataError: the train split is empty, or the images lack the channels that the augmentation needs.
        PretrainingFailed: the run collapsed, diverged or learned nothing.
    """
    size = settings.fit.batch_size
    if size % runtime.world_size:
        raise UserError(f"pretext.fit.batch_size is {size}, expected a multiple of its {runtime.world_size} workers")
    settings.augment.require_channels(store.channel_names, "pretext.augment")
    torch.manual_seed(derive(seed, "init"))
    parts, task = _build(settings, network, store, start)
    steps = settings.fit.steps_per_epoch
    train = Batches(store, epoch_rows(settings, store, "train", seed), size, seed, keep_tail=False, steps=steps)
    # Shuffled once, as every evaluation takes epoch 0: neighbouring rows are frames of one video, which hardly differ.
    val = Batches(store, epoch_rows(settings, store, "val", seed), size, derive(seed, "val"), keep_tail=False)
    probe = None
    if settings.probe is not None:
        at_a_time = settings.fit.micro_batch or size
        probe = LinearProbe(settings.probe, parts["backbone"], store, at_a_time, runtime.device, seed)  # type: ignore[arg-type]
    fitted, learning = _train(settings, task, (train, val if len(val) else None), runtime, seed, probe)
    head = head_of(task)
    if head is not None:
        parts[HEAD] = head
    weights = {name: value.detach().cpu().clone() for name, value in parts.state_dict().items()}
    return Pretrained(weights, fitted, learning)


def _train(
    settings: PretextSettings,
    task: Task,
    batches: tuple[Batches, Batches | None],
    runtime: Runtime,
    seed: int,
    probe: LinearProbe | None,
) -> tuple[FitResult, Learning | None]:
    """Train, and return the verdict beside the metrics.

    Args:
        settings: settings of the stage.
        task: task to train.
        batches: training and validation batches.
        runtime: process or worker group that runs the training.
        seed: seed of the training's random numbers.
        probe: linear probe of the backbone; None for no probe.
    """
    if settings.guard == "off":
        return fit(task, *batches, settings.fit, runtime, seed, probe=probe), None
    sign, val = settings.method.sign, batches[1]
    images = min(len(val.rows()), len(val) * val.batch_size) if val is not None else 0
    try:
        untrained = of_rank_0(evaluate_now(task, val, settings.fit, runtime.device, probe), runtime)
        guard = LearningGuard(sign, settings.fit.epochs, len(batches[0]), untrained, images)
        on_epoch = guard if settings.guard == "stop" else None
        fitted = fit(task, *batches, settings.fit, runtime, seed, on_epoch, probe)
    except PretrainingFailed:
        raise
    except TrainingFailed as error:
        reason, _, advice = str(error).partition(". Fix: ")
        raise PretrainingFailed(Learning("diverged", reason, advice)) from error
    return fitted, assess(sign, fitted.history, untrained, images)


def _build(
    settings: PretextSettings,
    network: NetworkSettings | BackboneSettings,
    store: FrameStore,
    start: Mapping[str, Tensor] | None,
) -> tuple[nn.ModuleDict, Task]:
    """Return the trained modules by name, and the task that trains them."""
    method = settings.method
    if isinstance(method, NetworkMethod):
        if isinstance(network, BackboneSettings):
            raise UserError(f"{type(method).__name__} trains a whole network, found the settings of a backbone")
        whole = network.image_network.build(store.channels, 1)
        parts = nn.ModuleDict({"backbone": whole.backbone, "decoder": whole.decoder})
        load_weights(parts, start, partly=True)
        return parts, method.build(whole.backbone, whole.decoder, settings.augment, store)
    assert isinstance(method, BackboneMethod)
    backbone = (network if isinstance(network, BackboneSettings) else network.backbone).build(store.channels)
    parts = nn.ModuleDict({"backbone": backbone})
    load_weights(parts, start, partly=True)
    return parts, method.build(backbone, settings.augment, store)


def epoch_rows(settings: PretextSettings, store: FrameStore, split: Split, seed: int) -> RowChooser:
    """Return a function from the epoch to the rows of a split that a pretraining uses.

    Raises:
        DataError: the split is that of training and has no frame that the method can use.
    """
    splits = SPLITS if split == "train" and settings.splits == "all" else (split,)
    rows = np.sort(np.concatenate([store.rows(each) for each in splits]))
    if split == "train" and len(rows) == 0:
        raise DataError("the dataset has no frame in its train split")
    usable = settings.method.rows(store, rows)
    if split == "train" and len(usable) == 0:
        raise DataError(no_usable_frame(settings.method))
    if settings.frames == "all" or len(usable) < len(rows):
        return lambda epoch: usable
    draws = [store.one_per_sequence(each, derive(seed, each)) for each in splits]

    def choose(epoch: int) -> np.ndarray:
        return np.concatenate([draw(epoch) for draw in draws])

    if settings.frames == "one_per_sequence":
        return choose
    fixed = choose(0)
    return lambda epoch: fixed
