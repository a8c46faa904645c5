"""ONNX form of an exported graph, and its probabilities as ONNX Runtime computes them."""

from __future__ import annotations

import importlib
import json
import logging
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.export import ExportedProgram

from trainables.common.errors import UserError

INPUTS, OUTPUT = ("images", "spacing"), "probabilities"
"""Names of a graph's inputs, the second one only with `pixel_mm`, and of its output."""

ABOUT = "preprocessing"
"""Name of the description in a file's metadata."""

LARGEST = 1_900_000_000
"""Bytes of weights in one file; ONNX allows 2 GB, and larger weights are written beside it."""


def require_onnx() -> None:
    """Check that the optional packages for ONNX are installed.

    Raises:
        UserError: one is not.
    """
    for name in ("onnx", "onnxscript", "onnxruntime"):
        try:
            importlib.import_module(name)
        except ImportError:
            raise UserError(f"package {name} is not installed. Fix: pip install 'pretext-study[onnx]'") from None


def write_onnx(program: ExportedProgram, path: Path, about: Mapping[str, Any]) -> None:
    """Write a graph as an ONNX file.

    Args:
        program: the graph as a program of `torch.export`.
        path: file to write.
        about: description to keep in the file, as JSON in its metadata `preprocessing`.
    """
    names = INPUTS[: len(program.example_inputs[0])] if program.example_inputs is not None else INPUTS[:1]
    with warnings.catch_warnings(), _quiet("torch.onnx"), _quiet("onnxscript"):
        warnings.simplefilter("ignore")
        made = torch.onnx.export(program, input_names=names, output_names=[OUTPUT], dynamo=True, verbose=False)
    assert made is not None
    made.model.metadata_props[ABOUT] = json.dumps(dict(about))
    size = sum(value.numel() * value.element_size() for value in program.state_dict.values())
    made.save(path, external_data=size > LARGEST)


class OnnxModel:
    """An ONNX file that ONNX Runtime runs on the CPU.

    Args:
        path: file that `write_onnx` wrote.
    """

    def __init__(self, path: Path) -> None:
        import onnxruntime

        self._session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])

    @property
    def about(self) -> str:
        """Description that `write_onnx` kept in the file, JSON."""
        return str(self._session.get_modelmeta().custom_metadata_map[ABOUT])

    def __call__(self, arguments: Sequence[Tensor]) -> np.ndarray:
        """Return the probabilities `(B, K, H, W)` of a graph's arguments."""
        given = dict(zip(INPUTS, (each.numpy() for each in arguments), strict=False))
        return np.asarray(self._session.run([OUTPUT], given)[0])


class _quiet:  # noqa: N801 - a context manager, named as a verb
    """Context in which a logger writes errors only: converting a graph logs many lines."""

    def __init__(self, name: str) -> None:
        self._log = logging.getLogger(name)

    def __enter__(self) -> None:
        self._level = self._log.level
        self._log.setLevel(logging.ERROR)

    def __exit__(self, *_: object) -> None:
        self._log.setLevel(self._level)
