"""Two processes that train together, as tests spawn them."""

import os

import torch
import torch.distributed as dist


def join(rank: int, folder: str) -> None:
    """Become one of two workers, which meet in a folder."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", f"file://{folder}/rendezvous", rank=rank, world_size=2)


def leave() -> None:
    """End this process, after the other has come as far: a group torn down while it is used can wait for ever."""
    dist.barrier()
    dist.destroy_process_group()
    os._exit(0)  # without waiting for gloo's threads, one of which may abort the interpreter's own end
