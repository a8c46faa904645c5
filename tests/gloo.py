"""Two processes that train together, as tests spawn them."""

import os

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from trainables.engine.runtime import LocalRuntime, to_device
from trainables.networks.batchnorm import synchronise


def join(rank: int, folder: str) -> None:
    """Become one of two workers, which meet in a folder."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", f"file://{folder}/rendezvous", rank=rank, world_size=2)


def leave() -> None:
    """End this process, after the other has come as far: a group torn down while it is used can wait for ever."""
    dist.barrier()
    dist.destroy_process_group()
    os._exit(0)  # without waiting for gloo's threads, one of which may abort the interpreter's own end


class GroupRuntime(LocalRuntime):
    """Runtime of one of the two workers that have joined, on the CPU."""

    def __init__(self) -> None:
        super().__init__(device=torch.device("cpu"))
        self.rank, self.world_size = dist.get_rank(), dist.get_world_size()

    def wrap(self, module: nn.Module) -> nn.Module:
        """Return the module with synchronized gradients and batch norm."""
        return DistributedDataParallel(synchronise(to_device(module, self.device)))

    def mean(self, values: Tensor) -> Tensor:
        """Return the mean over the workers."""
        dist.all_reduce(values)
        return values / self.world_size

    def broadcast(self, values: Tensor) -> Tensor:
        """Return the values of rank 0."""
        dist.broadcast(values, 0)
        return values
