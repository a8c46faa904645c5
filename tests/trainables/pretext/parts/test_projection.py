import pytest
from torch import nn
from toys import toy_store

from trainables.augment.policy import Policy
from trainables.networks import UNetEncoder
from trainables.pretext.barlow import BarlowTwins
from trainables.pretext.byol import BYOL
from trainables.pretext.moco import MoCo
from trainables.pretext.simclr import SimCLR
from trainables.pretext.vicreg import VICReg

HEADS = [
    (SimCLR(hidden=6, projection=3), "projector", "8>6 norm relu 6>3 norm"),
    (BYOL(hidden=6, projection=3), "projector", "8>6 norm relu 6>3"),
    (BYOL(hidden=6, projection=3), "predictor", "3>6 norm relu 6>3"),
    (MoCo(hidden=6, projection=3), "projector", "8>6 norm relu 6>3 norm"),
    (MoCo(hidden=6, projection=3), "predictor", "3>6 norm relu 6>3"),
    (VICReg(projection=5), "projector", "8>5 norm relu 5>5 norm relu 5>5"),
    (BarlowTwins(projection=5), "projector", "8>5 norm relu 5>5 norm relu 5>5"),
]


def spelt(layer: nn.Module) -> str:
    if isinstance(layer, nn.Linear):
        return f"{layer.in_features}>{layer.out_features}"
    return {nn.BatchNorm1d: "norm", nn.ReLU: "relu"}[type(layer)]


@pytest.mark.parametrize(("method", "head", "layers"), HEADS)
def test_the_heads_are_those_of_the_papers(method, head, layers):
    task = method.build(UNetEncoder(width=4, depth=1).build(1), Policy(), toy_store())
    assert " ".join(spelt(layer) for layer in getattr(task, head)) == layers
