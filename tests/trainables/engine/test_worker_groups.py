"""Training runs by two workers that meet by gloo."""

import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from gloo import GroupRuntime, join, leave
from torch import Tensor, nn
from toys import sequence_store, toy_store

from trainables.augment.policy import Policy
from trainables.data.sampling.batches import Batch, Batches
from trainables.engine.optim.optimizers import Adam
from trainables.engine.optim.schedules import Plateau
from trainables.engine.settings import FitSettings
from trainables.engine.task import Task
from trainables.engine.trainer import fit
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


class Uneven(Task):
    """Task whose validation metric differs between workers, as on GPUs of different models: each has its own best."""

    monitor = "error"
    higher_is_better = False

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(()))
        self.evaluations = 0

    def training_step(self, batch: Batch) -> dict[str, Tensor]:
        return {"loss": (batch.images / 255 - self.weight).square().mean()}

    def evaluate(self, batches: Iterable[Batch]) -> dict[str, float]:
        self.evaluations += 1
        return {"error": [[3.0, 1.0, 2.0], [1.0, 2.0, 3.0]][dist.get_rank()][self.evaluations - 1]}


def uneven() -> list[dict[str, float]]:
    """Train three epochs on a plateau schedule, and return the history with the number and weight of the best epoch."""
    store, task = toy_store(48), Uneven()
    train, val = (Batches(store, store.rows(split), 8) for split in ("train", "val"))
    settings = FitSettings(3, 8, Adam(lr=0.1), Plateau(patience=0, decay=0.1))
    result = fit(task, train, val, settings, GroupRuntime(), 0)
    return [
        *({name: row[name] for name in ("loss", "val/error", "learning_rate")} for row in result.history),
        {"epoch": float(result.epoch), "weight": float(task.weight.detach())},
    ]


RUNS = {"pretext": pretrained, "registration": registered, "uneven": uneven}


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
@pytest.mark.parametrize("run", ["pretext", "registration"])
def test_workers_train_on_fewer_images_than_a_batch(found, run):
    one, other = (each[run][0]["loss"] for each in found)
    assert np.isfinite(one)
    assert one == other


def test_workers_decide_by_the_metrics_of_rank_0(found):
    one, other = (each["uneven"] for each in found)
    assert one == other
    assert [row["val/error"] for row in one[:3]] == [3.0, 1.0, 2.0]
    assert one[3]["epoch"] == 2
