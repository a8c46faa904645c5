"""Training steps on the meta device in place of a GPU: no operation of theirs may wait for it.

Random numbers are drawn on the CPU, as they are with a GPU, and everything else is only traced. An operation whose
result depends on values, such as `nonzero`, is an error on the meta device.
"""

import contextlib
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from toys import toy_store

from trainables.augment import batch_rng
from trainables.augment.batch_rng import BatchRNG
from trainables.augment.color import Color
from trainables.augment.policies import POLICIES
from trainables.augment.policy import Policy
from trainables.data.sampling.batches import Batch
from trainables.downstream.losses import DiceCrossEntropy
from trainables.downstream.segmentation import Segmentation
from trainables.engine.task import Task
from trainables.metrics.overlap import counts
from trainables.networks import UNet, UNetEncoder
from trainables.pretext.barlow import BarlowTwins
from trainables.pretext.byol import BYOL
from trainables.pretext.global_contrastive import GlobalContrastive
from trainables.pretext.local_contrastive import LocalContrastive
from trainables.pretext.method import BackboneMethod
from trainables.pretext.moco import MoCo
from trainables.pretext.position import PositionPrediction, PositionTask
from trainables.pretext.simclr import SimCLR
from trainables.pretext.vicreg import VICReg

META = torch.device("meta")
STORE = toy_store(48, size=32)
ENCODER = UNetEncoder(width=4, depth=2)
KERNELS = {"natural": 60, "mild": 40, "cropped": 40, "ultrasound": 360, "mr": 210}
"""Most operations that compute or copy in the augmentation of two views of a batch, by policy."""


class Trace(TorchDispatchMode):
    """Trace of the operations, and of those that would make the CPU wait for a GPU.

    Attributes:
        kernels: number of operations on the meta device that compute or copy, one kernel each or more.
        names: names of all operations on the meta device.
        waiting: names of blocking copies and of checks of results.
    """

    def __init__(self) -> None:
        super().__init__()
        self.kernels, self.names, self.waiting = 0, list[str](), list[str]()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        tensors = [each for each in tree_leaves((args, kwargs, out)) if isinstance(each, torch.Tensor)]
        devices = {each.device.type for each in tensors}
        self.names += [str(func)] if "meta" in devices else []
        views = any(each.alias_info is not None and not each.alias_info.is_write for each in func._schema.returns)
        self.kernels += "meta" in devices and not views and "empty" not in str(func)
        blocking = {"cpu", "meta"} <= devices and not (kwargs or {}).get("non_blocking")
        checks = "check_errors" in str(func) and "meta" in devices
        if checks or (blocking and all(each.dim() for each in tensors)):
            self.waiting.append(str(func))
        return out


@pytest.fixture(autouse=True)
def _meta_as_gpu(monkeypatch):
    """Copy constants to the device, as with a GPU, and leave autocast out, which knows no meta device."""
    made, cpu = torch.tensor, torch.device("cpu")
    monkeypatch.setattr(batch_rng, "generator_on", lambda device: torch.Generator())
    monkeypatch.setattr(torch, "tensor", lambda data, device=cpu, **kinds: made(data, **kinds).to(device))
    monkeypatch.setattr(torch.Tensor, "new_tensor", lambda self, data: made(data, dtype=self.dtype).to(self.device))
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: contextlib.nullcontext())


def batch(channels: int = 1) -> Batch:
    images = torch.zeros(8, channels, 32, 32, dtype=torch.uint8, device=META)
    masks = torch.zeros(8, 32, 32, dtype=torch.uint8, device=META)
    return Batch(images, masks, torch.arange(8), BatchRNG(1, 8, 0, 8, META))


def of_backbone(method: BackboneMethod) -> Task:
    return method.build(ENCODER.build(1), Policy(), STORE)


def of_network(method: LocalContrastive | PositionPrediction) -> Task:
    network = UNet(ENCODER).build(1, 1)
    return method.build(network.backbone, network.decoder, Policy(), STORE)


TASKS = {
    "simclr": lambda: of_backbone(SimCLR(projection=8)),
    "byol": lambda: of_backbone(BYOL(hidden=16, projection=8, momentum=0.9)),
    "moco": lambda: of_backbone(MoCo(hidden=16, projection=8, momentum=0.9)),
    "vicreg": lambda: of_backbone(VICReg(projection=8)),
    "barlow": lambda: of_backbone(BarlowTwins(projection=8)),
    "global contrast": lambda: of_backbone(GlobalContrastive(partitions=4)),
    "local contrast": lambda: of_network(LocalContrastive(regions=6, region=3)),
    "position": lambda: of_network(PositionPrediction()),
    "segmentation": lambda: Segmentation(UNet(ENCODER).build(1, 2), DiceCrossEntropy(), Policy.mild(), STORE),
}


@pytest.mark.parametrize("name", TASKS)
def test_a_step_does_not_wait_for_the_gpu(name):
    task = TASKS[name]().to(META).train()
    with Trace() as trace:
        task(batch())["loss"].backward()
        task.after_step(0.5)
    assert trace.waiting == []
    assert trace.kernels > 0


def test_colours_do_not_wait_for_the_gpu():
    with Trace() as trace:
        Policy(color=Color()).apply(batch(3).images, None, batch().draw)
    assert trace.waiting == []


def test_pixel_counts_of_a_batch_take_as_few_operations_as_of_one_image():
    for images in (1, 32):
        masks = torch.zeros(images, 32, 32, dtype=torch.int64, device=META)
        with Trace() as trace:
            counts(masks, masks.to(torch.uint8), classes=4)
        assert trace.waiting == []
        assert trace.kernels <= 12, trace.kernels


def test_boxes_are_drawn_on_the_gpu():
    task = TASKS["position"]().to(META)
    assert isinstance(task, PositionTask)
    with Trace() as trace:
        assert task.boxes(batch()).device == META
    assert trace.waiting == []
    assert sum("copy" in name for name in trace.names) == 2  # places and sides, not maps
    assert trace.kernels > 2


def test_what_waits_is_seen():
    with Trace() as trace:
        torch.tensor([1.0, 2.0], device=META)
        torch.linalg.inv(torch.zeros(3, 2, 2, device=META))
        torch.zeros(3).to(META)
        torch.zeros(3).to(META, non_blocking=True)
    assert len(trace.waiting) == 3


@pytest.mark.parametrize("name", KERNELS)
def test_the_augmentation_of_two_views_keeps_its_budget_and_does_not_wait(name):
    one = batch()
    with Trace() as trace:
        for view in (0, 1):
            POLICIES[name].apply(one.images, None, one.draw.fork("view", view))
    assert trace.kernels <= KERNELS[name], trace.kernels
    assert trace.waiting == []
