import pytest
import torch
from torch import Tensor, nn
from toys import toy_store

from trainables.errors import TrainingFailed
from trainables.loop import FitSettings
from trainables.networks import UNetEncoder
from trainables.networks.backbones import Backbone
from trainables.optim.optimizers import Adam
from trainables.pretext.collapse import CollapseGuard
from trainables.pretext.pretrain import PretextSettings, pretrain
from trainables.pretext.simclr import SimCLR
from trainables.runtime import LocalRuntime


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
    store = toy_store(48, size=16)
    fit = FitSettings(6, 8, Adam(lr=1e-3), precision="float32")
    settings = PretextSettings(SimCLR(projection=8), fit, frames="all")
    with pytest.raises(TrainingFailed, match="after 3 epochs; lower the learning rate"):
        pretrain(settings, BlindEncoder(), store, LocalRuntime(), seed=0)
    assert len(pretrain(settings, UNetEncoder(width=4, depth=2), store, LocalRuntime(), seed=0).fitted.history) == 6
