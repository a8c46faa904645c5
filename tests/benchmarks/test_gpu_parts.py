"""Parts of the GPU benchmark and checks on a new GPU, with tiny sizes on the CPU, and with planted faults."""

from __future__ import annotations

import argparse
import gc
import math
import weakref

import pytest
import torch

from benchmarks import gpu, gpu_checks, gpu_steps, gpu_tasks
from benchmarks.gpu_sizes import sizes_on
from benchmarks.gpu_steps import Steps, compile_steps
from benchmarks.timed_parts import PartFailed, PartSkipped
from trainables.engine import compilation

OPTIONS = argparse.Namespace(device="cpu", peak=1.0, traces=None)
CPU = sizes_on("cpu")


@pytest.mark.parametrize("name", ["product", "loading", "loop"])
def test_a_part_returns_its_figures(name):
    (part,) = (each for each in gpu.PARTS if each.name == name)
    found = part.run(OPTIONS)
    assert found
    assert all(value > 0 for value in found.values())


def test_speed_checks_the_loss_and_counts_waits():
    found = gpu.speed("DeepLabV3", OPTIONS)
    assert found["images_per_second"] > 0
    assert found["waits"] == 0
    assert found["tflops"] == pytest.approx(found["share_of_peak"])
    assert found["loss"] == pytest.approx(found["loss_float32"], rel=0.05)


def test_a_wrong_loss_is_a_failed_part(monkeypatch):
    steps = Steps("DeepLabV3", CPU)
    losses = iter([1.0, 2.0])
    monkeypatch.setattr(steps, "loss", lambda dtype: torch.tensor(next(losses)))
    with pytest.raises(PartFailed, match=r"expected 1\.0 as in float32"):
        steps.check()


def test_a_compiled_row_is_compiled_though_its_operations_were_counted(monkeypatch):
    monkeypatch.setattr(gpu_steps, "reason_against", lambda device: None)
    monkeypatch.setattr(compilation, "reason_against", lambda device, workers: None)
    monkeypatch.setattr(compilation, "BACKEND", "eager")
    steps = Steps("DeepLabV3", CPU)
    assert steps.flops() > 0
    assert compile_steps(steps) > 0
    monkeypatch.setattr(gpu_steps, "compile_networks", lambda task, device: [])
    with pytest.raises(PartFailed, match="compiled nothing"):
        compile_steps(Steps("DeepLabV3", CPU))


def test_compilation_is_skipped_where_it_does_not_pay():
    with pytest.raises(PartSkipped, match="not on a GPU"):
        gpu.speed("DeepLabV3", OPTIONS, compiled=True)


def test_a_network_is_gone_before_the_next_larger_batch_is_tried(monkeypatch):
    alive: list[weakref.ref[torch.nn.Module]] = []

    def build(name, scale, count):
        gc.collect()
        assert not any(each() for each in alive)
        task, batches = gpu_steps.build_task(name, scale, count)
        alive.append(weakref.ref(task))
        return task, batches

    def fit(task, batches, val, settings, runtime, seed):
        if settings.batch_size > 8:
            raise torch.OutOfMemoryError

    monkeypatch.setattr(gpu, "build_task", build)
    monkeypatch.setattr(gpu, "fit", fit)
    assert gpu.largest_batch(CPU, {}) == 8
    assert len(alive) == 2
    assert not any(each() for each in alive)


def test_concurrent_trials_wait_for_each_other(monkeypatch):
    order: list[str] = []

    class Barrier:
        def wait(self):
            order.append("wait")

    monkeypatch.setattr(gpu, "fit", lambda *_: order.append("fit"))
    monkeypatch.setattr(torch, "set_num_threads", lambda count: None)
    images = [0.0]
    gpu.small_trial(0, CPU, images, Barrier())
    assert order[:3] == ["fit", "wait", "fit"]
    assert images[0] > 0


def test_waits_are_a_failure(monkeypatch):
    monkeypatch.setattr(gpu_checks, "TASKS", ("segmentation",))
    assert gpu_checks.waits(OPTIONS) == {"segmentation": 0}
    monkeypatch.setattr(gpu_checks, "waits_of", lambda work, device: ["a synchronizing operation"])
    with pytest.raises(PartFailed, match="segmentation: 1 waits, such as: a synchronizing operation"):
        gpu_checks.waits(OPTIONS)


@pytest.mark.parametrize("change", [0.0, 1.0])
def test_gradients_that_differ_from_the_cpus_are_a_failure(monkeypatch, change):
    calls = []

    def gradients(name, device):
        loss, found = gpu_tasks.gradients(name, device)
        calls.append(device)
        first = next(iter(found))
        return loss, found | {first: found[first] * (1 + change * (len(calls) - 1))}

    monkeypatch.setattr(gpu_checks, "TASKS", ("simclr",))
    monkeypatch.setattr(gpu_checks, "gradients", gradients)
    if change:
        with pytest.raises(PartFailed, match="simclr: loss off by 0"):
            gpu_checks.agreement(OPTIONS)
    else:
        assert gpu_checks.agreement(OPTIONS) == {"simclr": {"loss": 0.0, "gradient": 0.0}}


@pytest.mark.parametrize("name", gpu_tasks.TASKS)
def test_every_task_has_a_loss_and_gradients(name):
    loss, found = gpu_tasks.gradients(name, torch.device("cpu"))
    assert math.isfinite(loss)
    assert any(value.abs().max() > 0 for value in found.values())
