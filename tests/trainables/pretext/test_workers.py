"""Losses over the whole logical batch: two workers against one."""

from pathlib import Path

import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import Tensor

from trainables.pretext.barlow import barlow_loss
from trainables.pretext.gather import first_row
from trainables.pretext.global_contrastive import part_contrast
from trainables.pretext.moco import info_nce
from trainables.pretext.vicreg import vicreg_terms

PARTS = torch.tensor([0, 1, 0, 2, 1, 1, 3, 0])

LOSSES = {
    "moco": lambda one, two: info_nce(one, two, 0.3)[0],
    "vicreg": lambda one, two: torch.stack(list(vicreg_terms(one, two).values())).sum(),
    "barlow": lambda one, two: barlow_loss(one, two, 0.01),
    "parts": lambda one, two: part_contrast(one, two, shard(PARTS, one), 0.2),
}


def shard(values: Tensor, like: Tensor) -> Tensor:
    first = first_row(like)
    return values[first : first + len(like)]


def gradients(name: str, views: Tensor) -> tuple[Tensor, Tensor]:
    one, two = (view.clone().requires_grad_() for view in views)
    loss = LOSSES[name](one, two)
    loss.backward()
    assert one.grad is not None
    return loss.detach(), torch.stack([one.grad, torch.zeros_like(one) if two.grad is None else two.grad])


def worker(rank: int, views: Tensor, folder: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", f"file://{folder}/rendezvous", rank=rank, world_size=2)
    half = views.shape[1] // 2
    found = {name: gradients(name, views[:, rank * half : (rank + 1) * half]) for name in LOSSES}
    torch.save(found, f"{folder}/{rank}.pt")
    dist.barrier()
    dist.destroy_process_group()


def test_two_workers_have_the_loss_and_gradients_of_one_with_the_whole_batch(tmp_path: Path) -> None:
    views = torch.randn(2, 8, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    mp.spawn(worker, (views, str(tmp_path)), nprocs=2)
    shared = [torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in (0, 1)]
    for name in LOSSES:
        loss, gradient = gradients(name, views)
        mean = (shared[0][name][0] + shared[1][name][0]) / 2
        torch.testing.assert_close(mean, loss, rtol=0, atol=1e-6)
        together = torch.cat([part[name][1] for part in shared], 1) / 2  # data-parallel training takes the mean
        torch.testing.assert_close(together, gradient, rtol=0, atol=1e-6)
