"""No setting of a registered component is read and ignored: each changes the digest and the behaviour."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any, get_args, get_type_hints

import numpy as np
import pytest
import torch
from settings_walk import PLAIN, SHORT, VIEWS, check, pretrained, signature, walked_store
from torch import Tensor, nn

from study.config.ranges import RANGES
from study.config.search import ASHA, Hyperband, Median
from study.config.spec import COMPONENTS, FileStart, ImageNetStart
from trainables.augment.batch_rng import BatchRNG
from trainables.augment.keep import Keep
from trainables.augment.policies import POLICIES
from trainables.augment.policy import Policy
from trainables.common.errors import UserError
from trainables.data.layouts import LAYOUTS
from trainables.data.store.frames import FrameStore
from trainables.downstream import LOSSES
from trainables.engine.best_checkpoint import BestCheckpoint
from trainables.engine.optim import OPTIMIZERS, SCHEDULES
from trainables.external.nnunet import EXTERNAL, run
from trainables.metrics.case_metric import METRICS
from trainables.networks import BACKBONES, NETWORKS, UNetEncoder
from trainables.phantom import PHANTOMS, PhantomSettings
from trainables.pretext import METHODS
from trainables.pretext.global_contrastive import GlobalContrastive
from trainables.pretext.method import Method
from trainables.pretext.position import PositionPrediction
from trainables.pretext.pretrain import PretextSettings
from trainables.pretext.simclr import SimCLR
from trainables.registration import SIMILARITIES


@pytest.fixture(scope="module")
def store() -> FrameStore:
    return walked_store()


def of_method(method: Method, store: FrameStore) -> Any:
    earlier = PretextSettings(SimCLR(projection=4), SHORT, VIEWS) if method.continues else None
    index = np.array(store.index)
    if isinstance(method, GlobalContrastive):  # slices of volumes
        index["stack"] = 1
    if isinstance(method, PositionPrediction):  # an image of a single moment before each cine
        index["stack"] = index["frame"] == 0
    store = replace(store, index=index)
    views = VIEWS if method.compares_views or method.continues else PLAIN
    return pretrained(PretextSettings(method, SHORT, views, "all", earlier, guard="off"), store)


SMALL_METHODS: dict[str, Method] = {
    "byol": METHODS["byol"](hidden=8, projection=4),  # type: ignore[call-arg]
    "moco": METHODS["moco"](hidden=8, projection=4),  # type: ignore[call-arg]
    "vicreg": METHODS["vicreg"](projection=8),  # type: ignore[call-arg]
    "barlow": METHODS["barlow"](projection=8),  # type: ignore[call-arg]
    "masked": METHODS["masked"](patch=8),  # type: ignore[call-arg]
    "position": PositionPrediction(box_mm=4.0, distance_mm=10.0),
}

SMALL_NETWORKS: dict[str, Any] = {
    "deeplabv3": NETWORKS["deeplabv3"](BACKBONES["resnet_tiny"](width=4), width=8),  # type: ignore[call-arg]
    "smp": NETWORKS["smp"](BACKBONES["smp"](encoder="resnet18")),  # type: ignore[call-arg]
    "linear": NETWORKS["linear"](BACKBONES["resnet_tiny"](width=4)),  # type: ignore[call-arg]
    "setr": NETWORKS["setr"](BACKBONES["resnet_tiny"](width=4), width=4),  # type: ignore[call-arg]
    "unet3d": NETWORKS["unet3d"](UNetEncoder(width=2, depth=2)),
}

SMALL_BACKBONES: dict[str, Any] = {
    "unet_encoder": UNetEncoder(width=4, depth=2),
    "timm": BACKBONES["timm"](model="test_vit"),  # type: ignore[call-arg]
    "smp": BACKBONES["smp"](encoder="tu-test_efficientnet"),  # type: ignore[call-arg]
}


def of_network(settings: Any, store: FrameStore) -> Any:
    torch.manual_seed(0)
    network = settings.build(1, 2)
    frames = (torch.rand(2, 1, 8, 32, 32) if settings.frames > 1 else torch.rand(2, 1, 32, 32)) - 0.5
    return signature([network(frames), settings.frames, settings.temporal])


def of_backbone(settings: Any, store: FrameStore) -> Any:
    torch.manual_seed(0)
    try:
        backbone = settings.build(1)
    except UserError as error:
        return str(error)
    return signature(backbone.features(torch.rand(2, 1, 32, 32)))


SMALL_OPTIMIZERS = {"adam": OPTIMIZERS["adam"](betas=(0.9, 0.5))}  # type: ignore[call-arg]
"""AMSGrad differs where the gradient's square is forgotten soon."""


