"""Closure of an optimizer's step, which computes the loss anew."""

from __future__ import annotations

from collections.abc import Callable

import torch


def evaluated(closure: Callable[[], float] | None) -> float | None:
    """Return the loss of a closure, computed with gradients inside a step without them; None for no closure."""
    if closure is None:
        return None
    with torch.enable_grad():
        return closure()
