"""Two workers on one device, compared with one process on the whole batch."""

from __future__ import annotations

import argparse
import tempfile
from typing import Any

import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch.nn.parallel import DistributedDataParallel

from benchmarks.gpu_tasks import batches, gradients, new_task
from benchmarks.timed_parts import PartFailed
from trainables.engine.runtime import set_gpu_flags, to_device
from trainables.networks.batchnorm import synchronise

TOLERANCE = 1e-2
"""Largest difference of a gradient, as a share of the largest one."""


def workers(options: argparse.Namespace) -> dict[str, Any]:
    """Compare a step of two gloo ranks, on tensors of the device, with a step of one process on the whole batch."""
    found, wrong = {}, []
    for name in ("simclr", "byol", "segmentation"):
        expected, reference = gradients(name, torch.device(options.device))
        with tempfile.TemporaryDirectory() as folder:
            mp.spawn(_rank, (name, options.device, folder), nprocs=2)
            shared = torch.load(f"{folder}/found.pt", weights_only=True)
        off = abs(float(shared.pop("loss")) - expected) / abs(expected)
        largest = max(float(value.abs().max()) for value in reference.values())
        worst = max(float((shared[key] - value).abs().max()) for key, value in reference.items()) / largest
        found[name] = {"loss": off, "gradient": worst}
        if not (off <= 1e-3 and worst <= TOLERANCE):
            wrong.append(f"{name}: two ranks differ from one in the loss by {off:.1e}, in gradients by {worst:.1e}")
    if wrong:
        raise PartFailed("\n".join(wrong))
    return found


def _rank(rank: int, name: str, place: str, folder: str) -> None:
    set_gpu_flags()
    device = torch.device(place)
    dist.init_process_group("gloo", f"file://{folder}/rendezvous", rank=rank, world_size=2)
    task = synchronise(to_device(new_task(name), device)).train()
    model = DistributedDataParallel(task)
    loss = model(next(batches().epoch(0, rank, 2, device)))["loss"]
    loss.backward()
    mean = loss.detach().clone()
    dist.all_reduce(mean)
    if rank == 0:
        own = {key: p.grad.cpu() for key, p in task.named_parameters() if p.grad is not None}
        torch.save({"loss": mean.cpu() / 2, **own}, f"{folder}/found.pt")
    dist.barrier()
    dist.destroy_process_group()
