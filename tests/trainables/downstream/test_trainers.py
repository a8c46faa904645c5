"""Choice of the segmentation trainer by the network's settings."""

import dataclasses
from unittest.mock import create_autospec

import pytest
from toys import toy_store

from trainables.common.errors import UserError
from trainables.common.label_counts import LabelCounts
from trainables.downstream.data import DownstreamData
from trainables.downstream.finetune import finetune
from trainables.downstream.segmentation_trainer import FinetuneResult
from trainables.downstream.settings import DownstreamSettings
from trainables.downstream.torch_trainer import TorchTrainer
from trainables.downstream.trainers import TRAINERS
from trainables.engine.runtime import LocalRuntime
from trainables.engine.settings import FitResult
from trainables.external.nnunet.settings import NnUNet
from trainables.external.nnunet.trainer import NnUNetTrainer
from trainables.networks import DeepLabV3, UNet, UNet3D
from trainables.networks.network import NetworkSettings

SETTINGS, RESULT = DownstreamSettings(), FinetuneResult({}, FitResult({}, 0, []), LabelCounts(4, 2), None)


@dataclasses.dataclass(frozen=True)
class Foreign(UNet):
    """Network of a trainer that is not registered."""

    @property
    def trainer(self) -> str:
        """Name of a trainer, with a typing error."""
        return "nnunett"


@pytest.mark.parametrize(
    ("network", "trainer"),
    [(UNet(), TorchTrainer), (DeepLabV3(), TorchTrainer), (UNet3D(), TorchTrainer), (NnUNet(), NnUNetTrainer)],
)
def test_the_network_names_its_trainer(monkeypatch, network: NetworkSettings, trainer: type):
    assert type(TRAINERS[network.trainer](SETTINGS, network, None, None)) is trainer
    train = create_autospec(trainer.train, return_value=RESULT)  # type: ignore[attr-defined]
    monkeypatch.setattr(trainer, "train", train)
    assert finetune(SETTINGS, network, None, toy_store(12), LocalRuntime(), seed=3) is RESULT
    chosen, data, _, seed = train.call_args.args
    assert type(chosen) is trainer
    assert isinstance(data, DownstreamData)
    assert data.labels.training == 4
    assert seed == 3


def test_an_unknown_trainer_is_an_error():
    with pytest.raises(UserError, match=r"unknown segmentation trainer 'nnunett'; did you mean 'nnunet'\?"):
        finetune(SETTINGS, Foreign(), None, toy_store(12), LocalRuntime(), seed=0)
