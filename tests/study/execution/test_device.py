"""Device of a job in its process, with a fake torch.cuda."""

import gc
import os
import platform
from types import SimpleNamespace
from unittest.mock import create_autospec

import psutil
import pytest
import torch
from job_fakes import make_job

from study.execution import trial, workers
from study.execution.device import claim_device, release_memory, trim_heap
from study.execution.execute import execute
from study.planning.jobs import ResourceRequest
from study.planning.machine import ALLOCATABLE
from study.storage.remote import JobPaths
from trainables.engine.runtime import LocalRuntime

GPU = torch.device("cuda", 0)


@pytest.fixture
def cuda(monkeypatch):
    """Calls of torch.cuda on a machine with GPUs, in order."""
    calls = []
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    for name in ("set_device", "set_per_process_memory_fraction", "empty_cache", "reset_peak_memory_stats"):
        monkeypatch.setattr(torch.cuda, name, lambda *arguments, name=name: calls.append((name, *arguments)))
    return calls


def job_with(gpus: float, workers: int = 1):
    return make_job(resources=ResourceRequest(workers=workers, gpus=gpus))


@pytest.mark.parametrize(("gpus", "device", "visible"), [(0, "cpu", ""), (1, "cuda:0", "0,1")])
def test_a_trial_sees_the_gpus_that_its_job_asked_for(monkeypatch, tmp_path, cuda, gpus, device, visible):
    ran = create_autospec(execute)
    monkeypatch.setattr(trial, "execute", ran)
    paths = JobPaths("study", str(tmp_path / "jobs"), str(tmp_path / "artifacts"), None)
    trial.run_trial(trial.trial_config(job_with(gpus), paths))
    runtime = ran.call_args.args[3]
    assert isinstance(runtime, LocalRuntime)
    assert runtime.device == torch.device(device)
    assert os.environ["CUDA_VISIBLE_DEVICES"] == visible


@pytest.mark.parametrize(("gpus", "visible"), [(0, ""), (1, "0,1")])
def test_a_worker_of_a_group_without_gpus_sees_none(monkeypatch, tmp_path, cuda, gpus, visible):
    monkeypatch.setattr(workers, "execute", create_autospec(execute))
    monkeypatch.setattr(workers, "share_outcome", create_autospec(workers.share_outcome))
    monkeypatch.setattr(workers, "TrainWorker", lambda io: SimpleNamespace(rank=1))
    paths = JobPaths("study", str(tmp_path / "jobs"), str(tmp_path / "artifacts"), None)
    config = {"job": job_with(gpus, 2).plain(), "paths": vars(paths), "plugins": []}
    workers._run_worker(config)
    assert os.environ["CUDA_VISIBLE_DEVICES"] == visible


@pytest.mark.parametrize(("gpus", "fraction"), [(1, 1.0), (0.5, 0.5 * ALLOCATABLE)])
def test_a_job_that_shares_a_gpu_may_allocate_its_share(cuda, gpus, fraction):
    assert claim_device(gpus) == GPU
    assert cuda == [("set_device", GPU), ("set_per_process_memory_fraction", fraction, GPU)]


def test_a_gpu_that_torch_does_not_find_is_an_error(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(RuntimeError, match=r"torch finds no GPU, although Ray gave the job one\. Fix: "):
        claim_device(1)


def test_memory_is_released_after_the_garbage_is_collected(monkeypatch, cuda):
    for name in ("collect", "freeze"):
        monkeypatch.setattr(gc, name, lambda name=name: cuda.append((name,)))
    release_memory(GPU)
    assert cuda == [("collect",), ("freeze",), ("empty_cache",), ("reset_peak_memory_stats", GPU)]
    release_memory(torch.device("cpu"))
    assert cuda[4:] == [("collect",), ("freeze",)]


def test_a_gpu_that_has_failed_keeps_its_own_error(monkeypatch, cuda):
    def fail():
        raise torch.AcceleratorError("CUDA error: an illegal memory access was encountered")

    monkeypatch.setattr(torch.cuda, "empty_cache", fail)
    release_memory(GPU)
    assert cuda == []


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries have no malloc_trim")
def test_freed_memory_goes_back_to_the_system():
    process = psutil.Process()
    before = process.memory_info().rss
    blocks = [bytearray(4000) for _ in range(50_000)]
    last = blocks.pop()  # at the end of the heap, which glibc would shrink by itself
    held = process.memory_info().rss - before
    del blocks
    trim_heap()
    assert len(last) == 4000
    assert held > 180e6
    assert process.memory_info().rss - before < 0.2 * held
