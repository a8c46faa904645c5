"""Limit of the decoded size of one file, which readers ask before they decode it."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Sequence
from contextvars import ContextVar
from pathlib import Path

import numpy as np
from numpy.typing import DTypeLike

from trainables.common.errors import DataError

MAX_GIGABYTES = 2.0
"""Default of `max_gigabytes` in a dataset's settings."""

_GIGABYTE = 10**9
_limit: ContextVar[float] = ContextVar("max_gigabytes", default=MAX_GIGABYTES)


@contextlib.contextmanager
def size_limit(max_gigabytes: float) -> Iterator[None]:
    """Set the limit that `require_size` enforces inside the `with` block, in gigabytes (10**9 bytes)."""
    token = _limit.set(max_gigabytes)
    try:
        yield
    finally:
        _limit.reset(token)


def require_size(path: Path, shape: Sequence[int], dtype: DTypeLike = np.uint8) -> None:
    """Refuse a file whose decoded array would exceed the limit; call it with what the header says, before decoding.

    Args:
        path: the file, for the message.
        shape: axes of the decoded array.
        dtype: type of its values as they are decoded.

    Raises:
        DataError: the array is larger than `max_gigabytes`.
    """
    size = math.prod(max(0, int(axis)) for axis in shape) * np.dtype(dtype).itemsize / _GIGABYTE
    if size > _limit.get():
        axes = " x ".join(str(axis) for axis in shape)
        raise DataError(
            f"{path}: too large to decode (found {size:.3g} GB: {axes} of {np.dtype(dtype)}, expected at most "
            f"{_limit.get():g} GB). Fix: raise `max_gigabytes`"
        )
