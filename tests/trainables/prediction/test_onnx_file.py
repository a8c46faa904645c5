"""ONNX files of graphs whose preprocessing has every step."""

import json
import sys

import numpy as np
import pytest
import torch
from torch import nn

from trainables.common.errors import UserError
from trainables.prediction.graph import SegmentationGraph, export_program
from trainables.prediction.onnx_file import OnnxModel, require_onnx, write_onnx
from trainables.prediction.preprocessing import Preprocessing


def test_an_onnx_file_gives_the_probabilities_of_its_graph(tmp_path):
    given = Preprocessing(24, ("a", "b"), (0.3, 0.5), (0.2, 0.1), ("background", "lv", "myo"), "display", 0.8)
    torch.manual_seed(0)
    graph = SegmentationGraph([nn.Conv2d(2, 3, 3, padding=1) for _ in range(2)], given)
    write_onnx(export_program(graph), tmp_path / "model.onnx", {"format": 1})
    model = OnnxModel(tmp_path / "model.onnx")
    for shape, millimeters in (((1, 2, 41, 30), (0.5, 0.7)), ((3, 2, 9, 70), (1.9, 0.3))):
        images, spacing = torch.rand(shape) * 700 - 100, torch.tensor(millimeters)
        with torch.no_grad():
            expected = graph(images, spacing).numpy()
        np.testing.assert_allclose(model((images, spacing)), expected, atol=1e-5)
    assert json.loads(model.about) == {"format": 1}


def test_a_missing_package_is_an_error_that_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(UserError, match=r"onnxscript is not installed. Fix: pip install 'pretext-study\[onnx\]'"):
        require_onnx()
