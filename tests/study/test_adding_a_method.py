"""A pretext method that nobody but this file knows works in every study once it is registered."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from torch import Tensor
from toys import toy_store

from study.config.definition import load_study
from study.planning.plan import Plan
from trainables.augment.policy import Policy
from trainables.data.sampling.batches import Batch
from trainables.data.store.frames import FrameStore
from trainables.downstream.finetune import finetune
from trainables.engine.runtime import LocalRuntime
from trainables.engine.task import Task
from trainables.networks import UNet, UNetEncoder
from trainables.networks.backbones import Backbone
from trainables.pretext import METHODS
from trainables.pretext.method import BackboneMethod, average_metrics
from trainables.pretext.pretrain import pretrain

TINY = Path(__file__).parent / "tiny.yaml"


@dataclass(frozen=True)
class Shrink(BackboneMethod):
    """Makes features small.

    Attributes:
        power: of the features.
    """

    power: float = 2.0

    def build(self, backbone: Backbone, augment: Policy, store: FrameStore) -> ShrinkTask:
        return ShrinkTask(self, backbone)


class ShrinkTask(Task):
    def __init__(self, settings: Shrink, backbone: Backbone) -> None:
        super().__init__()
        self.settings, self.backbone = settings, backbone

    def training_step(self, batch: Batch) -> dict[str, Tensor]:
        return {"loss": self.backbone(batch.images.float() / 255).abs().pow(self.settings.power).mean()}

    def evaluate(self, batches: Iterable[Batch]) -> dict[str, float]:
        return average_metrics([self.training_step(batch) for batch in batches])


@pytest.fixture
def registered() -> Iterator[None]:
    METHODS.add("shrink", Shrink)
    yield
    del METHODS._entries["shrink"]


@pytest.mark.usefixtures("registered")
def test_a_study_can_name_it_set_it_plan_it_and_run_it():
    study = load_study(str(TINY), sets=["factors.pretext.method=[random, {name: shrink, power: 3.0}]"])
    cell = study.cells()[-1]
    spec = study.resolve(cell.overrides)
    assert spec.pretext.method == Shrink(3.0)
    (job,) = Plan(study).shared_jobs(cell.key, {})
    assert job.id.startswith("pretext-shrink-")
    assert job.config["pretext"]["method"] == {"name": "shrink", "power": 3.0}
    store, network = toy_store(48, size=16), UNet(UNetEncoder(width=4, depth=2))
    done = pretrain(spec.pretext, network, store, LocalRuntime(), seed=0)
    history = done.fitted.history
    assert history[-1]["loss"] < history[0]["loss"]
    tuned = finetune(spec.downstream, network, done.weights, store, LocalRuntime(), seed=0)
    assert 0 <= tuned.fitted.metrics["val/dice"] <= 1
