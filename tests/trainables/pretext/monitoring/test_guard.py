from dataclasses import dataclass, replace

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode
from toys import toy_store

from trainables.augment.geometry import Crop
from trainables.augment.intensity import Jitter, Noise
from trainables.augment.policy import Policy
from trainables.common.learning import PretrainingFailed
from trainables.data.settings import DataSettings
from trainables.data.store.frames import FrameStore
from trainables.data.store.prepare import prepare
from trainables.engine.optim.optimizers import Adam
from trainables.engine.runtime import LocalRuntime
from trainables.engine.settings import FitSettings
from trainables.networks import TinyResNet, UNetEncoder
from trainables.networks.backbones import Backbone
from trainables.phantom import PhantomSettings
from trainables.pretext.barlow import BarlowTwins
from trainables.pretext.byol import BYOL
from trainables.pretext.method import BackboneMethod
from trainables.pretext.moco import MoCo
from trainables.pretext.monitoring.embedding_metrics import effective_rank, embedding_metrics
from trainables.pretext.monitoring.guard import LearningGuard
from trainables.pretext.monitoring.signs import MATCHING
from trainables.pretext.parts.embedding_task import EmbeddingTask
from trainables.pretext.pretrain import PretextSettings, pretrain
from trainables.pretext.simclr import SimCLR
from trainables.pretext.vicreg import VICReg

STORE = toy_store(48, size=16)
ENCODER = UNetEncoder(width=4, depth=2)


def collapse(std, rank=12.0):
    return {"val/embedding_std": std, "val/effective_rank": rank}


def matched(accuracy):
    return {"val/matching_accuracy": accuracy, "val/matching_chance": 0.01, **collapse(0.9)}


def test_only_a_collapse_that_lasts_ends_a_run():
    guard = LearningGuard(None, epochs=100, steps=10)
    guard([])
    guard([collapse(0.0)] * 2)
    guard([collapse(0.0)] * 2 + [{"loss": 1.0}])
    guard([collapse(0.0)] * 2 + [collapse(0.9)])
    with pytest.raises(PretrainingFailed) as raised:
        guard([collapse(0.0, 1.0), {"loss": 1.0}, collapse(0.0, 1.0), collapse(0.001, 1.0)])
    assert raised.value.learning.verdict == "collapsed"
    with pytest.raises(PretrainingFailed):
        guard([collapse(0.9, 1.01)] * 3)
    with pytest.raises(PretrainingFailed):
        guard([collapse(0.9) | {"val/prediction_std": 0.001}] * 3)


def test_a_loss_that_runs_away_and_stays_there_ends_a_run():
    guard = LearningGuard(None, epochs=100, steps=10)
    for losses in ((1.0, 110.0, 110.0), (1.0, 110.0, 90.0, 110.0), (-0.1, 110.0, 110.0, 110.0)):
        guard([{"loss": loss} for loss in losses])
    with pytest.raises(PretrainingFailed, match=r"diverged: loss 120 after 5 epochs, 1 in the first. Fix: lower the"):
        guard([{"loss": loss} for loss in (1.0, 0.5, 110.0, 115.0, 120.0)])


def test_a_run_at_chance_ends_at_half_of_its_epochs_and_one_that_rises_does_not():
    guard, chance = LearningGuard(MATCHING, epochs=8, steps=100), matched(0.012)
    guard([chance] * 3)
    guard([chance, chance, matched(0.2), chance])
    guard([matched(0.2)] * 4)
    with pytest.raises(
        PretrainingFailed,
        match=r"^stopped by pretext.guard after 4 of 8 epochs .* not learned: skill 0.04, .*matched views 1.2%",
    ):
        guard([chance] * 4)
    guard([chance] * 4 + [{"loss": 1.0}])  # an epoch without evaluation
    LearningGuard(MATCHING, epochs=8, steps=10)([chance] * 4)  # too few steps
    LearningGuard(MATCHING, epochs=8, steps=100, images=15)([chance] * 4)  # too few images


