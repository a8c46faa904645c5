"""torchvision, imported when it is first needed: it takes as long to import as torch itself.

torchvision's wheels are built against one torch build. Beside another (a CPU-only torch, say) its extension does not
load, and `import torchvision` then fails while registering shape functions for two operators that do not exist. We use
none of its operators, only models and weights, so declaring the two names is enough. Get torchvision from here.
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
"""Kept, as a library that is let go takes its operators with it."""


@functools.cache
def torchvision() -> ModuleType:
    """The package."""
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
