"""Compiled networks: equal training on a CPU, by a compiler that keeps torch's operations."""

from __future__ import annotations

import logging
from collections import Counter
from pathlib import Path

import pytest
import torch
from torch import nn
from torch._dynamo.utils import counters
from toys import toy_store

from trainables.augment.policy import Policy
from trainables.data.sampling.batches import Batches
from trainables.downstream.losses import DiceCrossEntropy
from trainables.downstream.segmentation import Segmentation
from trainables.engine import compilation
from trainables.engine.compilation import compile_networks, networks, reason_against
from trainables.engine.optim.optimizers import SGD
from trainables.engine.runtime import LocalRuntime
from trainables.engine.settings import FitResult, FitSettings
from trainables.engine.task import Task
from trainables.engine.trainer import fit
from trainables.networks import UNet, UNetEncoder
from trainables.pretext.byol import BYOL
from trainables.pretext.simclr import SimCLR

STORE = toy_store(48, size=16)
ENCODER = UNetEncoder(width=4, depth=2)
TASKS = {
    "segmentation": lambda: Segmentation(UNet(ENCODER).build(1, 2), DiceCrossEntropy(), Policy(), STORE),
    "simclr": lambda: SimCLR(projection=8).build(ENCODER.build(1), Policy(), STORE),
    "byol": lambda: BYOL(hidden=8, projection=8).build(ENCODER.build(1), Policy(), STORE),
}


class Killed(Exception):
    """End of a run that another one resumes."""


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Compile on CPUs, too, forward and backward pass, without generating code; return the compiler's statistics."""
    torch.compiler.reset()
    monkeypatch.setattr(compilation, "reason_against", lambda device, workers: None)
    monkeypatch.setattr(compilation, "BACKEND", "aot_eager")
    stats: Counter[str] = counters["stats"]
    stats.clear()
    return stats


def trained(name: str, folder: Path | None = None, on_report=None, **settings: object) -> tuple[FitResult, Task]:
    torch.manual_seed(0)
    task = TASKS[name]()
    batches = Batches(STORE, STORE.rows("train"), 8, masks=name == "segmentation")
    val = Batches(STORE, STORE.rows("val"), 8, masks=True, shuffle=False)
    fitting = FitSettings(3, 8, SGD(lr=0.05), precision="float32", **settings)
    return fit(task, batches, val, fitting, LocalRuntime(folder, on_report, save_every=0), 0), task


@pytest.mark.parametrize("name", TASKS)
def test_compiled_networks_train_to_equal_losses_and_weights(compiled, name):
    (plain, task), (result, other) = trained(name), trained(name, compile="auto")
    assert compiled["unique_graphs"] >= 2  # training and evaluation
    assert not counters["graph_break"]
    assert [row["loss"] for row in result.history] == pytest.approx([row["loss"] for row in plain.history], rel=1e-5)
    assert other.state_dict().keys() == task.state_dict().keys()
    for key, value in task.state_dict().items():
        torch.testing.assert_close(other.state_dict()[key], value, rtol=1e-4, atol=1e-5, msg=key)


def test_evaluation_of_a_copy_is_compiled_and_equal(compiled):
    plain, _ = trained("segmentation", overlap_evaluation=True)
    result, _ = trained("segmentation", overlap_evaluation=True, compile="auto")
    assert [row["val/dice"] for row in result.history] == pytest.approx([row["val/dice"] for row in plain.history])


@pytest.mark.usefixtures("compiled")
def test_a_killed_run_goes_on_with_or_without_compilation(monkeypatch, tmp_path):
    monkeypatch.setattr(compilation, "BACKEND", "eager")  # takes less time than a gradient of its own

    def kill(epoch: int, metrics: object) -> None:
        if epoch == 2:
            raise Killed

    whole, _ = trained("segmentation")
    for first, second in (("off", "auto"), ("auto", "off")):
        folder = tmp_path / f"{first}-{second}"
        with pytest.raises(Killed):
            trained("segmentation", folder, kill, compile=first)
        resumed, _ = trained("segmentation", folder, compile=second)
        losses = [row["loss"] for row in resumed.history]
        assert losses == pytest.approx([row["loss"] for row in whole.history], rel=1e-5)


def test_networks_are_the_outermost_ones():
    assert list(networks(TASKS["segmentation"]())) == ["network"]
    assert list(networks(TASKS["simclr"]())) == ["backbone"]
    assert list(networks(TASKS["byol"]())) == ["backbone", "target.0"]
    assert networks(nn.Linear(1, 1)) == {}


def test_automatic_means_off_on_a_cpu_and_says_so(caplog):
    with caplog.at_level(logging.INFO):
        assert compile_networks(TASKS["simclr"](), torch.device("cpu")) == []
    assert "not compiled, as it is not on a GPU" in caplog.text


def test_reasons_against_compilation_on_a_gpu(monkeypatch):
    gpu = torch.device("cuda", 0)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: name)
    monkeypatch.setattr("shutil.which", lambda name: f"/bin/{name}")
    assert reason_against(gpu) is None
    assert "between workers" in str(reason_against(gpu, workers=2))
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setattr("shutil.which", lambda name: None)
    assert "C compiler" in str(reason_against(gpu))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert "triton is missing" in str(reason_against(gpu))


@pytest.mark.parametrize("settings", [{"micro_batch": 4}, {"recompute": True}], ids=str)
def test_settings_that_change_batch_norm_at_every_step_are_refused(settings):
    with pytest.raises(ValueError, match=r"compile is auto, but .* Fix: set compile to off"):
        FitSettings(compile="auto", **settings)
