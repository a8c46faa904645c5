"""Training runs by two workers that meet by gloo."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch.multiprocessing as mp
from gloo import GroupRuntime, join, leave
from toys import sequence_store, toy_store

from trainables.augment.policy import Policy
from trainables.engine.settings import FitSettings
from trainables.networks import UNetEncoder
from trainables.pretext.pretrain import PretextSettings, pretrain
from trainables.pretext.simclr import SimCLR
from trainables.registration.network import DLIR
from trainables.registration.training import RegistrationSettings, train_registration

FIT = FitSettings(epochs=1, batch_size=8, precision="float32")


def pretrained() -> list[dict[str, float]]:
    """Pretrain on five images, fewer than a batch and not a multiple of the workers."""
    store = toy_store(15)
    settings = PretextSettings(SimCLR(projection=8), FIT, Policy(crop=None, blur=None), frames="all", guard="off")
    assert len(store.rows("train")) == 5
    return pretrain(settings, UNetEncoder(width=4, depth=1), store, GroupRuntime(), seed=0).fitted.history


def registered() -> list[dict[str, float]]:
    """Train the registration network on three pairs of frames."""
    store = sequence_store(["ED", "ES"] * 3, 2)
    return train_registration(
        RegistrationSettings(DLIR(grid_spacing=4, kernels=4), fit=FIT), store, GroupRuntime(), 0
    ).fitted.history


RUNS = {"pretext": pretrained, "registration": registered}


def worker(rank: int, folder: str) -> None:
    join(rank, folder)
    Path(folder, f"{rank}.json").write_text(json.dumps({name: run() for name, run in RUNS.items()}))
    leave()


@pytest.fixture(scope="module")
def found(tmp_path_factory) -> list[dict[str, list[dict[str, float]]]]:
    """History of each run on each rank."""
    folder = tmp_path_factory.mktemp("workers")
    mp.spawn(worker, (str(folder),), nprocs=2)
    return [json.loads((folder / f"{rank}.json").read_text()) for rank in (0, 1)]


@pytest.mark.timeout(120)
@pytest.mark.parametrize("run", RUNS)
def test_workers_train_on_fewer_images_than_a_batch(found, run):
    one, other = (each[run][0]["loss"] for each in found)
    assert np.isfinite(one)
    assert one == other
