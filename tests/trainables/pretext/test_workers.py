"""Losses over the whole logical batch, and steps of whole tasks: two workers against one."""

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.multiprocessing as mp
from gloo import join, leave
from torch import Tensor
from torch.nn.parallel import DistributedDataParallel
from toys import toy_store

from trainables.augment.policy import Policy
from trainables.data.sampling.batches import Batches
from trainables.engine.task import Task
from trainables.networks import UNetEncoder
from trainables.networks.batchnorm import synchronise
from trainables.pretext.barlow import BarlowTwins, barlow_loss
from trainables.pretext.byol import BYOL
from trainables.pretext.global_contrastive import partition_contrast
from trainables.pretext.method import BackboneMethod
from trainables.pretext.moco import MoCo, info_nce
from trainables.pretext.parts.gather import first_row
from trainables.pretext.simclr import SimCLR
from trainables.pretext.vicreg import VICReg, vicreg_terms

VIEWS = torch.randn(2, 8, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
PARTS = torch.tensor([0, 1, 0, 2, 1, 1, 3, 0])

LOSSES = {
    "moco": lambda one, two: info_nce(one, two, 0.3)[0],
    "vicreg": lambda one, two: torch.stack(list(vicreg_terms(one, two).values())).sum(),
    "barlow": lambda one, two: barlow_loss(one, two, 0.01),
    "parts": lambda one, two: partition_contrast(one, two, shard(PARTS, one), 0.2),
}

METHODS: dict[str, BackboneMethod] = {
    "simclr": SimCLR(temperature=0.5, projection=8),
    "byol": BYOL(hidden=16, projection=8, momentum=0.9),
    "moco": MoCo(hidden=16, projection=8, momentum=0.9),
    "vicreg": VICReg(projection=8),
    "barlow": BarlowTwins(projection=8),
}
STORE = toy_store(48, size=16)


def shard(values: Tensor, like: Tensor) -> Tensor:
    first = first_row(like)
    return values[first : first + len(like)]


def gradients(name: str, views: Tensor) -> tuple[Tensor, Tensor]:
    one, two = (view.clone().requires_grad_() for view in views)
    loss = LOSSES[name](one, two)
    loss.backward()
    assert one.grad is not None
    return loss.detach(), torch.stack([one.grad, torch.zeros_like(one) if two.grad is None else two.grad])


def trained(method: BackboneMethod, rank: int = 0, workers: int = 1) -> dict[str, Any]:
    """Return losses, evaluation and state of a task after an epoch of two steps and an evaluation."""
    torch.manual_seed(4)
    task: Task = method.build(UNetEncoder(width=4, depth=2).build(1), Policy(crop=None, blur=None), STORE)
    model = DistributedDataParallel(synchronise(task)) if workers > 1 else task
    optimizer = torch.optim.SGD(task.parameter_groups(), lr=0.01)
    losses = []
    for step, batch in enumerate(Batches(STORE, STORE.rows("train"), 8, seed=2).epoch(0, rank, workers)):
        optimizer.zero_grad()
        losses.append(model(batch)["loss"])
        losses[-1].backward()
        optimizer.step()
        task.after_step((step + 1) / 2)
    task.eval()
    with torch.no_grad():  # every worker evaluates alone, on all frames
        found = task.evaluate(Batches(STORE, STORE.rows("val"), 8, seed=3).epoch(0))
    return {"losses": torch.stack(losses).detach(), "evaluated": found, "state": task.state_dict()}


def worker(rank: int, views: Tensor, folder: str) -> None:
    join(rank, folder)
    half = views.shape[1] // 2
    found = {name: gradients(name, views[:, rank * half : (rank + 1) * half]) for name in LOSSES}
    torch.save(found, f"{folder}/{rank}.pt")
    torch.save({name: trained(method, rank, 2) for name, method in METHODS.items()}, f"{folder}/task-{rank}.pt")
    leave()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with the results of two workers."""
    folder = tmp_path_factory.mktemp("workers")
    mp.spawn(worker, (VIEWS, str(folder)), nprocs=2)
    return folder


def test_two_workers_have_the_loss_and_gradients_of_one_with_the_whole_batch(folder: Path) -> None:
    shared = [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in (0, 1)]
    for name in LOSSES:
        loss, gradient = gradients(name, VIEWS)
        mean = (shared[0][name][0] + shared[1][name][0]) / 2
        torch.testing.assert_close(mean, loss, rtol=0, atol=1e-6)
        together = torch.cat([part[name][1] for part in shared], 1) / 2  # data-parallel training takes the mean
        torch.testing.assert_close(together, gradient, rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", METHODS)
def test_two_workers_train_and_evaluate_a_task_as_one_does(folder: Path, name: str) -> None:
    whole = trained(METHODS[name])
    one, other = (torch.load(folder / f"task-{rank}.pt", weights_only=True)[name] for rank in (0, 1))
    torch.testing.assert_close((one["losses"] + other["losses"]) / 2, whole["losses"], rtol=1e-4, atol=1e-5)
    for key, value in whole["state"].items():
        torch.testing.assert_close(one["state"][key], value, rtol=1e-3, atol=1e-4, msg=key)
    for shared in (one, other):
        assert shared["evaluated"] == pytest.approx(whole["evaluated"], rel=1e-3, abs=1e-4)
