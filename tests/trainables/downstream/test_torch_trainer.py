"""Training of a fold: the rows that it reads."""

from unittest.mock import create_autospec

import numpy as np
import pytest
from toys import sequence_store

from trainables.downstream import torch_trainer
from trainables.downstream.data import DownstreamData, Fold
from trainables.downstream.selection import rows_of
from trainables.downstream.settings import DownstreamSettings
from trainables.downstream.torch_trainer import TorchTrainer
from trainables.engine.runtime import LocalRuntime
from trainables.engine.settings import FitResult
from trainables.networks import UNet, UNet3D, UNetEncoder

ENCODER = UNetEncoder(width=4, depth=1)


@pytest.mark.parametrize("network", [UNet(ENCODER), UNet3D(ENCODER, window=4)])
def test_the_rows_of_each_part_of_a_fold_are_selected_once(monkeypatch, network):
    store = sequence_store(["ED", "", "ES"] * 4, 3, mask=np.arange(12), split=np.repeat([0, 0, 1, 2], 3))
    select = create_autospec(rows_of, side_effect=rows_of)
    monkeypatch.setattr(torch_trainer, "rows_of", select)
    monkeypatch.setattr(torch_trainer, "fit", create_autospec(torch_trainer.fit, return_value=FitResult({}, 0, [])))
    fold = Fold(np.array([0, 1]), np.array([2]))
    trainer = TorchTrainer(DownstreamSettings(), network, None)
    trainer.train_fold(DownstreamData(store, store, [fold], 2), fold, LocalRuntime(), seed=0)
    assert [call.args[1].tolist() for call in select.call_args_list] == [[0, 1], [2]]
