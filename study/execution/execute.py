"""Executing a job: from its config to its artifact, in whatever process that happens.

A stage's process writes only into the job's folder and the artifact store; the driver, and nobody else, keeps the
ledger and talks to MLflow.
"""

from __future__ import annotations

import errno
import json
import shutil
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import psutil
import torch

from study.config.settings import parse
from study.config.spec import ImageNetStart, Start
from study.planning.jobs import Job, Outcome
from study.storage.artifacts import ArtifactStore
from study.storage.test_results import mean_smoothness, quality_metrics, quality_table, save_test_results
from study.storage.workspace import JobFolder
from trainables.common.errors import TrainingFailed, UserError
from trainables.common.files import write_json, write_text
from trainables.data.sampling.targets import DenseLabels
from trainables.data.store.frames import FrameStore
from trainables.downstream.finetune import DownstreamSettings, PretrainedWeights, finetune
from trainables.engine.checkpoint import Checkpoints
from trainables.engine.runtime import Runtime
from trainables.engine.trainer import FitResult
from trainables.networks.backbones import BackboneSettings
from trainables.networks.imagenet import ImageNetWeights
from trainables.networks.network import NetworkSettings
from trainables.pretext.pretrain import PretextSettings, pretrain
from trainables.registration.network import DLIR
from trainables.registration.propagate import Propagation
from trainables.registration.pseudo_labels import pseudo_labels
from trainables.registration.training import RegistrationSettings, train_registration

ReportCallback = Callable[[int, Mapping[str, float]], None]
"""Called with (epoch, metrics) after each epoch; it may raise to end the run."""


def execute(job: Job, folder: JobFolder, artifacts: ArtifactStore, runtime: Runtime) -> Outcome:
    """Run `job`, or give the outcome it already has.

    Its outcome is on disk before this returns. A run that judged itself failed (it diverged, its input is bad) and a
    bug both give a failed outcome with the reason; only the death of the process and a full disk leave none, and the
    job is then run again.
    """
    done = read_outcome(folder)
    if done is not None:
        return done
    started = time.monotonic()
    write_json(folder.config, job.plain())
    try:
        fitted, metrics = _run(job, folder, artifacts, runtime)
        runtime.flush()
        outcome = Outcome("completed", metrics, len(fitted.history), time.monotonic() - started)
    except (TrainingFailed, UserError) as error:
        outcome = Outcome("failed", {}, 0, time.monotonic() - started, str(error))
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise  # not the job's fault: it goes on from its checkpoint when there is space again
        outcome = _bug(error, folder, time.monotonic() - started)
    except Exception as error:
        outcome = _bug(error, folder, time.monotonic() - started)
    if runtime.rank == 0 or outcome.status == "failed":
        write_json(folder.result, asdict(outcome))
    if outcome.status == "failed" and runtime.world_size > 1:
        raise RuntimeError(outcome.reason)  # the other workers wait in a collective call: let the group be torn down
    if runtime.rank == 0:
        checkpoints(folder).clear()
    return outcome


def _bug(error: Exception, folder: JobFolder, seconds: float) -> Outcome:
    write_text(folder.root / "error.txt", traceback.format_exc())
    reason = f"{type(error).__name__}: {error} (see {folder.root / 'error.txt'})"
    return Outcome("failed", {}, 0, seconds, reason)


def clear_stale_job(job: Job, folder: JobFolder) -> None:
    """Clear the job's folder if it is another configuration's, which the job's cell has given up."""
    if folder.config.exists() and json.loads(folder.config.read_text())["digest"] != job.digest:
        shutil.rmtree(folder.root)


def read_outcome(folder: JobFolder) -> Outcome | None:
    """The outcome on disk, if the job has ended."""
    if not folder.result.exists():
        return None
    return Outcome(**json.loads(folder.result.read_text()))


def checkpoints(folder: JobFolder) -> Checkpoints:
    """The job's checkpoints."""
    return Checkpoints(folder.root)