def of_optimizer(settings: Any, store: FrameStore) -> Any:
    torch.manual_seed(0)
    layer = nn.Linear(4, 3)
    optimizer = settings.build([{"params": list(layer.parameters())}])
    for step in range(4):
        optimizer.zero_grad()
        ((layer(torch.rand(5, 4)) - step).square().mean() / 10**step).backward()
        optimizer.step()
    return signature(layer)


def of_schedule(settings: Any, store: FrameStore) -> Any:
    dice = [0.1, 0.2, 0.2, 0.6, 0.7, *[0.7] * 40]
    history = [{"val/dice": value, "val/loss": float(epoch)} for epoch, value in enumerate(dice)]
    best = BestCheckpoint("dice", higher_is_better=True)
    monitored = best.monitored(history, settings.monitor)
    return signature([settings.factor(step, 46, 1, monitored[:step]) for step in range(46)])


def of_loss(settings: Any, store: FrameStore) -> Any:
    torch.manual_seed(0)
    return signature(settings(torch.randn(3, 3, 8, 8), torch.randint(0, 3, (3, 8, 8))))


def of_similarity(settings: Any, store: FrameStore) -> Any:
    torch.manual_seed(0)
    return signature(settings(torch.rand(2, 1, 16, 16), torch.rand(2, 1, 16, 16)))


def of_metric(settings: Any, store: FrameStore) -> Any:
    masks = np.zeros((2, 1, 16, 16), np.uint8)
    masks[0, :, 4:12, 4:12] = masks[1, :, 4:12, 7:15] = 1
    return signature(torch.from_numpy(settings(*masks, 2, np.ones((1, 2)))))


ELSEWHERE = {
    FileStart: "path and format: tests/study/stages/test_weights_file.py",
    ImageNetStart: "weights and download: tests/trainables/networks/test_weights.py",
    **dict.fromkeys((*RANGES.values(),), "a range of a search: tests/study/scheduling/test_cell_search.py"),
    **dict.fromkeys((ASHA, Median, Hyperband), "a pruner of a search: tests/study/scheduling/test_pruning.py"),
}
"""Classes of settings that configure no training, and where their settings are tested."""

BEHAVIOUR: dict[str, tuple[dict[str, Any], Callable[[Any, FrameStore], Any]]] = {
    "method": ({name: SMALL_METHODS.get(name) or kind() for name, kind in METHODS.items()}, of_method),
    "network": ({name: SMALL_NETWORKS.get(name) or kind() for name, kind in NETWORKS.items()}, of_network),  # type: ignore[call-arg]
    "backbone": ({name: SMALL_BACKBONES.get(name) or kind() for name, kind in BACKBONES.items()}, of_backbone),
    "optimizer": ({name: SMALL_OPTIMIZERS.get(name) or kind() for name, kind in OPTIMIZERS.items()}, of_optimizer),
    "schedule": ({name: kind() for name, kind in SCHEDULES.items()}, of_schedule),
    "loss": ({name: kind() for name, kind in LOSSES.items()}, of_loss),
    "similarity": ({name: kind() for name, kind in SIMILARITIES.items()}, of_similarity),
    "metric": ({name: kind() for name, kind in METRICS.items()}, of_metric),
}


@pytest.mark.parametrize(
    ("kind", "name"), [(kind, name) for kind, (entries, _) in BEHAVIOUR.items() for name in entries]
)
def test_every_setting_of_a_component_changes_digest_and_behaviour(kind, name, store):
    entries, behave = BEHAVIOUR[kind]
    check(entries[name], lambda settings: behave(settings, store))


