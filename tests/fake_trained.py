"""A finished study on disk whose replicates have networks with random weights, for exports and predictions."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import torch

from study.config.definition import load_study
from study.config.plain import plain
from study.planning.jobs import Outcome
from study.storage.artifacts import ArtifactStore
from study.storage.events import JobFinished
from study.storage.ledger import Ledger
from study.storage.plan_file import write_plan
from study.storage.workspace import StudyFolder, Workspace
from tests.fake_results import dice_of, write_frames, write_replicate
from trainables.data.store.frames import FrameStore
from trainables.networks import UNet, UNetEncoder

STUDY = """
data: {layout: echonet, phantom: {subjects: 3, size: 64}, image_size: 64}
network: {name: unet, backbone: {name: unet_encoder, width: 4, depth: 1}}
factors: {method: {random: {pretext.method: random}, simclr: {pretext.method: simclr, SIMCLR}}}
"""
NETWORK = UNet(UNetEncoder(width=4, depth=1))
SUBJECTS = 3


def write_trained(root: Path, replicates: int = 2, best: str = "simclr", data: str = "") -> StudyFolder:
    """Write a study of the cells "method=random" and "method=simclr", one of which is best on validation.

    Args:
        root: folder of the workspace.
        replicates: number of replicates of each cell.
        best: method of the best cell.
        data: settings that the level "simclr" sets of its dataset, in YAML; its frames have another mean, then.
    """
    folder = Workspace(root).study("fake")
    folder.root.mkdir(parents=True)
    frames = root / "data" / "frames" / "echonet-0123"
    write_frames(frames, SUBJECTS)
    store = FrameStore.open(frames)
    stores = {"random": store, "simclr": _other_frames(frames) if data else store}
    file = root / "fake.yaml"
    file.write_text(STUDY.replace("SIMCLR", data))
    study = load_study(str(file))
    cells = {cell.levels["method"]: cell for cell in study.cells()}
    plan = {
        "name": "fake",
        "spec": study.document(),
        "factors": {factor.name: list(factor.levels) for factor in study.spec.factors},
        "cells": [
            {"key": cell.key, "levels": dict(cell.levels)}
            | ({"data": plain(study.resolve(cell.overrides).data)} if data else {})
            for cell in cells.values()
        ],
        "search": {"metric": "val/dice", "trials": 0},
        "planned_jobs": {"replicate": replicates * len(cells)},
        "frames": {"data": str(frames)},
        "classes": list(store.classes),
    }
    write_plan(folder.plan, plan)
    artifacts = ArtifactStore(folder.workspace.artifacts)
    about = {
        "stage": "pretext",
        "config": {"data": store.fingerprint, "seed": 0},
        "metrics": {},
        "job": "pretext-simclr-ab",
    }
    artifacts.put("ab" * 32, about, {"backbone.x": torch.zeros(2)})
    ledger = Ledger(folder.ledger, lambda: 0.0)
    for method, cell in cells.items():
        store = stores[method]
        for index in range(replicates):
            start = {"artifact": "ab" * 32} if method == "simclr" else {"name": "random"}
            config = {
                "data": store.fingerprint,
                "network": plain(NETWORK),
                "downstream": plain(study.spec.downstream),
                "start": start,
                "seed": index,
            }
            score = 0.9 if method == best else 0.6
            ledger.append(_replicate(folder, store, f"{method}-replicate-{index}", cell.key, index, config, score))
    ledger.close()
    return folder


def _other_frames(frames: Path) -> FrameStore:
    """Return a copy of a frame store with another fingerprint and mean."""
    other = frames.with_name("echonet-4567")
    shutil.copytree(frames, other)
    meta = json.loads((other / "meta.json").read_text())
    (other / "meta.json").write_text(json.dumps({**meta, "fingerprint": "1" * 64, "mean": [0.4]}))
    return FrameStore.open(other)


def _replicate(
    folder: StudyFolder, store: FrameStore, job: str, cell: str, index: int, config: dict[str, Any], score: float
) -> JobFinished:
    torch.manual_seed(index)
    network = NETWORK.build(store.channels, len(store.classes)).eval()
    digest = job.encode().hex().ljust(64, "0")
    about = {"stage": "downstream", "config": config, "metrics": {"val/dice": 0.8}, "job": job}
    ArtifactStore(folder.workspace.artifacts).put(digest, about, network.state_dict())
    mean, std = store.mean[0], store.std[0]
    with torch.no_grad():
        logits = network((torch.from_numpy(np.array(store.images)).float() / 255 - mean) / std)
    masks = logits.argmax(1).numpy().astype(np.uint8)
    write_replicate(folder, job, masks, [dice_of(*pair) for pair in zip(masks, store.masks, strict=True)])
    inputs = {"pretext": config["start"]["artifact"]} if "artifact" in config["start"] else {}
    folder.job(job).config.write_text(json.dumps({"frames": str(store.folder), "config": config, "inputs": inputs}))
    metrics = {"val/dice": score, "test/dice": 0.5, "labelled_subjects": 12.0}
    return JobFinished(job, "replicate", cell, index, {}, digest, Outcome("completed", metrics, 4, 1.0))
