"""Activations computed again for the gradient instead of being kept (Chen et al. 2016, "Training deep nets with
sublinear memory cost").
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from functools import partial
from typing import Any

from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from trainables.common.errors import UserError
from trainables.networks.running_statistics import freeze_bn_stats


def recompute(module: nn.Module) -> None:
    """Let the blocks inside `module` keep only their inputs: less memory, for about a third more time.

    A block is a module that itself holds two or more convolutions: a residual block, a level of a UNet. Gradients and
    running statistics stay what they were. A block that does so already is left as it is.

    Raises:
        UserError: there is none.
    """
    blocks = [block for block in module.modules() if block is not module and _is_block(block)]
    if not blocks:
        raise UserError(f"fit.recompute: {type(module).__name__} has no blocks of convolutions; leave it out")
    for block in blocks:
        if isinstance(block.forward, partial):
            continue
        block.forward = partial(_again, block, block.forward)


def _is_block(module: nn.Module) -> bool:
    convolutions = sum(isinstance(child, nn.Conv2d) for child in module.children())
    return convolutions >= 2 and not isinstance(module, nn.ModuleList)


def _again(block: nn.Module, forward: Callable[..., Tensor], *inputs: Any) -> Tensor:
    out: Tensor = checkpoint(
        forward,
        *inputs,
        use_reentrant=False,
        context_fn=lambda: (contextlib.nullcontext(), freeze_bn_stats(block.modules())),
    )
    return out
