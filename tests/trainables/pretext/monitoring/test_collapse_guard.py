from dataclasses import dataclass

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from toys import toy_store

from trainables.augment.policy import Policy
from trainables.common.errors import TrainingFailed
from trainables.data.settings import DataSettings
from trainables.data.store.frames import FrameStore
from trainables.data.store.prepare import prepare
from trainables.engine.optim.optimizers import Adam
from trainables.engine.runtime import LocalRuntime
from trainables.engine.settings import FitSettings
from trainables.networks import UNetEncoder
from trainables.networks.backbones import Backbone
from trainables.phantom import PhantomSettings
from trainables.pretext.barlow import BarlowTwins
from trainables.pretext.byol import BYOL
from trainables.pretext.method import BackboneMethod
from trainables.pretext.moco import MoCo
from trainables.pretext.monitoring.collapse_guard import CollapseGuard
from trainables.pretext.monitoring.embedding_metrics import embedding_metrics
from trainables.pretext.parts.embedding_task import EmbeddingTask
from trainables.pretext.pretrain import PretextSettings, pretrain
from trainables.pretext.simclr import SimCLR
from trainables.pretext.vicreg import VICReg

STORE = toy_store(48, size=16)
ENCODER = UNetEncoder(width=4, depth=2)


def row(std, rank):
    return {"val/embedding_std": std, "val/effective_rank": rank}


def test_only_a_collapse_that_lasts_ends_a_run():
    guard = CollapseGuard(evaluations=2)
    guard.check([])
    guard.check([row(0.0, 1.0)])
    guard.check([row(0.0, 1.0), {"loss": 1.0}])
    guard.check([row(0.0, 1.0), row(0.9, 12.0)])
    guard.check([row(0.9, 12.0), {"loss": 1.0}, row(0.0, 1.0)])
    with pytest.raises(TrainingFailed, match=r"have collapsed: standard deviation 0, effective rank 1 after 3 epochs"):
        guard.check([row(0.0, 1.0), {"loss": 1.0}, row(0.0, 1.0)])
    with pytest.raises(TrainingFailed):
        guard.check([row(0.9, 1.01)] * 2)


def test_a_loss_that_runs_away_and_stays_there_ends_a_run():
    guard = CollapseGuard(divergence=10, evaluations=2)
    guard.check([{"loss": loss} for loss in (1.0, 11.0)])
    guard.check([{"loss": loss} for loss in (1.0, 11.0, 9.0, 11.0)])
    guard.check([{"loss": loss} for loss in (-0.1, 11.0, 11.0)])
    with pytest.raises(TrainingFailed, match=r"the loss has diverged: 12 after 4 epochs, 1 in the first"):
        guard.check([{"loss": loss} for loss in (1.0, 0.5, 11.0, 12.0)])


def test_indicators_of_one_image_are_none_and_of_infinite_embeddings_nan():
    assert embedding_metrics(torch.ones(1, 4)) == {}
    broken = embedding_metrics(torch.full((5, 4), torch.inf), torch.ones(5, 4))
    assert all(torch.isnan(value) for value in broken.values())


class Blind(Backbone):
    """Sees nothing: every image has the same features."""

    channels = (4,)

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(4))

    def stages(self) -> list[nn.Module]:
        return [self]

    def features(self, images: Tensor) -> list[Tensor]:
        return [self.weight.view(1, 4, 1, 1).expand(len(images), 4, 2, 2)]


class BlindEncoder(UNetEncoder):
    def build(self, in_channels: int) -> Blind:  # type: ignore[override]
        return Blind()


def test_a_network_that_sees_nothing_is_stopped_and_one_that_learns_is_not():
    store = STORE
    fit = FitSettings(6, 8, Adam(lr=1e-3), precision="float32")
    settings = PretextSettings(SimCLR(projection=8), fit, frames="all")
    with pytest.raises(TrainingFailed, match=r"after 3 epochs\. Fix: lower the learning rate"):
        pretrain(settings, BlindEncoder(), store, LocalRuntime(), seed=0)
    assert len(pretrain(settings, UNetEncoder(width=4, depth=2), store, LocalRuntime(), seed=0).fitted.history) == 6


@dataclass(frozen=True)
class Attraction(BackboneMethod):
    """BYOL without predictor, target and stopped gradient: views attract each other and nothing repels."""

    def build(self, backbone: Backbone, augment: Policy, store: FrameStore) -> EmbeddingTask:
        return AttractionTask(backbone, nn.Linear(backbone.feature_channels, 8), augment, store)


class AttractionTask(EmbeddingTask):
    def compare(self, one: Tensor, two: Tensor, rows: Tensor, *, local_only: bool = False) -> dict[str, Tensor]:
        return {"loss": (F.normalize(one, dim=1) - F.normalize(two, dim=1)).square().sum(1).mean()}


def test_views_that_only_attract_each_other_collapse_and_are_stopped():
    fit = FitSettings(60, 8, Adam(lr=1e-2), precision="float32", evaluate_every=2)
    plain = UNetEncoder(width=4, depth=2, norm="none")  # batch norm would keep the images apart for longer
    with pytest.raises(TrainingFailed, match="the embeddings have collapsed"):
        pretrain(PretextSettings(Attraction(), fit, frames="all"), plain, STORE, LocalRuntime(), seed=0)


HEALTHY = [
    SimCLR(projection=16),
    BYOL(hidden=32, projection=16),
    MoCo(hidden=32, projection=16),
    VICReg(projection=16),
    BarlowTwins(projection=16),
]


@pytest.mark.parametrize("method", HEALTHY, ids=lambda m: type(m).__name__)
def test_methods_that_learn_a_phantom_are_let_be(method, phantom):
    fit = FitSettings(12, 12, Adam(lr=3e-3), precision="float32", evaluate_every=2)
    settings = PretextSettings(method, fit, frames="all", collapse=CollapseGuard(evaluations=1))
    assert len(pretrain(settings, ENCODER, phantom, LocalRuntime(), seed=0).fitted.history) == 12


@pytest.fixture(scope="module")
def phantom(tmp_path_factory) -> FrameStore:
    settings = DataSettings(phantom=PhantomSettings(subjects=20, frames=8, size=64), image_size=32)
    return prepare(settings, None, tmp_path_factory.mktemp("data"), b"key", workers=1)
