"""Execution of jobs in this process: outcomes on disk, artifacts, and how failures end."""

import contextlib
import dataclasses
import errno
import json
import shutil
import socket
from pathlib import Path
from unittest.mock import create_autospec

import pytest
import torch
from toys import toy_store
from whole_studies import TINY

from study.config.definition import load_study
from study.execution import execute as execution
from study.execution.errors import GpuFailed, SharedGpuFull
from study.execution.execute import clear_stale_job, execute, read_outcome
from study.planning.datasets import Dataset
from study.planning.jobs import Job, Outcome, ResourceRequest
from study.planning.plan import Plan
from study.stages import STAGES
from study.stages.stage import Artifact, Stage, StageResult
from study.storage.artifacts import ArtifactStore
from study.storage.workspace import JobFolder
from trainables.common.errors import TrainingFailed, UserError
from trainables.common.learning import Learning, PretrainingFailed
from trainables.data.store.frames import FrameStore
from trainables.data.store.prepare import prepare
from trainables.engine.checkpoint import Checkpoints
from trainables.engine.runtime import LocalRuntime, Runtime

SETS = [
    "factors.pretext.method=[local_contrastive]",
    "factors.downstream.label_fraction=[1.0]",
    "pretext.init_from.method=global_contrastive",
    "pretext.init_from.fit={epochs: 1, batch_size: 4, precision: float32}",
    "pretext.fit={epochs: 1, batch_size: 4, precision: float32}",
    "network={name: unet, backbone: {width: 4, depth: 2}}",
    "downstream.fit={epochs: 1, precision: float32}",
    "data.phantom={subjects: 10}",
]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory) -> Dataset:
    folder = tmp_path_factory.mktemp("data")
    store = prepare(load_study(str(TINY), sets=SETS).spec.data, None, folder, b"key", workers=1)
    return Dataset(str(store.folder), store.fingerprint)


def test_a_chain_of_stages_hands_its_weights_on(tmp_path, dataset):
    plan = Plan(load_study(str(TINY), sets=SETS), lambda settings: dataset)
    cell, artifacts = plan.cells[0].key, ArtifactStore(tmp_path / "artifacts")
    jobs = [*plan.shared_jobs(cell, {}), plan.replicate(cell, 0, {})]
    for job in jobs:
        outcome = execute(job, JobFolder(Path(tmp_path / job.id)), artifacts, LocalRuntime())
        assert outcome.status == "completed", outcome.reason
        assert read_outcome(JobFolder(Path(tmp_path / job.id))).host == outcome.host == socket.gethostname()
        assert (outcome.learning is None) == (job.stage != "pretext")
    encoder, network, trained = (artifacts.weights(job.digest) for job in jobs)
    assert {name.partition(".")[0] for name in encoder} == {"backbone"}
    assert {name.partition(".")[0] for name in network} == {"backbone", "decoder"}
    assert all(torch.equal(network[name], value) for name, value in encoder.items())
    assert trained.keys() - network.keys() == {"head.weight", "head.bias"}


def test_a_job_does_not_read_frames_that_have_changed_on_the_disk(tmp_path, dataset):
    copied = tmp_path / "frames"
    shutil.copytree(dataset.folder, copied)
    images = copied / "images.npy"
    content = bytearray(images.read_bytes())
    content[6000:11000] = bytes(255 - value for value in content[6000:11000])
    images.write_bytes(content)
    damaged = Dataset(str(copied), dataset.fingerprint)
    plan = Plan(load_study(str(TINY), sets=SETS), lambda settings: damaged)
    job = plan.shared_jobs(plan.cells[0].key, {})[0]
    outcome = execute(job, JobFolder(tmp_path / job.id), ArtifactStore(tmp_path / "artifacts"), LocalRuntime())
    assert outcome.status == "failed"
    assert f"{copied}: the stored frames have changed since they were written" in outcome.reason


LEARNED = Learning("learned", "matched views 80.0% (chance 0.8%)", skill=0.9)
HOPELESS = Learning("collapsed", "effective rank 1", "lower the learning rate", 0.0)


JOB = Job("a-0", "trial", "fake", "a", {}, 0, {}, {"data": "toy"}, "d" * 64, {}, "frames", 3, ResourceRequest())
DONE = StageResult({"val/dice": 0.5}, 3, Artifact({"weight": torch.ones(2)}, metrics={"val/dice": 0.5}))


