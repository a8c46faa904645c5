"""Floating-point precision of the forward pass, and the gradient scaling that fp16 needs."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor

from trainables.engine.runtime import Runtime

Precision = Literal["auto", "float32", "bf16", "fp16"]
"""Name of a forward pass's precision; `auto` is bf16 where the device computes it natively, else float32.

float32 is computed without TF32.
"""


class MixedPrecision:
    """Autocast of the forward pass, and loss scaling where gradients are fp16.

    Args:
        precision: name of the forward pass's floating-point type.
        device: device of the network.
    """

    def __init__(self, precision: Precision, device: torch.device) -> None:
        self.dtype = autocast_dtype(precision, device)
        self._device = device
        self._scaler = torch.amp.GradScaler(enabled=self.dtype is torch.float16)

    def autocast(self) -> torch.autocast:
        """Return a context manager for a forward pass in this precision."""
        return torch.autocast(self._device.type, dtype=self.dtype, enabled=self.dtype is not torch.float32)

    def backward(self, loss: Tensor) -> None:
        """Back-propagate `loss`, scaled up if gradients are fp16."""
        self._scaler.scale(loss).backward()

    def unscale(self, optimizer: torch.optim.Optimizer) -> None:
        """Divide the gradients by the loss scale, so that they can be clipped."""
        self._scaler.unscale_(optimizer)

    def step(self, optimizer: torch.optim.Optimizer) -> bool:
        """Run the optimizer's step unless fp16 gradients overflowed, and return True if it was run."""
        scale = self._scaler.get_scale()
        self._scaler.step(optimizer)
        self._scaler.update()
        return self._scaler.get_scale() >= scale

    def state_dict(self) -> dict[str, Any]:
        """Return the state of the loss scale, empty unless gradients are fp16."""
        return self._scaler.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore the loss scale from `state_dict()`."""
        self._scaler.load_state_dict(state)


def autocast_dtype(precision: Precision, device: torch.device) -> torch.dtype:
    """Return the forward pass's floating-point type; `auto` is bf16 where `device` computes it natively.

    Example:
        >>> autocast_dtype("bf16", torch.device("cpu"))
        torch.bfloat16
    """
    if precision == "auto":
        native = gpu_has_bf16(device) if device.type == "cuda" else cpu_has_bf16()
        return torch.bfloat16 if native else torch.float32
    return {"float32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[precision]


def group_precision(precision: Precision, runtime: Runtime) -> Precision:
    """Return the precision of all workers of a group: `auto` is bf16 where every device computes it natively.

    Workers exchange embeddings, which must be of one type.
    """
    if precision != "auto" or runtime.world_size == 1:
        return precision
    own = autocast_dtype(precision, runtime.device) is torch.bfloat16
    return "bf16" if runtime.mean(torch.tensor(float(own), device=runtime.device)).item() == 1.0 else "float32"


def gpu_has_bf16(device: torch.device) -> bool:
    """Return True if a GPU multiplies bf16 natively (NVIDIA: Ampere and newer); torch emulates it on others, slowly."""
    return torch.cuda.get_device_capability(device) >= (8, 0)


def cpu_has_bf16() -> bool:
    """Return True if this CPU multiplies bf16 natively (AVX-512 BF16 or AMX); others emulate it, slowly."""
    checks = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(getattr(torch.cpu, name, bool)() for name in checks)
