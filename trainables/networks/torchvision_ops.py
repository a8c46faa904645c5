"""Lazy import of torchvision, which takes as long to import as torch; all code here imports it by `torchvision()`.

A torchvision wheel is built against one torch build. With another build (such as a CPU-only torch) its extension does
not load, and `import torchvision` fails when it registers shape functions for two missing operators. Only models and
weights are used here, no operators, so it is enough to declare these two names.
"""

from __future__ import annotations

import functools
from types import ModuleType

import torch

_MISSING = {
    "nms": "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms": "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
}

_declared: list[torch.library.Library] = []
"""Libraries of declared operators; an operator exists only as long as its library is referenced."""


@functools.cache
def torchvision() -> ModuleType:
    """Import torchvision on the first call and return the package."""
    try:
        import torchvision as loaded
    except RuntimeError as error:
        if "torchvision::" not in str(error):
            raise
        library = torch.library.Library("torchvision", "FRAGMENT")
        for schema in _MISSING.values():
            library.define(schema)
        _declared.append(library)
        import torchvision as loaded
    package: ModuleType = loaded
    return package