@pytest.fixture
def stage(monkeypatch):
    """A registered stage whose run is a fake, and frames that need no files."""
    fake = create_autospec(Stage, instance=True)
    fake.run.return_value = DONE
    monkeypatch.setitem(STAGES._entries, "fake", fake)
    monkeypatch.setattr(FrameStore, "open", create_autospec(FrameStore.open, return_value=toy_store()))
    return fake


class OtherRank(LocalRuntime):
    """The second of two workers."""

    rank, world_size = 1, 2


def run(folder: Path, job: Job = JOB, runtime: Runtime | None = None) -> Outcome:
    (folder / "job").mkdir(exist_ok=True)
    return execute(job, JobFolder(folder / "job"), ArtifactStore(folder / "artifacts"), runtime or LocalRuntime())


def test_a_completed_job_leaves_its_outcome_and_its_artifact_and_no_checkpoint(tmp_path, stage):
    (tmp_path / "job").mkdir()
    Checkpoints(tmp_path / "job").save({"epoch": 1})
    outcome = run(tmp_path)
    folder, artifacts = JobFolder(tmp_path / "job"), ArtifactStore(tmp_path / "artifacts")
    assert (outcome.status, outcome.metrics, outcome.epochs) == ("completed", {"val/dice": 0.5}, 3)
    assert read_outcome(folder) == outcome
    assert Job.from_plain(json.loads(folder.config.read_text())) == JOB
    about = artifacts.about(JOB.digest)
    assert (about["stage"], about["job"], about["metrics"]) == ("fake", "a-0", {"val/dice": 0.5})
    assert torch.equal(artifacts.weights(JOB.digest)["weight"], torch.ones(2))
    assert not list((tmp_path / "job").glob("checkpoint*"))


def test_the_verdict_on_a_pretraining_is_in_its_outcome_and_artifact(tmp_path, stage):
    stage.run.return_value = dataclasses.replace(DONE, learning=LEARNED)
    outcome = run(tmp_path)
    assert (outcome.learning, read_outcome(JobFolder(tmp_path / "job"))) == (LEARNED, outcome)
    about = ArtifactStore(tmp_path / "artifacts").about(JOB.digest)
    assert Learning(**about["learning"]) == LEARNED


def test_a_pretraining_that_stops_itself_fails_with_its_verdict_and_is_not_tried_again(tmp_path, stage):
    stage.run.side_effect = PretrainingFailed(HOPELESS)
    outcome = run(tmp_path)
    assert (outcome.status, outcome.learning) == ("failed", HOPELESS)
    assert outcome.reason == "collapsed: effective rank 1. Fix: lower the learning rate"
    assert run(tmp_path) == outcome
    assert stage.run.call_count == 1


@pytest.mark.parametrize("error", [None, TrainingFailed("it diverged"), torch.AcceleratorError("CUDA error: lost")])
def test_memory_is_released_however_a_job_ends(tmp_path, stage, monkeypatch, error):
    released = []
    monkeypatch.setattr(execution, "release_memory", released.append)
    stage.run.side_effect = error
    with contextlib.suppress(GpuFailed):
        run(tmp_path)
    assert released == [LocalRuntime().device]


def test_a_job_that_has_an_outcome_is_not_run_again(tmp_path, stage):
    first = run(tmp_path)
    assert run(tmp_path) == first
    assert stage.run.call_count == 1


@pytest.mark.parametrize("error", [TrainingFailed("it diverged"), UserError("bad input")])
def test_a_run_that_cannot_succeed_fails_with_its_reason(tmp_path, stage, error):
    stage.run.side_effect = error
    outcome = run(tmp_path)
    assert (outcome.status, outcome.reason, outcome.metrics) == ("failed", str(error), {})
    assert read_outcome(JobFolder(tmp_path / "job")) == outcome
    assert not (tmp_path / "job" / "error.txt").exists()
    assert not (tmp_path / "artifacts").exists()