def test_every_setting_of_nnunet_reaches_its_process(store, tmp_path, monkeypatch):
    monkeypatch.setattr(run.importlib.util, "find_spec", lambda name: True)
    monkeypatch.setattr(run, "_run", lambda *_: (_ for _ in ()).throw(InterruptedError))
    rows = store.rows("train", labelled=True)

    def behave(settings: Any) -> Any:
        with pytest.raises(InterruptedError):
            run.train_nnunet(settings, store, [(rows, rows)], rows, 1, 0, torch.device("cpu"), tmp_path, print)
        return json.loads((tmp_path / "train_config.json").read_text())

    (kind,) = EXTERNAL.values()
    check(kind(), behave)  # type: ignore[call-arg]


CHANCES = ("p", "grey")
OPERATIONS = [field.name for field in fields(Policy) if field.name not in ("strength", "size", "keep", "added")]


@pytest.mark.parametrize("name", OPERATIONS)
def test_every_setting_of_an_augmentation_acts_on_bytes_and_on_floats(name):
    kind = next(each for each in get_args(get_type_hints(Policy)[name]) if each is not type(None))
    torch.manual_seed(0)
    images = (torch.rand(8, 3, 4, 4) * 255).to(torch.uint8).repeat_interleave(8, 2).repeat_interleave(8, 3)
    rng = BatchRNG(0, 8, 0, 8)

    def behave(settings: Any, source: Tensor) -> Any:
        return signature(replace(PLAIN, **{name: settings}).apply(source, None, rng)[0])

    # Probabilities are changed to 1: a small one may draw none of eight images either way.
    rare = {each.name: 1.0 if getattr(kind(), each.name) < 1 else 0.3 for each in fields(kind) if each.name in CHANCES}
    for source in (images, images.float() / 255):
        check(kind(), lambda settings, source=source: behave(settings, source), rare)


def test_the_settings_of_a_policy_act():
    torch.manual_seed(0)
    images = (torch.rand(8, 1, 32, 32) * 255).to(torch.uint8)
    images[..., :12] = 0  # outside the sector
    rng = BatchRNG(0, 8, 0, 8)
    base = replace(POLICIES["ultrasound"], size=None)
    for changed in (replace(base, strength=0.5), replace(base, size=24), replace(base, keep=None)):
        assert signature(changed.apply(images, None, rng)[0]) != signature(base.apply(images, None, rng)[0])
    strong = replace(base, noise=POLICIES["mr"].noise, strength=3.0)
    check(Keep(spread=0.95, edges=0.95), lambda keep: signature(replace(strong, keep=keep).apply(images, None, rng)[0]))


@pytest.mark.parametrize("name", [name for name, kind in LAYOUTS.items() if fields(kind)])
def test_every_setting_of_a_layout_changes_what_is_read(name, tmp_path):
    phantom = next(each for each in PHANTOMS.values() if each.layout is LAYOUTS[name])
    size = PhantomSettings(subjects=5, frames=8, size=32, slices=4, fractions=(0.4, 0.3, 0.3))
    phantom.write(tmp_path, size, None)
    if name == "echonet":  # a video without tracings
        tracings = tmp_path / "VolumeTracings.csv"
        lines = tracings.read_text().splitlines()
        first = lines[1].split(",")[0]
        tracings.write_text("\n".join(line for line in lines if not line.startswith(first)) + "\n")

    def behave(settings: Any) -> Any:
        try:
            listing = settings.scan(tmp_path)
            record = next((each for each in listing.records if each.labelled), listing.records[0])
            return [repr(listing), signature(settings.read(tmp_path, record))]
        except UserError as error:
            return str(error)

    check(LAYOUTS[name](), behave)


def test_every_registered_class_with_settings_is_walked():
    walked = {kind for entries, _ in BEHAVIOUR.values() for kind in map(type, entries.values())}
    walked |= {*EXTERNAL.values(), *LAYOUTS.values()}
    missing = {kind for registries in COMPONENTS.values() for registry in registries for kind in registry.values()}
    assert {kind for kind in missing - walked if fields(kind)} == set(ELSEWHERE)
