"""Executing a job: from its config to its artifact, in whatever process that happens.

A stage's process writes only into the job's folder and the artifact store; the driver, and nobody else, keeps the
ledger and talks to MLflow.
"""

from __future__ import annotations

import csv
import io
import json
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from study.artifacts import ArtifactStore
from study.jobs import Job, Outcome
from study.settings import parse
from study.spec import ImageNetStart
from study.spec import Start as StudyStart
from study.workspace import JobFolder
from trainables.checkpoint import Checkpoints
from trainables.data.frames import FrameStore
from trainables.data.records import PHASES
from trainables.downstream.finetune import DownstreamSettings, Finetuned, Start, finetune
from trainables.downstream.segmentation import Predictions
from trainables.errors import TrainingFailed, UserError
from trainables.files import atomic_writer, write_json, write_text
from trainables.loop import FitResult
from trainables.metrics.overlap import subject_means
from trainables.networks.backbones import BackboneSettings
from trainables.networks.imagenet import ImageNetWeights
from trainables.networks.network import NetworkSettings
from trainables.pretext.pretrain import PretextSettings, pretrain
from trainables.runtime import Runtime

Report = Callable[[int, Mapping[str, float]], None]
"""Called with (epoch, metrics) after each epoch; it may raise to end the run."""


def execute(job: Job, folder: JobFolder, artifacts: ArtifactStore, runtime: Runtime) -> Outcome:
    """Run `job`, or give the outcome it already has.

    Its outcome is on disk before this returns. A run that judged itself failed (it diverged, its input is bad) and a
    bug both give a failed outcome with the reason; only the death of the process leaves none, and the job is then run
    again.
    """
    done = read_outcome(folder)
    if done is not None:
        return done
    started = time.monotonic()
    write_json(folder.config, job.plain())
    try:
        fitted, metrics = _run(job, folder, artifacts, runtime)
        outcome = Outcome("completed", metrics, len(fitted.history), time.monotonic() - started)
    except (TrainingFailed, UserError) as error:
        outcome = Outcome("failed", {}, 0, time.monotonic() - started, str(error))
    except Exception as error:
        write_text(folder.root / "error.txt", traceback.format_exc())
        reason = f"{type(error).__name__}: {error} (see {folder.root / 'error.txt'})"
        outcome = Outcome("failed", {}, 0, time.monotonic() - started, reason)
    if runtime.rank == 0 or outcome.status == "failed":
        write_json(folder.result, asdict(outcome))
    if outcome.status == "failed" and runtime.world_size > 1:
        raise RuntimeError(outcome.reason)  # the other workers wait in a collective call: let the group be torn down
    if runtime.rank == 0:
        checkpoints(folder).clear()
    return outcome


def read_outcome(folder: JobFolder) -> Outcome | None:
    """The outcome on disk, if the job has ended."""
    if not folder.result.exists():
        return None
    return Outcome(**json.loads(folder.result.read_text()))


def checkpoints(folder: JobFolder) -> Checkpoints:
    """The job's checkpoints."""
    return Checkpoints(folder.root)


class MetricsLog:
    """Appends a job's metrics to its folder, a line an epoch, and passes them on."""

    def __init__(self, folder: JobFolder, then: Report | None = None) -> None:
        folder.root.mkdir(parents=True, exist_ok=True)
        self._path, self._then = folder.metrics, then

    def __call__(self, epoch: int, metrics: Mapping[str, float]) -> None:
        """Record one epoch."""
        line = json.dumps({"epoch": epoch, "time": time.time(), "metrics": dict(metrics)})
        with self._path.open("a") as file:
            file.write(line + "\n")
        if self._then is not None:
            self._then(epoch, metrics)


def _run(job: Job, folder: JobFolder, artifacts: ArtifactStore, runtime: Runtime) -> tuple[FitResult, dict[str, float]]:
    store = FrameStore.open(Path(job.frames))
    if store.fingerprint != job.config["data"]:
        raise UserError(f"{job.frames}: the frames have changed since this job was planned")
    if job.stage == "pretext":
        return _pretext(job, store, artifacts, runtime)
    return _downstream(job, store, folder, artifacts, runtime)


def _pretext(
    job: Job, store: FrameStore, artifacts: ArtifactStore, runtime: Runtime
) -> tuple[FitResult, dict[str, float]]:
    settings = parse(PretextSettings, job.config["pretext"])
    whole = "network" in job.config
    network: NetworkSettings | BackboneSettings = (
        parse(NetworkSettings, job.config["network"]) if whole else parse(BackboneSettings, job.config["backbone"])
    )
    start = artifacts.weights(job.start) if job.start is not None else None
    pretrained = pretrain(settings, network, store, runtime, job.config["seed"], start)
    if runtime.rank == 0:
        about = {"stage": "pretext", "config": job.config, "metrics": pretrained.fitted.metrics, "job": job.id}
        artifacts.put(job.digest, pretrained.weights, about)
    return pretrained.fitted, dict(pretrained.fitted.metrics)


def _downstream(
    job: Job, store: FrameStore, folder: JobFolder, artifacts: ArtifactStore, runtime: Runtime
) -> tuple[FitResult, dict[str, float]]:
    settings = parse(DownstreamSettings, job.config["downstream"])
    network = parse(NetworkSettings, job.config["network"])
    result = finetune(
        settings, network, _start(job, artifacts), store, runtime, job.config["seed"], test=job.config["test"]
    )
    metrics = {**result.fitted.metrics, "labelled_subjects": float(result.subjects)}
    if result.test is not None and runtime.rank == 0:
        metrics |= _keep_test(result, result.test, job, store, folder, artifacts)
    return result.fitted, metrics


def _start(job: Job, artifacts: ArtifactStore) -> Start:
    if job.start is not None:
        return artifacts.weights(job.start)
    start: Any = parse(StudyStart, job.config["start"])
    return ImageNetWeights(start.weights, start.download) if isinstance(start, ImageNetStart) else None


def _keep_test(
    result: Finetuned, test: Predictions, job: Job, store: FrameStore, folder: JobFolder, artifacts: ArtifactStore
) -> dict[str, float]:
    """Write a replicate's test table, predictions and weights; gives its test metrics."""
    with atomic_writer(folder.predictions) as file:
        np.savez_compressed(file, rows=test.rows, masks=test.masks)
    write_text(folder.test, _test_table(test, store))
    about = {"stage": "downstream", "config": job.config, "metrics": result.fitted.metrics, "job": job.id}
    artifacts.put(job.digest, result.state, about)
    return _test_metrics(test, store)


def _test_table(test: Predictions, store: FrameStore) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["subject", "row", "phase", "dice", *(f"dice/{name}" for name in store.classes[1:])])
    for row, scores in zip(test.cases, test.dice, strict=True):
        record = store.index[row]
        mean = float(np.nanmean(scores)) if not np.isnan(scores).all() else float("nan")
        subject, phase = store.subjects[int(record["subject"])], PHASES[int(record["phase"])]
        writer.writerow([subject, int(row), phase, repr(mean), *(repr(float(score)) for score in scores)])
    return text.getvalue()


def _test_metrics(test: Predictions, store: FrameStore) -> dict[str, float]:
    """Dice as validation has it: the mean over subjects of the mean over their cases."""
    per_subject = subject_means(test.dice, store.index["subject"][test.cases])
    classes = zip(store.classes[1:], np.nanmean(per_subject, axis=0), strict=True)
    return {
        "test/dice": float(np.nanmean(per_subject)),
        **{f"test/dice/{name}": float(value) for name, value in classes},
    }