@pytest.mark.parametrize("error", [ZeroDivisionError("division by zero"), OSError(errno.EIO, "broken disk")])
def test_an_internal_error_leaves_its_traceback(tmp_path, stage, error):
    stage.run.side_effect = error
    outcome = run(tmp_path)
    path = tmp_path / "job" / "error.txt"
    assert outcome.reason == f"{type(error).__name__}: {error} (see {path})"
    assert path.read_text().startswith("Traceback")


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_ends_the_process_without_an_outcome(tmp_path, stage, number):
    stage.run.side_effect = OSError(number, "no space")
    with pytest.raises(OSError, match="no space"):
        run(tmp_path)
    assert read_outcome(JobFolder(tmp_path / "job")) is None


ASSERT = "CUDA error: device-side assert triggered\nCUDA kernel errors might be reported later"


def hidden(error: Exception) -> Exception:
    """Another error, raised while the first one was handled."""
    later = UserError("nothing to join")
    later.__context__ = error
    return later


@pytest.mark.parametrize(
    "error",
    [
        torch.AcceleratorError(ASSERT),
        RuntimeError("CUDA error: CUBLAS_STATUS_EXECUTION_FAILED when calling cublasSgemm"),
        RuntimeError("cuDNN error: CUDNN_STATUS_INTERNAL_ERROR"),
        hidden(torch.AcceleratorError(ASSERT)),
    ],
    ids=["accelerator", "cublas", "cudnn", "hidden"],
)
def test_a_gpu_that_fails_ends_the_process_without_an_outcome(tmp_path, stage, error):
    stage.run.side_effect = error
    with pytest.raises(GpuFailed, match=r"^the GPU failed: (CUDA|cuDNN) error: [^\n]*$"):
        run(tmp_path)
    assert read_outcome(JobFolder(tmp_path / "job")) is None


GPU_MEMORY = [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has"),
    torch.AcceleratorError("CUDA error: out of memory\nmore"),
    RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
]


@pytest.mark.parametrize("error", GPU_MEMORY, ids=["torch", "cuda", "cublas"])
def test_a_job_that_fills_a_shared_gpu_has_no_outcome_and_alone_it_fails(tmp_path, stage, error):
    stage.run.side_effect = error
    with pytest.raises(SharedGpuFull, match="out of memory on a shared GPU"):
        run(tmp_path, dataclasses.replace(JOB, resources=ResourceRequest(gpus=0.5)))
    assert read_outcome(JobFolder(tmp_path / "job")) is None
    outcome = run(tmp_path, dataclasses.replace(JOB, resources=ResourceRequest(gpus=1)))
    assert outcome.status == "failed"
    assert outcome.reason is not None
    assert outcome.reason.startswith("out of memory (CUDA")


def test_memory_of_the_node_is_no_reason_for_another_gpu(tmp_path, stage):
    stage.run.side_effect = RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: 99 bytes")
    outcome = run(tmp_path, dataclasses.replace(JOB, resources=ResourceRequest(gpus=0.5)))
    assert outcome.reason is not None
    assert outcome.reason.startswith("out of memory ([enforce fail]")


def test_only_the_first_worker_stores_the_artifact_and_the_outcome(tmp_path, stage):
    outcome = run(tmp_path, runtime=OtherRank())
    assert outcome.status == "completed"
    assert read_outcome(JobFolder(tmp_path / "job")) is None
    assert not (tmp_path / "artifacts").exists()


def test_any_worker_that_fails_stops_its_group(tmp_path, stage):
    stage.run.side_effect = TrainingFailed("it diverged")
    with pytest.raises(RuntimeError, match="it diverged"):
        run(tmp_path, runtime=OtherRank())
    failed = read_outcome(JobFolder(tmp_path / "job"))
    assert failed is not None
    assert failed.reason == "it diverged"


def test_frames_that_have_changed_since_planning_are_refused(tmp_path, stage):
    outcome = run(tmp_path, dataclasses.replace(JOB, config={"data": "other"}))
    assert outcome.status == "failed"
    assert outcome.reason is not None
    assert "the frames have changed since the job was planned (found fingerprint toy, expected other)" in outcome.reason
    assert not stage.run.called


def test_a_folder_of_another_configuration_is_cleared_and_its_job_is_run(tmp_path, stage):
    folder = JobFolder(tmp_path / "job")
    run(tmp_path)
    clear_stale_job(JOB, folder)
    assert folder.result.exists()
    clear_stale_job(dataclasses.replace(JOB, digest="e" * 64), folder)
    assert not folder.root.exists()
