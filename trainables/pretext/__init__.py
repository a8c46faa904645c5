"""Pretext methods, by name: each is one file with one class, and one line here."""

from trainables.common.registry import Registry
from trainables.pretext.barlow import BarlowTwins
from trainables.pretext.byol import BYOL
from trainables.pretext.denoise import Denoise
from trainables.pretext.global_contrastive import GlobalContrastive
from trainables.pretext.local_contrastive import LocalContrastive
from trainables.pretext.masked import MaskedModelling
from trainables.pretext.method import Method
from trainables.pretext.moco import MoCo
from trainables.pretext.position import PositionPrediction
from trainables.pretext.simclr import SimCLR
from trainables.pretext.vicreg import VICReg

METHODS: Registry[type[Method]] = Registry(
    "pretext method",
    {
        "simclr": SimCLR,
        "byol": BYOL,
        "moco": MoCo,
        "vicreg": VICReg,
        "barlow": BarlowTwins,
        "denoise": Denoise,
        "masked": MaskedModelling,
        "global_contrastive": GlobalContrastive,
        "local_contrastive": LocalContrastive,
        "position": PositionPrediction,
    },
)
