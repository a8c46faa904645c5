"""Registered models as MLflow loads them, in the store of a workspace and after the workspace was moved."""

import shutil

import numpy as np
import pytest
import torch

from study.export.register import register
from study.export.standalone.load import Model
from study.storage.workspace import Workspace
from study.tracking.local_store import move_files
from study.tracking.mlflow_runs import MlflowRuns
from trainables.common.errors import UserError


def served(uri: str, version: str, images: np.ndarray) -> np.ndarray:
    import mlflow

    mlflow.set_tracking_uri(uri)
    return mlflow.pyfunc.load_model(f"models:/fake/{version}").predict(images)


def test_mlflow_serves_the_masks_of_a_registered_model(exported, tmp_path):
    export, _ = exported
    place = Workspace(tmp_path / "first")
    place.root.mkdir()
    MlflowRuns(place.tracking_uri, "fake", place.root / "mlflow" / "fake").connect({}, {})
    assert register(export, "fake", place.tracking_uri) == ("fake", "1")
    assert register(export, "fake", place.tracking_uri) == ("fake", "2")
    images = np.random.default_rng(0).integers(0, 256, (2, 1, 40, 30), dtype=np.uint8)
    expected = Model(export.folder)(torch.from_numpy(images)).numpy()
    np.testing.assert_array_equal(served(place.tracking_uri, "1", images), expected)
    moved = Workspace(tmp_path / "moved")
    shutil.move(place.root, moved.root)
    move_files(moved.tracking_uri, moved.root / "mlflow")
    np.testing.assert_array_equal(served(moved.tracking_uri, "2", images), expected)


def test_a_store_without_the_study_is_refused(exported, tmp_path):
    uri = Workspace(tmp_path).tracking_uri
    with pytest.raises(UserError, match="has no run of study 'fake'"):
        register(exported[0], "fake", uri)
