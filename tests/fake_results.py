"""A fake study on disk, through the same formats: ellipses for ventricles, and errors whose size is known."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from study.planning.jobs import Outcome
from study.storage.artifacts import ArtifactStore
from study.storage.events import ConfigurationChosen, JobFinished
from study.storage.ledger import Ledger
from study.storage.workspace import StudyFolder, Workspace
from trainables.common.learning import Learning
from trainables.data.store.checksums import write_checksums
from trainables.data.store.frames import INDEX_DTYPE, STORE_VERSION

SIZE = 64
SKILL = {"random": 1.0, "simclr": 0.55, "byol": 0.8, "moco": 0.7, "vicreg": 0.6}
EPOCHS = 12


@dataclass(frozen=True)
class FakeStudy:
    methods: tuple[str, ...] = ("random", "simclr", "byol")
    fractions: tuple[str, ...] = ("0.05", "0.25", "1")
    replicates: int = 3
    subjects: int = 20
    trials: int = 4
    finished: int | None = None
    """Number of replicates in the ledger, in order; None for all."""
    learning: Mapping[str, Learning] = field(default_factory=dict)
    """Verdict on the pretraining of a method; methods without one have no artifact."""

    def write(self, root: Path) -> StudyFolder:
        folder = Workspace(root).study("fake")
        folder.root.mkdir(parents=True)
        frames = root / "frames" / "fake"
        truth = write_frames(frames, self.subjects)
        folder.plan.write_text(json.dumps(self.plan(frames)))
        times = iter(range(10**6))
        ledger = Ledger(folder.ledger, lambda: float(next(times)))
        for job in self.jobs(folder, truth):
            ledger.append(job)
            if job.kind == "trial" and job.index == self.trials - 1:
                ledger.append(ConfigurationChosen(job.cell or "", 1, {"downstream.fit.optimizer.lr": 0.002}))
        ledger.close()
        return folder

    def plan(self, frames: Path) -> dict[str, Any]:
        cells = [
            {"key": f"method={m},label_fraction={f}", "levels": {"method": m, "label_fraction": f}}
            for m in self.methods
            for f in self.fractions
        ]
        return {
            "name": "fake",
            "title": "Fake study on ellipses",
            "spec": {},
            "factors": {"method": list(self.methods), "label_fraction": list(self.fractions)},
            "cells": cells,
            "search": {"metric": "dice", "trials": self.trials},
            "replicates": self.replicates,
            "planned_jobs": {
                "pretext": len([m for m in self.methods if m != "random"]),
                "trial": self.trials * len(cells),
                "replicate": self.replicates * len(cells),
            },
            "frames": {"data": str(frames)},
            "classes": ["background", "lv"],
        }

    def jobs(self, folder: StudyFolder, truth: np.ndarray) -> Iterator[JobFinished]:
        for method in self.methods:
            if method != "random":
                yield self.pretext(folder, method)
        cells = [(m, f) for m in self.methods for f in self.fractions]
        for method, fraction in cells:
            yield from self.search(method, fraction)
        for number, (method, fraction, index) in enumerate((m, f, r) for r in range(self.replicates) for m, f in cells):
            if self.finished is None or number < self.finished:
                yield self.replicate(folder, truth, method, fraction, index)

    def pretext(self, folder: StudyFolder, method: str) -> JobFinished:
        job = f"pretext-{method}-0123456789ab"
        start = {"simclr": 4.1, "byol": 1.6}.get(method, 3.0)
        rng = np.random.default_rng(len(method))
        losses = [start * (0.35 + 0.65 * np.exp(-e / 5)) + 0.02 * rng.normal() for e in range(EPOCHS)]
        write_metrics(folder, job, [{"loss": loss, "embedding_std": 0.1} for loss in losses])
        return finished(job, "pretext", None, 0, "completed", {"loss": losses[-1]})

    def search(self, method: str, fraction: str) -> Iterator[JobFinished]:
        cell = f"method={method},label_fraction={fraction}"
        for index in range(self.trials):
            params = {"downstream.fit.optimizer.lr": 0.001 * (index + 1), "downstream.augment.strength": 0.25 * index}
            status = "stopped" if index == 2 else "completed"
            metrics = {"val/dice": 0.8 + 0.01 * (index == 1)}
            yield finished(f"{method}-{fraction}-trial-{index}", "trial", cell, index, status, metrics, params)

    def replicate(self, folder: StudyFolder, truth: np.ndarray, method: str, fraction: str, index: int) -> JobFinished:
        job, cell = f"{method}-{fraction}-replicate-{index}", f"method={method},label_fraction={fraction}"
        rng = np.random.default_rng([index, self.methods.index(method), self.fractions.index(fraction)])
        shared = np.random.default_rng(index)
        level = SKILL.get(method, 0.9) * 1.5 * float(fraction) ** -0.25 * (1 + 0.06 * shared.normal())
        difficulty = np.random.default_rng(5).lognormal(0, 0.45, self.subjects)
        masks = np.stack(
            [ellipse(*(truth[row] + level * difficulty[row // 2] * rng.normal(0, 0.9, 4))) for row in range(len(truth))]
        )
        dice = [dice_of(masks[row], ellipse(*truth[row])) for row in range(len(truth))]
        write_replicate(folder, job, masks, dice)
        if method in self.learning:
            write_start(folder, job, method, self.learning[method])
        top = float(np.mean(dice))
        curve = [
            {"loss": 1 / e, "val/dice": top * (1 - 0.7 * np.exp(-e / 2.5)) + 0.008 * rng.normal()}
            for e in range(1, EPOCHS + 1)
        ]
        write_metrics(folder, job, curve)
        params = {"downstream.fit.optimizer.lr": 0.002}
        return finished(job, "replicate", cell, index, "completed", {"val/dice": top, "test/dice": top}, params)


def finished(
    job: str, kind: str, cell: str | None, index: int, status: str, metrics: dict[str, float], params: Any = None
) -> JobFinished:
    return JobFinished(job, kind, cell, index, params or {}, f"digest-of-{job}", Outcome(status, metrics, EPOCHS, 1.5))


def write_metrics(folder: StudyFolder, job: str, epochs: list[dict[str, float]]) -> None:
    path = folder.job(job).metrics
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps({"epoch": e, "time": float(e), "metrics": m}) for e, m in enumerate(epochs, 1)]
    path.write_text("\n".join(lines) + "\n")


def write_replicate(folder: StudyFolder, job: str, masks: np.ndarray, dice: list[float]) -> None:
    place = folder.job(job)
    place.root.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(place.predictions, rows=np.arange(len(masks)), masks=masks)
    with place.test.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["subject", "row", "phase", "dice", "dice/lv"])
        for row, value in enumerate(dice):
            writer.writerow([f"{row // 2:04d}e5", row, "ED" if row % 2 == 0 else "ES", repr(value), repr(value)])


def write_start(folder: StudyFolder, job: str, method: str, learning: Learning) -> None:
    """Write the artifact of a pretraining with its verdict, and the configuration of a job that starts from it."""
    digest = method.encode().hex().ljust(64, "0")
    config = {"pretext": {"method": {"name": method}, "augment": {}}, "start": None, "data": "0" * 64}
    ArtifactStore(folder.workspace.artifacts).put(digest, {"config": config, "learning": asdict(learning)})
    folder.job(job).config.write_text(json.dumps({"inputs": {"pretext": digest}}))


def write_frames(folder: Path, subjects: int) -> np.ndarray:
    """A frame store of two test frames a subject; gives their ellipses: centre y, x, half-axes y, x."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    base = rng.normal([34, 32, 15, 9], [2, 2, 2, 1], (subjects, 4))
    truth = np.repeat(base, 2, axis=0)
    truth[1::2, 2:] *= 0.78
    masks = np.stack([ellipse(*shape) for shape in truth])
    images = np.stack([picture(shape, rng) for shape in truth])[:, None]
    index = np.zeros(len(truth), INDEX_DTYPE)
    index["subject"], index["split"], index["mask"] = np.arange(len(truth)) // 2, 2, np.arange(len(truth))
    np.save(folder / "images.npy", images)
    np.save(folder / "masks.npy", masks)
    np.save(folder / "index.npy", index)
    np.save(folder / "clinical.npy", np.full((subjects, 1), np.nan))
    meta = {
        "version": STORE_VERSION,
        "subjects": [f"{number:04d}e5" for number in range(subjects)],
        "classes": ["background", "lv"],
        "views": ["4CH"],
        "mean": [0.2],
        "std": [0.2],
        "fingerprint": "0" * 64,
        "issues": {},
        "split_by": "official",
        "clinical": ["ef"],
    }
    (folder / "meta.json").write_text(json.dumps(meta))
    write_checksums(folder, sorted(path.name for path in folder.iterdir()), {})
    return truth


def ellipse(y: float, x: float, tall: float, wide: float) -> np.ndarray:
    rows, columns = np.mgrid[:SIZE, :SIZE]
    inside = ((rows - y) / max(tall, 2)) ** 2 + ((columns - x) / max(wide, 2)) ** 2 <= 1
    return np.asarray(inside, np.uint8)


def picture(shape: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A sector with speckle, a bright wall and a dark cavity."""
    y, x, tall, wide = shape
    rows, columns = np.mgrid[:SIZE, :SIZE]
    sector = np.abs(np.arctan2(columns - SIZE / 2, rows + 4)) < 0.62
    level = np.where(ellipse(y, x, tall + 4, wide + 4) == 1, 150.0, 70.0)
    level = np.where(ellipse(y, x, tall, wide) == 1, 18.0, level)
    speckled = level * sector * rng.rayleigh(0.75, (SIZE, SIZE))
    return np.asarray(np.clip(speckled, 0, 255), np.uint8)


def dice_of(a: np.ndarray, b: np.ndarray) -> float:
    return float(2 * (a & b).sum() / (a.sum() + b.sum()))
