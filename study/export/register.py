"""Registration of an export in MLflow's model registry, as a model that `mlflow models serve` runs."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from study.export.folder import CARD, LOADER, PREPROCESSING, PROGRAM, STANDALONE, Export
from study.tracking.mlflow_runs import JOB_TAG, STUDY_RUN, mlflow_client
from trainables.common.errors import UserError

if TYPE_CHECKING:
    from mlflow.models import ModelSignature
    from mlflow.tracking import MlflowClient

SERVED = (PREPROCESSING, CARD, LOADER, PROGRAM)
"""Files of an export that the served model needs."""


def register(
    export: Export, study: str, uri: str, new_client: Callable[[str], MlflowClient] = mlflow_client
) -> tuple[str, str]:
    """Log an export as a model of its study's run, register it, and return name and version of the registered model.

    Args:
        export: the export.
        study: name of the study, of its experiment, and of the registered model.
        uri: address of the tracking server or store.
        new_client: makes MLflow's client from the address.

    Raises:
        UserError: the store has no run of the study.
    """
    client = new_client(uri)
    run_id = _study_run(client, study, uri)
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder) / "model"
        save_model(export, model)
        place = f"model-{hashlib.sha256((export.folder / PROGRAM).read_bytes()).hexdigest()[:12]}"
        client.log_artifacts(run_id, str(model), place)
    if not client.search_registered_models(f"name = '{study}'"):
        client.create_registered_model(study, description="Segmentation networks of a study, see README.md")
    source = f"{client.get_run(run_id).info.artifact_uri}/{place}"
    made = client.create_model_version(study, source, run_id, description=export.about["name"])
    return study, str(made.version)


def save_model(export: Export, folder: Path) -> None:
    """Write an export as a model of MLflow that answers images `(B, C, H, W)` with masks, uint8 `(B, H, W)`."""
    from mlflow import pyfunc

    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    with tempfile.TemporaryDirectory() as copied, warnings.catch_warnings():
        files = Path(copied) / "export"
        for name in SERVED:
            (files / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(export.folder / name, files / name)
        warnings.simplefilter("ignore")  # MLflow asks for type hints and an example; the signature says it all
        code = shutil.copy(STANDALONE / "serve.py", copied)  # MLflow records where it found the code
        pyfunc.save_model(
            folder,
            python_model=code,
            artifacts={"folder": str(files)},
            signature=_signature(export),
            pip_requirements=[f"{name}=={_version(name)}" for name in ("mlflow", "torch", "numpy")],
        )


def _signature(export: Export) -> ModelSignature:
    """Return the types of the model's input, output and parameters."""
    from mlflow.models import ModelSignature
    from mlflow.types import DataType, ParamSchema, ParamSpec, Schema, TensorSpec

    given = export.preprocessing
    dtype = np.dtype(np.uint8 if given.grey == "uint8" else np.float32)
    images = TensorSpec(dtype, (-1, len(given.channels), -1, -1))
    masks = TensorSpec(np.dtype(np.uint8), (-1, -1, -1))
    names = () if given.pixel_mm is None else ("row_mm", "column_mm")
    params = [ParamSpec(name, DataType.double, given.pixel_mm) for name in names]
    return ModelSignature(Schema([images]), Schema([masks]), ParamSchema(params))


def _study_run(client: MlflowClient, study: str, uri: str) -> str:
    """Return the id of the study's run."""
    experiment = client.get_experiment_by_name(study)
    wanted = f"tags.`{JOB_TAG}` = '{STUDY_RUN}'"
    found: Any = client.search_runs([experiment.experiment_id], wanted, max_results=1) if experiment else ()
    if not found:
        raise UserError(f"MLflow at {uri} has no run of study '{study}'. Fix: run the study again, which records it")
    return str(found[0].info.run_id)


def _version(package: str) -> str:
    """Return the version of an installed package without the build's mark, such as +cpu."""
    from importlib.metadata import version

    return torch.__version__.partition("+")[0] if package == "torch" else version(package)
