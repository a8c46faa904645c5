"""Activation checkpointing (Chen et al. 2016, "Training deep nets with sublinear memory cost")."""

from __future__ import annotations

import contextlib
import functools
from typing import Any

from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from trainables.common.errors import UserError
from trainables.networks.running_statistics import freeze_bn_stats

CHECKPOINTED = "checkpoints_activations"
"""Name of the attribute of blocks whose activations are checkpointed."""


def recompute(module: nn.Module) -> None:
    """Checkpoint the activations of the blocks inside `module`, which takes less memory and about a third more time.

    A block is a submodule with two or more convolutions, in two or three dimensions, as children: a residual block or a
    level of a UNet. Gradients and running statistics do not change. Repeated calls have no further effect.

    Raises:
        UserError: the module has no such block.
    """
    blocks = [block for block in module.modules() if block is not module and _is_block(block)]
    if not blocks:
        raise UserError(f"fit.recompute: {type(module).__name__} has no blocks of convolutions. Fix: remove recompute")
    for block in blocks:
        if not hasattr(block, CHECKPOINTED):
            # A method of the instance would keep it alive in a reference cycle.
            block.__class__ = _checkpointed(type(block))  # type: ignore[arg-type]  # classes are hashable


def _is_block(module: nn.Module) -> bool:
    convolutions = sum(isinstance(child, nn.Conv2d | nn.Conv3d) for child in module.children())
    return convolutions >= 2 and not isinstance(module, nn.ModuleList)


@functools.cache
def _checkpointed(kind: type[nn.Module]) -> type[nn.Module]:
    """Return a subclass that does not store its activations; running statistics are not updated when it runs again."""

    def forward(self: nn.Module, *inputs: Any) -> Tensor:
        out: Tensor = checkpoint(
            functools.partial(kind.forward, self),
            *inputs,
            use_reentrant=False,
            context_fn=lambda: (contextlib.nullcontext(), freeze_bn_stats(self.modules())),
        )
        return out

    return type(kind.__name__, (kind,), {"forward": forward, CHECKPOINTED: True})
