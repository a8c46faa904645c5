"""One worker of a group, with a fake Ray Train context and no process group."""

from dataclasses import asdict
from types import SimpleNamespace
from unittest.mock import create_autospec

import pytest
import ray.train.torch
import torch
import torch.distributed as dist
from job_fakes import make_job

from study.execution import workers
from study.execution.execute import read_outcome
from study.execution.workers import TrainWorker, execute_with_workers
from study.planning.jobs import Outcome, ResourceRequest
from study.storage.artifacts import ArtifactStore
from study.storage.remote import JobPaths, LocalIO
from study.storage.workspace import JobFolder


class CountedIO(LocalIO):
    save_every = 0.0

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.calls = []

    def on_checkpoint(self):
        self.calls.append("checkpoint")

    def on_report(self):
        self.calls.append("report")


@pytest.fixture(params=[0, 1], ids=["rank 0", "rank 1"])
def worker(request, monkeypatch, tmp_path):
    context = create_autospec(ray.train.TrainContext, instance=True)
    context.get_world_rank.return_value, context.get_world_size.return_value = request.param, 2
    report = create_autospec(ray.train.report)
    device = create_autospec(ray.train.torch.get_device, return_value=torch.device("cpu"))
    monkeypatch.setattr(ray.train, "get_context", create_autospec(ray.train.get_context, return_value=context))
    monkeypatch.setattr(ray.train, "report", report)
    monkeypatch.setattr(ray.train.torch, "get_device", device)
    io = CountedIO(make_job(), JobFolder(tmp_path / "job"), ArtifactStore(tmp_path / "artifacts"))
    return TrainWorker(io), report, io


def test_only_rank_0_saves_and_all_ranks_load(worker):
    runtime, _, io = worker
    runtime.save(lambda: {"epoch": 3})
    runtime.flush()
    saved = runtime.rank == 0
    assert io.calls == ["checkpoint"] * saved
    assert (runtime.load() is not None) == saved


def test_every_rank_reports_and_rank_0_logs(worker):
    runtime, report, io = worker
    runtime.report(1, {"loss": 0.5})
    report.assert_called_once_with({"epoch": 1, "loss": 0.5})
    assert io.calls == ["report"] * (runtime.rank == 0)
    assert io.folder.metrics.exists() == (runtime.rank == 0)


def test_a_mean_is_over_the_workers(worker, monkeypatch):
    runtime, *_ = worker
    doubled = create_autospec(dist.all_reduce, side_effect=lambda values: values.mul_(2))
    monkeypatch.setattr(dist, "all_reduce", doubled)
    assert runtime.mean(torch.tensor([3.0])).item() == 3.0


def test_values_of_rank_0_are_broadcast(worker, monkeypatch):
    runtime, *_ = worker
    sent = create_autospec(dist.broadcast, side_effect=lambda values, source: values.fill_(7.0 + source))
    monkeypatch.setattr(dist, "broadcast", sent)
    assert runtime.broadcast(torch.tensor([3.0])).item() == 7.0


@pytest.mark.parametrize(("gpus", "backend"), [(0, "gloo"), (1, "nccl")])
def test_a_group_has_the_jobs_workers_and_backend(monkeypatch, tmp_path, gpus, backend):
    trainer = create_autospec(workers.TorchTrainer)
    monkeypatch.setattr(workers, "TorchTrainer", trainer)
    monkeypatch.setattr(workers, "TuneReportCallback", create_autospec(workers.TuneReportCallback))
    job = make_job(resources=ResourceRequest(workers=2, cpus=3, gpus=gpus))
    paths = JobPaths("study", str(tmp_path / "jobs"), str(tmp_path / "artifacts"), None)
    execute_with_workers(job, paths, tmp_path / "ray")
    options = trainer.call_args.kwargs
    scaling = options["scaling_config"]
    assert (scaling.num_workers, scaling.use_gpu) == (2, gpus > 0)
    assert scaling.resources_per_worker == {"CPU": 3} | ({"GPU": 1} if gpus else {})
    assert options["torch_config"].backend == backend
    assert options["run_config"].name == job.id
    trainer.return_value.fit.assert_called_once_with()


@pytest.fixture
def group(monkeypatch, tmp_path):
    """A worker of a group whose other worker, on a node of its own, finds `other` in its folder."""
    other = []
    job = make_job(resources=ResourceRequest(workers=2))
    io = create_autospec(LocalIO, instance=True, job=job, folder=JobFolder(tmp_path / "job"), artifacts=None)
    monkeypatch.setattr(JobPaths, "job_io", create_autospec(JobPaths.job_io, return_value=io))
    monkeypatch.setattr(workers, "TrainWorker", lambda io: SimpleNamespace(rank=0))
    monkeypatch.setattr(dist, "get_world_size", lambda: 2)

    def gather(found, own):
        found[:] = [own, *(other or [None])]

    monkeypatch.setattr(dist, "all_gather_object", gather)
    paths = JobPaths("study", str(tmp_path), str(tmp_path), "s3://bucket")
    return SimpleNamespace(io=io, other=other, config={"job": job.plain(), "paths": asdict(paths), "plugins": []})


def test_a_worker_group_that_fails_leaves_its_reason_in_the_store(group, monkeypatch):
    failing = create_autospec(workers.execute, side_effect=RuntimeError("it diverged"))
    monkeypatch.setattr(workers, "execute", failing)
    with pytest.raises(RuntimeError, match="it diverged"):
        workers._run_worker(group.config)
    group.io.on_failure.assert_called_once_with()
    group.io.on_end.assert_not_called()


@pytest.mark.parametrize("known", [True, False])
def test_workers_agree_on_whether_the_job_has_ended(group, monkeypatch, known):
    outcome = Outcome("failed", {}, 0, 1.0, "it diverged")
    if known:
        group.other.append(asdict(outcome))
    found = []
    monkeypatch.setattr(workers, "execute", lambda job, folder, *_: found.append(read_outcome(folder)))
    workers._run_worker(group.config)
    assert found == [outcome if known else None]
    group.io.on_end.assert_called_once_with()