def test_indicators_of_one_image_are_none_and_of_infinite_embeddings_nan():
    assert embedding_metrics(torch.ones(1, 4)) == {}
    broken = embedding_metrics(torch.full((5, 4), torch.inf), torch.ones(5, 4))
    assert all(torch.isnan(value) for value in broken.values())


@pytest.mark.parametrize("shape", [(64, 16), (16, 64), (40, 40)], ids=str)
@pytest.mark.parametrize("decay", [0.0, 0.3, 3.0])
def test_effective_rank_is_that_of_a_singular_value_decomposition(shape, decay):
    generator = torch.Generator().manual_seed(0)
    matrix = torch.randn(shape, generator=generator) * torch.exp(-decay * torch.arange(shape[1]))
    singular = torch.linalg.svdvals(matrix.double())
    share = singular / singular.sum()
    expected = float((-(share * share.clamp_min(1e-300).log()).sum()).exp())
    assert float(effective_rank(matrix)) == pytest.approx(expected, rel=2e-6)
    assert float(effective_rank(torch.zeros(shape))) == pytest.approx(1)


def test_the_rank_of_embeddings_needs_one_decomposition_and_reads_nothing_back():
    names = list[str]()

    class Names(TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            names.append(str(func))
            return func(*args, **(kwargs or {}))

    with Names():
        effective_rank(torch.ones(6, 4))
    assert sum("_linalg_eigh" in name for name in names) == 1
    assert not [name for name in names if "_local_scalar_dense" in name or "svd" in name]


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
    with pytest.raises(PretrainingFailed) as raised:
        pretrain(settings, BlindEncoder(), store, LocalRuntime(), seed=0)
    assert raised.value.learning.verdict == "collapsed"
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
    with pytest.raises(PretrainingFailed, match=r"collapsed: "):
        pretrain(PretextSettings(Attraction(), fit, frames="all"), plain, STORE, LocalRuntime(), seed=0)


HEALTHY = [
    SimCLR(projection=32),
    BYOL(hidden=64, projection=32, momentum=0.95),
    MoCo(hidden=64, projection=32, momentum=0.95),
    VICReg(projection=64),
    BarlowTwins(projection=64),
]
MILD = Policy(crop=Crop(area=(0.6, 1.0)), jitter=Jitter(0.3, 0.3, 0.8), blur=None, flip=None)


@pytest.mark.parametrize("method", HEALTHY, ids=lambda m: type(m).__name__)
def test_methods_that_learn_a_phantom_are_let_be(method, phantom):
    fit = FitSettings(40, 32, Adam(lr=3e-3), precision="float32", evaluate_every=5)
    settings = PretextSettings(method, fit, MILD, frames="all")
    found = pretrain(settings, TinyResNet(width=8), phantom, LocalRuntime(), seed=0)
    assert found.learning.verdict == "learned", found.learning.text


@pytest.mark.parametrize("method", HEALTHY[:2], ids=lambda m: type(m).__name__)
def test_views_without_anything_in_common_are_not_learned(method, phantom):
    fit = FitSettings(80, 32, Adam(lr=3e-3), precision="float32", evaluate_every=4)
    noise = replace(MILD, crop=None, noise=Noise(sigma=20.0, p=1.0))
    settings = PretextSettings(method, fit, noise, frames="all")
    with pytest.raises(PretrainingFailed) as raised:
        pretrain(settings, TinyResNet(width=8), phantom, LocalRuntime(), seed=0)
    assert raised.value.learning.verdict in ("not learned", "collapsed")


@pytest.fixture(scope="module")
def phantom(tmp_path_factory) -> FrameStore:
    settings = DataSettings(phantom=PhantomSettings(subjects=60, frames=8, size=64), image_size=32)
    return prepare(settings, None, tmp_path_factory.mktemp("data"), b"key", workers=1)
