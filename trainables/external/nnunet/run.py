"""Training of nnU-Net on labelled subjects of a frame store, and its predictions."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from trainables.common.errors import TrainingFailed, UserError
from trainables.common.files import write_json
from trainables.data.store.frames import FrameStore
from trainables.engine.checkpoint import load_tensors
from trainables.external.nnunet.dataset import Case, cases_of, image_of, write_dataset
from trainables.external.nnunet.settings import NnUNet
from trainables.networks.weight_files.read import WeightsFile

POLL = 0.5
"""Seconds between looks at the process."""

EpochCallback = Callable[[int, Mapping[str, float]], None]


@dataclass(frozen=True, eq=False)
class NnUNetResult:
    """Result of training nnU-Net.

    Attributes:
        masks: class indices `(S, S)` by row of the store.
        weights: weights of all folds' networks; each key begins with the fold's number.
        history: one row of metrics an epoch.
    """

    masks: Mapping[int, np.ndarray]
    weights: Mapping[str, Tensor]
    history: list[dict[str, float]]


def train_nnunet(
    settings: NnUNet,
    store: FrameStore,
    parts: Sequence[tuple[np.ndarray, np.ndarray]],
    predict_rows: np.ndarray,
    epochs: int,
    seed: int,
    device: torch.device,
    folder: Path,
    report: EpochCallback,
    start: WeightsFile | None = None,
    alone: Mapping[int, int] | None = None,
) -> NnUNetResult:
    """Train a network for each part, and predict with all of them as one ensemble, or each subject with its own.

    Args:
        settings: settings of the network.
        store: the frames, with the masks to train on.
        parts: rows to train on and rows to watch, of each fold; each row has a mask.
        predict_rows: rows to segment.
        epochs: number of epochs per fold.
        seed: seed of nnU-Net's random numbers, as far as it accepts one.
        device: device to train on.
        folder: working folder of nnU-Net; a killed run resumes in it.
        report: called after each epoch, counted over all folds.
        start: checkpoint of nnU-Net or nnssl whose weights are loaded first; None for random weights.
        alone: number of the part whose network alone segments a subject, by its index in the store; else all do.

    Raises:
        UserError: nnunetv2 is not installed.
        TrainingFailed: its process ended with an error.
    """
    if importlib.util.find_spec("nnunetv2") is None:
        raise UserError("network: nnunet needs the package nnunetv2: pip install 'pretext-study[nnunet]'")
    splits: list[dict[str, list[str]]] = []
    every: dict[str, Case] = {}
    for part in parts:
        train, val = (cases_of(store, rows, together=settings.temporal) for rows in part)
        every |= {case.name: case for case in (*train, *val)}
        splits.append({"train": [case.name for case in train], "val": [case.name for case in val]})
    requested = {case.name: case for case in cases_of(store, predict_rows, together=settings.temporal)}
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "prepared").exists():
        write_dataset(folder, store, list(every.values()), splits)
    _write_request(folder / "predict_rows.npz", store, requested)
    config = {"configuration": settings.configuration, "axes": settings.axes, "iterations": settings.iterations}
    counts = {"epochs": epochs, "folds": len(parts), "threads": torch.get_num_threads()}
    initial = {"start": str(start.path)} if start is not None else {}
    own = {"own_fold": _own_folds(store, requested, alone or {})}
    settled = {**config, **counts, **initial, **own, "seed": seed % 2**31, "device": str(device)}
    write_json(folder / "train_config.json", settled)
    history = _run(folder, epochs, report)
    with np.load(folder / "predictions.npz") as predictions:
        masks: dict[int, np.ndarray] = {}
        for name, case in requested.items():
            masks |= zip(map(int, case.rows), predictions[name], strict=True)
    return NnUNetResult(masks, load_tensors(folder / "weights.pt"), history)


def _write_request(path: Path, store: FrameStore, cases: Mapping[str, Case]) -> None:
    """Write images and spacing of the cases to segment, by name."""
    request = {}
    for name, case in cases.items():
        request[name], request[f"{name}/spacing"] = (np.asarray(part) for part in image_of(store, case))
    np.savez(path, **request)  # type: ignore[arg-type]  # arrays by name


def _own_folds(store: FrameStore, cases: Mapping[str, Case], alone: Mapping[int, int]) -> dict[str, int]:
    """Return the number of the fold whose network alone segments a case, by the case's name."""
    subjects = {name: int(store.index["subject"][case.rows[0]]) for name, case in cases.items()}
    return {name: alone[subject] for name, subject in subjects.items() if subject in alone}


def _run(folder: Path, epochs: int, report: EpochCallback) -> list[dict[str, float]]:
    """Run the process to its end, and pass its epochs on."""
    places = {name: str(folder / name) for name in ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results")}
    environment = {**os.environ, **places, "nnUNet_n_proc_DA": "1", "nnUNet_compile": "false", "MPLBACKEND": "agg"}
    command = [sys.executable, "-m", "trainables.external.nnunet.child", str(folder)]
    seen: dict[int, dict[str, float]] = {}
    with (folder / "output.txt").open("ab") as output:
        child = subprocess.Popen(command, env=environment, stdout=output, stderr=subprocess.STDOUT)
        try:
            while child.poll() is None:
                time.sleep(POLL)
                _pass_on(folder, epochs, seen, report)
        finally:
            if child.poll() is None:
                child.kill()
                child.wait()
    _pass_on(folder, epochs, seen, report)
    if child.returncode:
        lines = (folder / "output.txt").read_text(errors="replace").strip().splitlines()
        raise TrainingFailed(f"nnU-Net ended with {child.returncode}: {lines[-1] if lines else 'no output'}")
    return [seen[epoch] for epoch in sorted(seen)]


def _pass_on(folder: Path, epochs: int, seen: dict[int, dict[str, float]], report: EpochCallback) -> None:
    """Report the epochs that are new; one that a killed process had trained before counts once."""
    log = folder / "epochs.jsonl"
    for line in log.read_text().splitlines() if log.exists() else ():
        told = json.loads(line)
        epoch = told["fold"] * epochs + told["epoch"]
        if epoch not in seen:
            seen[epoch] = told["metrics"]
            report(epoch, told["metrics"])
