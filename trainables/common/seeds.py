"""Named random streams: each random generator is seeded from one seed and the names of its purpose.

Streams with different names are independent, and a stream does not depend on the numbers drawn from another one: a
further worker, epoch or augmentation leaves all other streams unchanged.
"""

from __future__ import annotations

import hashlib

import numpy as np
import torch


def derive(seed: int, *names: str | int) -> int:
    """Return the 63-bit seed of a named random stream.

    Args:
        seed: seed that all streams share.
        names: purpose of the stream, such as `"epoch", 3`.

    Example:
        >>> derive(0, "epoch", 3) == derive(0, "epoch", 3)
        True
        >>> derive(0, "epoch", 3) == derive(0, "epoch", 4)
        False
    """
    text = "/".join([str(seed), *map(str, names)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def torch_generator(seed: int, *names: str | int) -> torch.Generator:
    """Return a torch generator on the CPU for a named random stream."""
    return torch.Generator().manual_seed(derive(seed, *names))


def numpy_generator(seed: int, *names: str | int) -> np.random.Generator:
    """Return a numpy generator for a named random stream."""
    return np.random.default_rng(derive(seed, *names))
