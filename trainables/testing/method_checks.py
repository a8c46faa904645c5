"""Checks of pretext methods."""

from __future__ import annotations

import dataclasses
import math
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

import torch

from trainables.augment.geometry import Crop
from trainables.augment.intensity import Jitter
from trainables.augment.policy import Policy
from trainables.common.seeds import derive
from trainables.data.store.frames import FrameStore
from trainables.data.store.synthetic_store import synthetic_store
from trainables.downstream.finetune import finetune
from trainables.downstream.settings import DownstreamSettings
from trainables.engine.optim.optimizers import Adam
from trainables.engine.runtime import LocalRuntime
from trainables.engine.settings import FitSettings
from trainables.networks.network import NetworkSettings
from trainables.networks.unet import UNet, UNetEncoder
from trainables.pretext.method import HEAD, Method
from trainables.pretext.pretrain import PretextSettings, Pretrained, pretrain
from trainables.pretext.simclr import SimCLR

VIEWS = Policy(crop=Crop((0.5, 1.0)), jitter=Jitter(0.2, 0.2), blur=None)


class _Killed(Exception):
    """End of a run from outside."""


def settings_are_frozen_and_equal_by_value(method: Method) -> None:
    """Check that a method is a frozen dataclass whose settings say all about it, as digests assume."""
    assert dataclasses.is_dataclass(method), "expected a dataclass"
    assert type(method).__dataclass_params__.frozen, "expected @dataclass(frozen=True)"  # type: ignore[attr-defined]
    assert dataclasses.replace(method) == method


def a_run_reports_finite_losses(method: Method) -> None:
    """Check that training and validation report a finite loss for every epoch."""
    for row in _run(method).fitted.history:
        for name in ("loss", "val/loss"):
            assert name in row, f"no metric {name}; training_step and evaluate must return 'loss'"
            assert math.isfinite(row[name]), f"{name} is {row[name]}"


def a_run_trains_the_backbone(method: Method) -> None:
    """Check that training changes the weights of the backbone, from which fine-tuning starts."""
    one, more = _run(method, epochs=1).weights, _run(method, epochs=2).weights
    assert all(key.partition(".")[0] in ("backbone", "decoder", HEAD) for key in more), f"unknown parts: {list(more)}"
    moved = [key for key in one if key.startswith("backbone.") and not torch.equal(one[key], more[key])]
    assert moved, "an epoch changes no weight of the backbone"
    assert all(torch.isfinite(value).all() for value in more.values()), "weights that are not finite"


def a_seed_repeats_a_run(method: Method) -> None:
    """Check that equal seeds give equal weights, and other seeds other ones."""
    first, again, other = (_run(method, seed=seed).weights for seed in (3, 3, 4))
    assert all(torch.equal(first[key], again[key]) for key in first), "two runs of one seed differ"
    assert any(not torch.equal(first[key], other[key]) for key in first), "the seed changes nothing"


def a_killed_run_resumes_to_the_same_weights(method: Method) -> None:
    """Check that a killed run goes on from its checkpoint to the weights of an undisturbed run."""

    def kill(epoch: int, metrics: Mapping[str, float]) -> None:
        if epoch == 1:
            raise _Killed

    whole = _run(method, epochs=3).weights
    with tempfile.TemporaryDirectory() as folder:
        try:
            _run(method, epochs=3, runtime=LocalRuntime(Path(folder), kill, save_every=0))
        except _Killed:
            pass
        else:
            raise AssertionError("the run did not report its epochs")
        resumed = _run(method, epochs=3, runtime=LocalRuntime(Path(folder), save_every=0)).weights
    assert whole.keys() == resumed.keys()
    differing = [key for key in whole if not torch.equal(whole[key], resumed[key])]
    assert not differing, f"differ after a resume: {differing[:4]}; is all state in parameters and buffers?"


def its_weights_start_a_segmentation(method: Method) -> None:
    """Check that fine-tuning takes over the weights."""
    store, network = _data(), _network()
    weights = _run(method).weights
    fit = FitSettings(1, 4, Adam(lr=1e-3), precision="float32")
    done = finetune(DownstreamSettings(fit=fit), network, weights, store, LocalRuntime(), seed=0)
    assert 0 <= done.fitted.metrics["val/dice"] <= 1


METHOD_CHECKS: tuple[Callable[[Method], None], ...] = (
    settings_are_frozen_and_equal_by_value,
    a_run_reports_finite_losses,
    a_run_trains_the_backbone,
    a_seed_repeats_a_run,
    a_killed_run_resumes_to_the_same_weights,
    its_weights_start_a_segmentation,
)
"""Checks of a pretext method, each in a second or two: small settings (a projection of 8) make them quick."""


def _data() -> FrameStore:
    return synthetic_store(12, 16, 2)


def _network() -> NetworkSettings:
    return UNet(UNetEncoder(width=4, depth=2))


def _run(method: Method, epochs: int = 2, seed: int = 0, runtime: LocalRuntime | None = None) -> Pretrained:
    """Pretrain a tiny network on noise; a method that continues another one starts from SimCLR."""
    fit = FitSettings(epochs, 4, Adam(lr=3e-3), precision="float32")
    earlier = PretextSettings(SimCLR(projection=8), FitSettings(1, 4), VIEWS) if method.continues else None
    settings = PretextSettings(method, fit, VIEWS, frames="all", init_from=earlier, guard="off")
    start = None
    if earlier is not None:
        start = pretrain(earlier, _network(), _data(), LocalRuntime(), derive(seed, "earlier")).weights
    return pretrain(settings, _network(), _data(), runtime or LocalRuntime(), seed, start)
