"""Every component of this program passes the checks that plug-ins are asked to pass, and faulty ones do not."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from trainables.augment.policy import Policy
from trainables.data.layouts import LAYOUTS
from trainables.data.records import Layout
from trainables.data.sampling.batches import Batch
from trainables.data.store.frames import FrameStore
from trainables.engine.task import Task
from trainables.networks import DeepLabV3, ResNet18, ResNet50, Timm, TinyResNet, UNet, UNet3D, UNetEncoder
from trainables.networks.backbones import Backbone
from trainables.networks.light_decoders import Linear, Setr
from trainables.networks.network import NetworkSettings, SegmentationNetwork
from trainables.networks.smp_networks import Smp, SmpEncoder
from trainables.phantom import PHANTOMS, PhantomSettings
from trainables.pretext.barlow import BarlowTwins
from trainables.pretext.byol import BYOL
from trainables.pretext.denoise import Denoise
from trainables.pretext.masked import MaskedModelling
from trainables.pretext.method import BackboneMethod, Method
from trainables.pretext.moco import MoCo
from trainables.pretext.simclr import SimCLR
from trainables.pretext.vicreg import VICReg
from trainables.testing import BACKBONE_CHECKS, LAYOUT_CHECKS, METHOD_CHECKS, NETWORK_CHECKS
from trainables.testing.layout_checks import a_subject_is_in_one_split, sequences_are_listed_once
from trainables.testing.method_checks import a_run_trains_the_backbone, a_seed_repeats_a_run
from trainables.testing.network_checks import (
    images_are_segmented_independently,
    parts_are_named_as_transfer_expects,
    stages_hold_each_parameter_once,
)

by_name = {"ids": lambda each: getattr(each, "__name__", type(each).__name__)}
METHODS: list[Method] = [
    SimCLR(projection=8),
    BYOL(hidden=16, projection=8),
    MoCo(hidden=16, projection=8),
    VICReg(projection=8),
    BarlowTwins(projection=8),
    Denoise(),
    MaskedModelling(patch=4),
]
BACKBONES = [
    TinyResNet(width=4),
    UNetEncoder(width=4, depth=2),
    ResNet18(),
    ResNet50(),
    Timm("test_vit"),
    Timm("test_efficientnet"),
    SmpEncoder("resnet18"),
]
NETWORKS: list[NetworkSettings] = [
    DeepLabV3(TinyResNet(width=4), rates=(1, 2), width=8),
    UNet(UNetEncoder(width=4, depth=2)),
    UNet3D(UNetEncoder(width=4, depth=2)),
    UNet(Timm("test_efficientnet")),
    Linear(Timm("test_vit"), levels=4),
    Setr(Timm("test_vit"), width=8),
    Smp(SmpEncoder("tu-test_efficientnet"), arch="FPN"),
]


@pytest.mark.parametrize("check", METHOD_CHECKS, **by_name)
@pytest.mark.parametrize("method", METHODS, **by_name)
def test_methods(method, check):
    check(method)


@pytest.mark.parametrize("check", BACKBONE_CHECKS, **by_name)
@pytest.mark.parametrize("settings", BACKBONES, **by_name)
def test_backbones(settings, check):
    check(settings)


@pytest.mark.parametrize("check", NETWORK_CHECKS, **by_name)
@pytest.mark.parametrize("settings", NETWORKS, **by_name)
def test_networks(settings, check):
    check(settings)


@pytest.fixture(scope="module", params=[*PHANTOMS], ids=str)
def dataset(request, tmp_path_factory) -> tuple[Layout, Path]:
    folder = tmp_path_factory.mktemp(request.param)
    size = PhantomSettings(subjects=5, frames=8, size=32, slices=4, fractions=(0.4, 0.3, 0.3))
    PHANTOMS[request.param].write(folder, size, None)
    return PHANTOMS[request.param].layout(), folder


@pytest.mark.parametrize("check", LAYOUT_CHECKS, **by_name)
def test_layouts(dataset, check):
    check(*dataset)


class Frozen(Task):
    """A task that trains something else than the backbone."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(()))

    def training_step(self, batch: Batch) -> dict[str, Tensor]:
        return {"loss": (self.weight - batch.images.float().mean() / 255).square()}

    def evaluate(self, batches: Iterable[Batch]) -> dict[str, float]:
        return {"loss": float(self.weight)}


@dataclass(frozen=True)
class TrainsNothing(BackboneMethod):
    """Leaves the backbone as it is."""

    def build(self, backbone: Backbone, augment: Policy, store: FrameStore) -> Task:
        return Frozen()


@dataclass(frozen=True)
class Unseeded(BackboneMethod):
    """Draws from a generator that no seed reaches."""

    def build(self, backbone: Backbone, augment: Policy, store: FrameStore) -> Task:
        noise = torch.Generator()
        noise.seed()
        with torch.no_grad():
            for weight in backbone.parameters():
                weight.add_(torch.randn(weight.shape, generator=noise))
        return SimCLR(projection=8).build(backbone, augment, store)


@pytest.mark.parametrize(
    ("check", "method", "message"),
    [
        (a_run_trains_the_backbone, TrainsNothing(), "changes no weight of the backbone"),
        (a_seed_repeats_a_run, Unseeded(), "two runs of one seed differ"),
    ],
)
def test_a_faulty_method_is_found(check, method, message):
    with pytest.raises(AssertionError, match=message):
        check(method)


@dataclass(frozen=True)
class Mixing(NetworkSettings):
    """A network whose images see each other, with a part of another name."""

    def build(self, in_channels: int, classes: int) -> SegmentationNetwork:
        network = UNet(self.backbone).build(in_channels, classes)
        network.extra = nn.Linear(1, 1)
        network.forward = lambda images: SegmentationNetwork.forward(network, images - images.mean())
        return network


@pytest.mark.parametrize(
    ("check", "message"),
    [
        (images_are_segmented_independently, "not close"),
        (parts_are_named_as_transfer_expects, "found the parts"),
    ],
)
def test_a_faulty_network_is_found(check, message):
    with pytest.raises(AssertionError, match=message):
        check(Mixing(UNetEncoder(width=4, depth=2)))


def test_a_backbone_that_forgets_a_stage_is_found(monkeypatch):
    settings = UNetEncoder(width=4, depth=2)
    kind = type(settings.build(1))
    stages = kind.stages
    monkeypatch.setattr(kind, "stages", lambda self: stages(self)[1:])
    with pytest.raises(AssertionError, match="in no stage"):
        stages_hold_each_parameter_once(settings)


@pytest.mark.parametrize("check", [a_subject_is_in_one_split, sequences_are_listed_once], **by_name)
def test_a_faulty_layout_is_found(check, tmp_path, monkeypatch):
    size = PhantomSettings(subjects=5, frames=8, size=32, fractions=(0.4, 0.3, 0.3))
    PHANTOMS["echonet"].write(tmp_path, size, None)
    kind = LAYOUTS["echonet"]
    scan = kind.scan

    def twice(self, root):
        listing = scan(self, root)
        moved = [dataclasses.replace(each, split="test") for each in listing.records]
        return dataclasses.replace(listing, records=(*listing.records, *moved))

    monkeypatch.setattr(kind, "scan", twice)
    with pytest.raises(AssertionError):
        check(kind(), tmp_path)
