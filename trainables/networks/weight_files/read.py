"""Reading of weight files: state dicts of torch and safetensors, also within a checkpoint."""

from __future__ import annotations

import argparse
import functools
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy._core.multiarray import scalar
from torch import Tensor

from trainables.common.errors import CheckpointError
from trainables.networks.weight_files.names import Format

CONTAINERS = (
    "state_dict",
    "model_state_dict",
    "model_state",
    "model_ema",
    "teacher",
    "model",
    "network_weights",
    "encoder",
    "student",
    "net",
    "module",
)
"""Entries of a checkpoint that may hold the weights, preferred first."""

HARMLESS: tuple[Any, ...] = (
    argparse.Namespace,
    *((scalar, f"numpy.{core}.multiarray.scalar") for core in ("core", "_core")),  # names of NumPy 1 and 2
    np.dtype,
    *(type(np.dtype(kind)) for kind in (np.float64, np.float32, np.int64)),
)
"""Classes of options and metrics that DINO, MAE and nnU-Net save beside their weights; reading them runs no code."""


@dataclass(frozen=True)
class WeightsFile:
    """File of pretrained weights on this machine.

    Attributes:
        file: path of a state dict or checkpoint, written by torch or as .safetensors.
        format: naming scheme of its tensors; "auto", the default, recognizes it.
    """

    file: str
    format: Format = "auto"

    @property
    def path(self) -> Path:
        """Absolute path of the file."""
        return Path(self.file).expanduser().absolute()


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a file by name, on the CPU.

    Raises:
        CheckpointError: the file is missing, is no file of tensors, or has none.
    """
    if not path.is_file():
        raise CheckpointError(f"{path}: no such file, expected pretrained weights")
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return dict(load_file(path))
        with torch.serialization.safe_globals(list(HARMLESS)):
            found = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        reason = _reason(error)
        text = "Fix: save its state dict by itself, with torch.save or as .safetensors"
        raise CheckpointError(f"{path}: not a file of tensors ({reason}). {text}") from None
    tensors = _state_dict(found)
    if not tensors:
        raise CheckpointError(f"{path}: found no tensors, expected a state dict or a checkpoint with one")
    return tensors


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file's content in hexadecimal; "" for a file that is not there."""
    if not path.is_file():
        return ""
    state = path.stat()
    return _sha256(path, state.st_mtime_ns, state.st_size)


@functools.lru_cache(maxsize=256)
def _sha256(path: Path, modified: int, size: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _reason(error: Exception) -> str:
    """Return the part of torch's message that names the content it refuses, or else the kind of error.

    The rest of the message may advise to load the file without `weights_only`, which would run its code.
    """
    refused = re.search(r"GLOBAL ([\w.]+)", str(error))
    return f"it holds {refused.group(1)}" if refused else type(error).__name__


def _state_dict(found: Any) -> dict[str, Tensor]:
    """Return the tensors of a state dict, or of the preferred entry of a checkpoint, at any depth."""
    if not isinstance(found, Mapping):
        return {}
    tensors = {str(name): value for name, value in found.items() if isinstance(value, Tensor)}
    inner = next((found[name] for name in CONTAINERS if isinstance(found.get(name), Mapping)), None)
    nested = _state_dict(inner) if inner is not None else {}
    return nested if len(nested) > len(tensors) else tensors