class MetricsLog:
    """Appends a job's metrics, and what its process takes of the machine, to its folder; passes the metrics on."""

    def __init__(self, folder: JobFolder, then: ReportCallback | None = None) -> None:
        folder.root.mkdir(parents=True, exist_ok=True)
        self._path, self._then = folder.metrics, then
        self._process = psutil.Process()
        self._process.cpu_percent()

    def __call__(self, epoch: int, metrics: Mapping[str, float]) -> None:
        """Record one epoch."""
        line = json.dumps({"epoch": epoch, "time": time.time(), "metrics": {**metrics, **self._system()}})
        with self._path.open("a") as file:
            file.write(line + "\n")
        if self._then is not None:
            self._then(epoch, metrics)

    def _system(self) -> dict[str, float]:
        """The process's share of the machine since the last epoch, by MLflow's names for such things."""
        megabytes = 1e-6
        found = {
            "system/cpu_utilization_percentage": self._process.cpu_percent(),
            "system/system_memory_usage_megabytes": self._process.memory_info().rss * megabytes,
        }
        if torch.cuda.is_available():
            found["system/gpu_0_memory_usage_megabytes"] = torch.cuda.max_memory_allocated() * megabytes
        return found


def _run(job: Job, folder: JobFolder, artifacts: ArtifactStore, runtime: Runtime) -> tuple[FitResult, dict[str, float]]:
    store = FrameStore.open(Path(job.frames))
    if store.fingerprint != job.config["data"]:
        raise UserError(f"{job.frames}: the frames have changed since this job was planned")
    match job.stage:
        case "pretext":
            return _pretext(job, store, artifacts, runtime)
        case "registration":
            return _registration(job, store, artifacts, runtime)
        case "propagation":
            return _propagation(job, store, artifacts, runtime)
        case "downstream":
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
        artifacts.put(job.digest, _about(job, pretrained.fitted), pretrained.weights)
    return pretrained.fitted, dict(pretrained.fitted.metrics)


def _registration(
    job: Job, store: FrameStore, artifacts: ArtifactStore, runtime: Runtime
) -> tuple[FitResult, dict[str, float]]:
    settings = parse(RegistrationSettings, job.config["registration"])
    trained = train_registration(settings, store, runtime, job.config["seed"])
    if runtime.rank == 0:
        artifacts.put(job.digest, _about(job, trained.fitted), trained.state)
    return trained.fitted, dict(trained.fitted.metrics)


def _propagation(
    job: Job, store: FrameStore, artifacts: ArtifactStore, runtime: Runtime
) -> tuple[FitResult, dict[str, float]]:
    assert job.start is not None
    settings, network = parse(Propagation, job.config["propagation"]), parse(DLIR, job.config["network"])
    made = pseudo_labels(settings, network, artifacts.weights(job.start), store, runtime.device)
    metrics = {"frames": float(len(made.labels.rows)), **quality_metrics(made.quality, store)}
    fitted = FitResult(metrics, 1, [metrics])
    arrays = {"rows": made.labels.rows, "masks": made.labels.masks}
    tables = {"quality": quality_table(made.quality, store)} if made.quality else {}
    runtime.report(1, metrics)
    artifacts.put(job.digest, _about(job, fitted), arrays=arrays, tables=tables)
    return fitted, metrics


def _about(job: Job, fitted: FitResult) -> dict[str, Any]:
    return {"stage": job.stage, "config": job.config, "metrics": fitted.metrics, "job": job.id}


def _downstream(
    job: Job, store: FrameStore, folder: JobFolder, artifacts: ArtifactStore, runtime: Runtime
) -> tuple[FitResult, dict[str, float]]:
    settings = parse(DownstreamSettings, job.config["downstream"])
    network = parse(NetworkSettings, job.config["network"])
    dense = None
    if job.labels is not None:
        dense = DenseLabels(artifacts.array(job.labels, "rows"), artifacts.array(job.labels, "masks"))
    seed, test, scratch = job.config["seed"], job.config["test"], folder.root / "nnunet"
    start = _start(job, artifacts)
    whole = bool(job.config.get("sequences", False))
    result = finetune(
        settings, network, start, store, runtime, seed, test=test, sequences=whole, dense=dense, scratch=scratch
    )
    metrics = {**result.fitted.metrics, "labelled_subjects": float(result.subjects)}
    if result.val is not None:
        metrics["val/smoothness"] = mean_smoothness(result.val, store)
    if result.test is not None and runtime.rank == 0:
        metrics |= save_test_results(result.test, store, folder)
        artifacts.put(job.digest, _about(job, result.fitted), result.state)
    return result.fitted, metrics


def _start(job: Job, artifacts: ArtifactStore) -> PretrainedWeights:
    if job.start is not None:
        return artifacts.weights(job.start)
    start: Any = parse(Start, job.config["start"])
    return ImageNetWeights(start.weights, start.download) if isinstance(start, ImageNetStart) else None
