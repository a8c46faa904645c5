"""Compilation of a task's networks by `torch.compile`, where it can pay."""

from __future__ import annotations

import importlib.util
import logging
import os
import shutil
from typing import Literal

import torch
from torch import nn

from trainables.networks.backbones import Backbone
from trainables.networks.network import SegmentationNetwork

log = logging.getLogger(__name__)

Compile = Literal["off", "auto"]
"""Name of the rule by which networks are compiled: never, or where `reason_against` has none."""

BACKEND = "inductor"
"""Compiler, by the name that `torch.compile` knows."""


def reason_against(device: torch.device, workers: int = 1) -> str | None:
    """Return why a network on a device is not compiled under `auto`; None if it is.

    Args:
        device: device of the network.
        workers: number of workers that share each batch.
    """
    if device.type != "cuda":
        return "it is not on a GPU"
    if workers > 1:
        return "batch norm is synchronized between workers"
    if importlib.util.find_spec("triton") is None:
        return "the package triton is missing"
    if not (os.environ.get("CC") or shutil.which("gcc") or shutil.which("clang")):
        return "triton needs a C compiler (found neither gcc nor clang)"
    return None


def compile_networks(task: nn.Module, device: torch.device, workers: int = 1) -> list[str]:
    """Compile the segmentation networks and backbones inside a task in place, where it can pay.

    Names, weights and state of all modules stay, so that checkpoints do not depend on the compilation. A network is
    compiled when it is first called, and again for another mode (training, evaluation) or kind of batch size.
    Augmentation, heads outside the network, loss and optimizer are not compiled.

    Args:
        task: networks and loss.
        device: device of the networks.
        workers: number of workers that share each batch.

    Returns:
        Names of the compiled modules; empty if none is.
    """
    reason = reason_against(device, workers)
    if reason is not None:
        log.info("fit.compile: the network is not compiled, as %s", reason)
        return []
    torch.compiler.reset()  # the graphs of earlier jobs of this process count against its limit
    found = networks(task)
    for module in found.values():
        module.compile(backend=BACKEND)
    log.info("fit.compile: compiled %s; nothing else", ", ".join(found) or "nothing")
    return list(found)


def networks(task: nn.Module) -> dict[str, nn.Module]:
    """Return the segmentation networks and backbones of a task by name, without those inside one another."""
    found: dict[str, nn.Module] = {}
    for name, module in task.named_modules():
        inside = any(name.startswith(f"{outer}.") for outer in found)
        if isinstance(module, SegmentationNetwork | Backbone) and not inside:
            found[name] = module
    return found
