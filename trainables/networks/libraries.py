"""Lazy import of optional libraries of encoders; a missing one is an error that names the extra to install."""

from __future__ import annotations

import functools
import importlib
from types import ModuleType

from trainables.common.errors import UserError
from trainables.networks.torchvision_ops import torchvision


def timm() -> ModuleType:
    """Return the package timm.

    Raises:
        UserError: it is not installed.
    """
    return _load("timm", "timm")


def smp() -> ModuleType:
    """Return the package segmentation_models_pytorch.

    Raises:
        UserError: it is not installed.
    """
    return _load("segmentation_models_pytorch", "smp")


def peft() -> ModuleType:
    """Return the package peft.

    Raises:
        UserError: it is not installed.
    """
    return _load("peft", "lora")


@functools.cache
def _load(package: str, extra: str) -> ModuleType:
    torchvision()  # these packages import it, which fails with some builds of torch before this
    try:
        return importlib.import_module(package)
    except ModuleNotFoundError as error:
        if error.name != package:
            raise
        raise UserError(f"the package {package} is not installed. Fix: pip install 'pretext-study[{extra}]'") from None
