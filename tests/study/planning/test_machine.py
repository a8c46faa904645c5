"""Devices that measurements use, with a fake torch.cuda."""

import pytest
import torch

from study.planning.calibration import device_name
from study.planning.machine import free_on, measuring_device

CPU, GPU = torch.device("cpu"), torch.device("cuda", 0)


@pytest.mark.parametrize(
    ("available", "gpus", "device"), [(True, 0, CPU), (True, 1, GPU), (True, 0.25, GPU), (False, 1, CPU)]
)
def test_a_job_is_measured_on_the_device_that_it_asks_for(monkeypatch, available, gpus, device):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: available)
    assert measuring_device(gpus) == device


def test_free_memory_and_name_are_those_of_the_device(monkeypatch):
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (30 * 10**9, 80 * 10**9))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: f"GPU {device.index}")
    assert (free_on(CPU, 7.0), free_on(GPU, 7.0)) == (7.0, 30.0)
    assert (device_name(CPU), device_name(GPU)) == ("one CPU core", "GPU 0")
