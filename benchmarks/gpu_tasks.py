"""Small tasks with fixed weights and batches, for the checks on a new GPU."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from trainables.augment.policy import Policy
from trainables.data.sampling.batches import Batches
from trainables.data.store.synthetic_store import synthetic_store
from trainables.downstream.losses import DiceCrossEntropy
from trainables.downstream.segmentation import Segmentation
from trainables.engine.optim.optimizers import SGD
from trainables.engine.runtime import LocalRuntime, set_gpu_flags, to_device
from trainables.engine.settings import FitResult, FitSettings
from trainables.engine.task import Task
from trainables.engine.trainer import fit
from trainables.networks.unet import UNet, UNetEncoder
from trainables.pretext.barlow import BarlowTwins
from trainables.pretext.byol import BYOL
from trainables.pretext.denoise import Denoise
from trainables.pretext.global_contrastive import GlobalContrastive
from trainables.pretext.local_contrastive import LocalContrastive
from trainables.pretext.masked import MaskedModelling
from trainables.pretext.method import BackboneMethod
from trainables.pretext.moco import MoCo
from trainables.pretext.simclr import SimCLR
from trainables.pretext.vicreg import VICReg

BATCH = 8
STORE = synthetic_store(24, 32, 1)
ENCODER = UNetEncoder(width=8, depth=3)
BACKBONE_METHODS: Mapping[str, BackboneMethod] = {
    "simclr": SimCLR(),
    "byol": BYOL(),
    "moco": MoCo(),
    "vicreg": VICReg(),
    "barlow": BarlowTwins(),
    "global_contrastive": GlobalContrastive(),
}
DECODER_METHODS: Mapping[str, Any] = {
    "local_contrastive": LocalContrastive(regions=6, region=3),
    "denoise": Denoise(),
    "masked": MaskedModelling(),
}
TASKS = (*BACKBONE_METHODS, *DECODER_METHODS, "segmentation")
"""Names of the tasks that are checked."""


def new_task(name: str) -> Task:
    """Return a small task with the weights of a fixed seed."""
    torch.manual_seed(4)
    if name in BACKBONE_METHODS:
        return BACKBONE_METHODS[name].build(ENCODER.build(1), Policy(), STORE)
    if name in DECODER_METHODS:
        network = UNet(ENCODER).build(1, 1)
        task: Task = DECODER_METHODS[name].build(network.backbone, network.decoder, Policy(), STORE)
        return task
    network = UNet(ENCODER).build(1, len(STORE.classes))
    return Segmentation(network, DiceCrossEntropy(), Policy.mild(), STORE)


def batches() -> Batches:
    """Return the batches that every task is trained on."""
    return Batches(STORE, STORE.rows("train"), BATCH, seed=2, masks=True)


def gradients(name: str, device: torch.device) -> tuple[float, dict[str, Tensor]]:
    """Return the loss of one batch in float32 and the gradient of each parameter, on the CPU."""
    set_gpu_flags()
    task = to_device(new_task(name), device).train()
    loss = task(next(batches().epoch(0, device=device)))["loss"]
    loss.backward()
    return float(loss), {key: p.grad.cpu() for key, p in task.named_parameters() if p.grad is not None}


def trained(name: str, runtime: LocalRuntime, **changes: Any) -> FitResult:
    """Train a task for four epochs."""
    settings = FitSettings(4, BATCH, **{"optimizer": SGD(lr=0.01), "precision": "float32", **changes})
    return fit(new_task(name), batches(), batches(), settings, runtime, seed=0)
