"""Precision of the forward pass on GPUs, with a fake torch.cuda, and of worker groups."""

import pytest
import torch

from trainables.engine.precision import autocast_dtype, group_precision
from trainables.engine.runtime import LocalRuntime

CPU, GPU = torch.device("cpu"), torch.device("cuda", 0)


@pytest.mark.parametrize(
    ("capability", "expected"),
    [((7, 0), torch.float32), ((7, 5), torch.float32), ((8, 0), torch.bfloat16), ((9, 0), torch.bfloat16)],
    ids=["V100", "T4", "A100", "H100"],
)
def test_auto_is_bf16_where_the_gpu_computes_it_natively(monkeypatch, capability, expected):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: including_emulation)
    assert autocast_dtype("auto", GPU) is expected
    assert autocast_dtype("float32", GPU) is torch.float32


class Group(LocalRuntime):
    """One of two workers, of which the other has bf16 or not."""

    world_size = 2

    def __init__(self, other: bool) -> None:
        super().__init__(device=CPU)
        self.other = float(other)

    def mean(self, values: torch.Tensor) -> torch.Tensor:
        return (values + self.other) / 2


@pytest.mark.parametrize("own", [True, False])
@pytest.mark.parametrize("other", [True, False])
def test_workers_train_in_one_precision(monkeypatch, own, other):
    monkeypatch.setattr("trainables.engine.precision.cpu_has_bf16", lambda: own)
    assert group_precision("auto", Group(other)) == ("bf16" if own and other else "float32")
    assert group_precision("fp16", Group(other)) == "fp16"
    assert group_precision("auto", LocalRuntime(device=CPU)) == "auto"
