"""No setting of a stage is read and ignored: each changes the digest and the behaviour."""

from __future__ import annotations

from dataclasses import astuple, fields, replace
from typing import Any

import numpy as np
import pytest
import torch
from settings_walk import NETWORK, PLAIN, SHORT, VIEWS, check, pretrained, signature, walked_store
from torch import nn

from trainables.common.errors import UserError
from trainables.data.sampling.targets import DenseLabels
from trainables.data.store.frames import FrameStore
from trainables.downstream import LOSSES
from trainables.downstream.finetune import finetune
from trainables.downstream.settings import DownstreamSettings
from trainables.downstream.test_metrics import further_scores
from trainables.downstream.transfer import Transfer
from trainables.engine.optim import OPTIMIZERS, SCHEDULES
from trainables.engine.runtime import LocalRuntime
from trainables.metrics.case_metric import METRICS
from trainables.networks.lora import LoRA
from trainables.pretext import METHODS
from trainables.pretext.denoise import Denoise
from trainables.pretext.monitoring.probe import Probe
from trainables.pretext.pretrain import PretextSettings
from trainables.pretext.simclr import SimCLR
from trainables.registration import SIMILARITIES
from trainables.registration.network import DLIR
from trainables.registration.propagate import Propagation
from trainables.registration.pseudo_labels import pseudo_labels
from trainables.registration.training import RegistrationSettings, train_registration


@pytest.fixture(scope="module")
def store() -> FrameStore:
    return walked_store()


STAGES: dict[str, Any] = {
    "pretext": PretextSettings(SimCLR(projection=4, hidden=8), SHORT, VIEWS, probe=Probe(frames=2, pixels=8)),
    "registration": RegistrationSettings(DLIR(grid_spacing=4, kernels=2), fit=SHORT),
    "downstream": DownstreamSettings(fit=SHORT),
}
FIT = {
    "schedule": SCHEDULES["cosine"](),
    "optimizer": OPTIMIZERS["sgd"](),
    "precision": "bf16",
    "clip_norm": 1e-3,
    "evaluate_every": 2,
    "micro_batch": 2,
    "steps_per_epoch": 3,
}


def of_stage(settings: Any, store: FrameStore) -> Any:
    """Return what a stage with these settings results in, or its refusal of them."""
    try:
        if isinstance(settings, PretextSettings):
            return pretrained(settings, store)
        if isinstance(settings, RegistrationSettings):
            done = train_registration(settings, store, LocalRuntime(), seed=0)
            return signature([done.state, done.fitted.history])
        rows = store.rows("train")
        dense = DenseLabels(rows, np.zeros((len(rows), 16, 16), np.uint8))
        start = PRETRAINED if settings.transfer.load == "network" else None
        tuned = finetune(settings, NETWORK, start, store, LocalRuntime(), 0, test=True, dense=dense)
        further = further_scores(store, tuned.test, settings.metrics) if tuned.test is not None else {}
        return signature([tuned.state, tuned.fitted.history, astuple(tuned.labels), sorted(further)])
    except UserError as error:
        return str(error)


PRETRAINED = {f"{k}": v for k, v in NETWORK.build(1, 2).state_dict().items() if not k.startswith("head")}


@pytest.mark.parametrize("stage", STAGES)
def test_every_setting_of_a_fit_acts_in_every_stage(stage, store):
    base = STAGES[stage]
    check(base.fit, lambda fit: of_stage(replace(base, fit=fit), store), FIT)


@pytest.mark.parametrize(
    ("stage", "changes"),
    [
        (
            "pretext",
            {
                "method": METHODS["barlow"](projection=4),  # type: ignore[call-arg]
                "fit": replace(SHORT, epochs=1),
                "augment": PLAIN,
                "guard": "off",
                "probe": None,
                "splits": "all",
                "init_from": PretextSettings(SimCLR(projection=4), SHORT, VIEWS),
            },
        ),
        (
            "registration",
            {
                "network": DLIR(grid_spacing=8, kernels=2),
                "similarity": SIMILARITIES["local_ncc"](window=3),
                "alpha": 9.0,
                "fit": replace(SHORT, epochs=1),
            },
        ),
        (
            "downstream",
            {
                "label_fraction": 0.4,
                "labels": 1,
                "views": ("SA",),
                "targets": "propagated",
                "folds": 2,
                "test": ...,  # only with folds, see tests/trainables/downstream/test_folds.py
                "transfer": Transfer("decoder"),
                "loss": LOSSES["dice"](),
                "batch_norm": "recalibrated",
                "fit": replace(SHORT, epochs=1),
                "augment": PLAIN,
                "metrics": (METRICS["sensitivity"](),),
            },
        ),
    ],
)
def test_every_setting_of_a_stage_acts(stage, changes, store):
    check(STAGES[stage], lambda settings: of_stage(settings, store), changes)


def test_every_setting_of_the_probe_acts(store):
    base = STAGES["pretext"]
    check(base.probe, lambda probe: of_stage(replace(base, probe=probe), store))


def test_every_setting_of_the_registration_network_acts(store):
    base = STAGES["registration"]
    check(base.network, lambda network: of_stage(replace(base, network=network), store))


def test_every_setting_of_transfer_acts(store):
    base = STAGES["downstream"]

    def behave(transfer: Transfer) -> Any:
        return of_stage(replace(base, transfer=transfer), store)

    alone = {"train": "decoder", "backbone_rate": 0.1, "layer_decay": 0.5, "freeze_epochs": 1}
    walked = check(Transfer(load="network"), behave, {**alone, "method": ..., "beta": ..., "lora": ...})
    beside = {"method": Denoise(0.3), "beta": 2, **dict.fromkeys((*alone, "load", "lora"), ...)}
    walked |= check(Transfer("multitask", method=Denoise(), beta=1), behave, beside)
    adapted = {"lora": LoRA(rank=2), **dict.fromkeys((*alone, "load", "method", "beta"), ...)}
    walked |= check(Transfer("lora"), behave, adapted)
    assert walked == {field.name for field in fields(Transfer)}
    check(LoRA(2), lambda lora: behave(Transfer("lora", lora=lora)), {"layers": "linear"})


def test_every_setting_of_propagation_acts(store):
    network = DLIR(grid_spacing=4, kernels=2)
    built = network.build(1, (16, 16))
    nn.init.constant_(built.stages[0].head.bias, 0.4)  # px a frame: more than a pixel over three, none over one

    def behave(settings: Propagation) -> Any:
        return signature(pseudo_labels(settings, network, built.state_dict(), store, torch.device("cpu")).labels.masks)

    check(Propagation(), behave, {"blend": "released"})
