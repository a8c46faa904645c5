"""torchvision beside a torch without its compiled operators.

torchvision's wheels are built against one torch build. Beside another (a CPU-only torch, say) its extension does not
load, and `import torchvision` then fails while registering shape functions for two operators that do not exist. We use
none of its operators, only models and weights, so declaring the two names is enough. Import torchvision from here.
"""

from __future__ import annotations

import torch

_MISSING = {
    "nms": "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms": "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
}


def _declare_missing_operators() -> torch.library.Library | None:
    try:
        import torchvision as _loaded  # noqa: F401

        return None
    except RuntimeError as error:
        if "torchvision::" not in str(error):
            raise
    library = torch.library.Library("torchvision", "FRAGMENT")
    for schema in _MISSING.values():
        library.define(schema)
    return library


_library = _declare_missing_operators()

import torchvision  # noqa: E402

__all__ = ["torchvision"]
