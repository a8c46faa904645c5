"""Writing and reading of an export: a folder with networks, preprocessing and a loader, independent of this package."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch.export import ExportedProgram

from study.export import standalone
from study.export.bundle import inference, metadata
from study.export.checks import compare_forms, compare_with_study, example_arguments
from study.export.networks import ExportedNetworks
from study.export.smp_folder import write_smp
from study.export.standalone.load import FORMAT
from trainables.common.errors import UserError
from trainables.common.files import write_json, write_text
from trainables.prediction.graph import export_program
from trainables.prediction.onnx_file import OnnxModel, require_onnx, write_onnx
from trainables.prediction.preprocessing import Preprocessing

PREPROCESSING, CARD, LOADER, WEIGHTS = "preprocessing.json", "README.md", "load.py", "weights.safetensors"
PROGRAM, ONNX, STATE = "models/model.pt2", "models/model.onnx", "models/model.pt"
REQUIRED = (PREPROCESSING, CARD, LOADER, WEIGHTS, PROGRAM)
"""Files of every export."""

STANDALONE = Path(standalone.__file__).parent
"""Folder of the files that an export copies."""


@dataclass(frozen=True)
class Export:
    """An exported folder.

    Attributes:
        folder: the folder.
        preprocessing: preprocessing of the networks' input.
        about: content of its preprocessing.json.
    """

    folder: Path
    preprocessing: Preprocessing
    about: dict[str, Any]


def write_export(
    exported: ExportedNetworks,
    folder: Path,
    card: str,
    licence: str,
    *,
    onnx: bool = True,
    report: Callable[[str], None] = lambda line: None,
) -> Export:
    """Write an export and check it; nothing remains of one that fails a check.

    Args:
        exported: trained networks.
        folder: new folder.
        card: model card, as Markdown.
        licence: licence of the weights.
        onnx: True to write an ONNX file too.
        report: receives a line of text after each check.

    Raises:
        UserError: the folder exists, packages for ONNX are missing, or a check fails.
    """
    folder = folder.absolute()
    if folder.exists():
        raise UserError(f"{folder}: exists already. Fix: choose another --out, or remove it")
    if onnx:
        require_onnx()
    report(compare_with_study(exported))
    folder.parent.mkdir(parents=True, exist_ok=True)
    part = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
    try:
        _write_files(exported, part, card, licence)
        _write_graphs(exported, part, onnx, report)
        write_smp(exported, part, licence, report)
        part.chmod(0o755)
        part.rename(folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return read_export(folder)


def read_export(folder: Path) -> Export:
    """Read the description of an export.

    Raises:
        UserError: files are missing, or the export has another format; the message names them.
    """
    lacking = [name for name in REQUIRED if not (folder / name).is_file()]
    if lacking:
        text = f"not a complete export of `study export model` (lacks {', '.join(lacking)})"
        raise UserError(f"{folder}: {text}. Fix: export the model again")
    about: dict[str, Any] = json.loads((folder / PREPROCESSING).read_text())
    if about.get("format") != FORMAT:
        text = f"an export of another format (found {about.get('format')}, expected {FORMAT})"
        raise UserError(f"{folder}: {text}. Fix: export the model again")
    names = Preprocessing.__dataclass_fields__
    absent = [name for name in names if name not in about]
    if absent:
        raise UserError(f"{folder / PREPROCESSING}: lacks {', '.join(absent)}. Fix: export the model again")
    return Export(folder, Preprocessing.from_plain({name: about[name] for name in names}), about)


def describe(exported: ExportedNetworks) -> dict[str, Any]:
    """Return the content of preprocessing.json."""
    return {
        "format": FORMAT,
        "name": exported.title,
        **exported.cell.preprocessing.plain(),
        "networks": [{"replicate": each.index, "artifact": each.digest} for each, _ in exported.members],
    }


def _write_files(exported: ExportedNetworks, folder: Path, card: str, licence: str) -> None:
    """Write everything but the graphs."""
    for name in ("models", "configs"):
        (folder / name).mkdir()
    write_json(folder / PREPROCESSING, describe(exported))
    write_text(folder / CARD, card)
    shutil.copy(STANDALONE / LOADER, folder / LOADER)
    configs = {
        "metadata": metadata(exported.cell.preprocessing, exported.title, licence, version("pretext-study")),
        "inference": inference(exported.cell.preprocessing),
    }
    for name, content in configs.items():
        write_json(folder / "configs" / f"{name}.json", content)


def _write_graphs(exported: ExportedNetworks, folder: Path, onnx: bool, report: Callable[[str], None]) -> None:
    """Write weights and graphs, and compare the graphs with the networks."""
    graph = exported.graph()
    program = export_program(graph)
    torch.export.save(program, folder / PROGRAM)
    state = {name: value.contiguous() for name, value in graph.state_dict().items()}
    save_file(state, folder / WEIGHTS, metadata={"format": "pt", "preprocessing": json.dumps(describe(exported))})
    (folder / WEIGHTS).chmod(0o644)
    torch.save(state, folder / STATE)
    given = example_arguments(exported.cell, graph)
    loaded = _runner(torch.export.load(folder / PROGRAM))
    report(compare_forms(PROGRAM, loaded, graph, given))
    if onnx:
        write_onnx(program, folder / ONNX, describe(exported))
        report(compare_forms(ONNX, OnnxModel(folder / ONNX), graph, given))


def _runner(program: ExportedProgram) -> Callable[..., Any]:
    """Return a function from a graph's arguments to its probabilities, an array."""
    module = program.module()

    def run(arguments: Any) -> Any:
        with torch.no_grad():
            return module(*arguments).numpy()

    return run
