"""MLflow model of an export: answers images with masks.

`mlflow models serve` runs it, with the export's files as the artifact `folder`.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModel


class Segmentation(PythonModel):
    """Segmentation by the networks of an export."""

    def load_context(self, context: Any) -> None:
        """Load the export by its own loader."""
        folder = Path(context.artifacts["folder"])
        spec = importlib.util.spec_from_file_location("exported_model", folder / "load.py")
        assert spec is not None
        assert spec.loader is not None
        loader = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(loader)
        self.model = loader.Model(folder)

    def predict(self, context: Any, model_input: np.ndarray, params: dict[str, Any] | None = None) -> np.ndarray:
        """Return masks, uint8 `(B, H, W)`, of images `(B, C, H, W)`; `row_mm` and `column_mm` give their spacing."""
        given = params or {}
        spacing = (given["row_mm"], given["column_mm"]) if "row_mm" in given else None
        masks: np.ndarray = self.model(torch.from_numpy(np.array(model_input)), spacing).numpy()
        return masks


set_model(Segmentation())
