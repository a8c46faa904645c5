"""The cost of a training run, and what its rate depends on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from study.planning.calibration import Calibration
from study.planning.jobs import ResourceRequest
from study.stages.workload import Workload, samples_of, training_workload
from trainables.engine.runtime import Runtime
from trainables.engine.trainer import FitSettings


@pytest.mark.parametrize(
    ("settings", "val", "expected"),
    [
        ({"epochs": 4}, 0.0, 400.0),
        ({"epochs": 4}, 30.0, 4 * 100 + 4 * 10),
        ({"epochs": 5, "evaluate_every": 2}, 30.0, 5 * 100 + 3 * 10),
        ({"epochs": 4, "steps_per_epoch": 7, "batch_size": 8}, 0.0, 4 * 7 * 8),
    ],
)
def test_samples_are_those_of_all_epochs_and_evaluations(settings, val, expected):
    assert samples_of(FitSettings(**settings), 100.0, val) == pytest.approx(expected)


def test_hours_are_samples_by_the_measured_rate(tmp_path):
    rates = Calibration(tmp_path / "calibration.json")
    assert Workload(7200.0, ["a"], lambda: 2.0).hours(rates) == 1.0
    assert Workload(3600.0, ["a"], lambda: pytest.fail("measured twice")).hours(rates) == 0.5


ONE_CPU = ResourceRequest()


def workload(
    fit: FitSettings,
    measured: list[tuple[FitSettings, int]],
    resources: ResourceRequest = ONE_CPU,
    used: list[torch.device] | None = None,
    **changes: object,
) -> Workload:
    used = [] if used is None else used

    def measure(short: FitSettings, batch: int, runtime: Runtime) -> list[dict[str, float]]:
        measured.append((short, batch))
        used.append(runtime.device)
        return [{"images_per_second": 1.0}, {"images_per_second": 3.0}]

    named: dict[str, object] = {"stage": "pretext", "network": "unet", "method": "simclr", "image_size": 64}
    return training_workload(100.0, fit, resources, measure, **{**named, **changes})  # type: ignore[arg-type]


def test_the_rate_is_that_of_the_fastest_epoch_of_a_short_run():
    measured: list[tuple[FitSettings, int]] = []
    fit = FitSettings(epochs=100, batch_size=256, steps_per_epoch=50)
    assert workload(fit, measured).measure() == 3.0
    ((short, batch),) = measured
    assert (short.epochs, short.batch_size, short.steps_per_epoch, batch) == (2, 64, None, 64)
    assert short.micro_batch is None
    assert not short.overlap_evaluation


def test_a_rate_is_measured_on_the_device_that_the_job_asks_for(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    used: list[torch.device] = []
    on_cpu, on_gpu = (workload(FitSettings(), [], ResourceRequest(gpus=gpus), used) for gpus in (0, 0.5))
    on_cpu.measure()
    on_gpu.measure()
    assert used == [torch.device("cpu"), torch.device("cuda", 0)]
    assert on_cpu.rate_key != on_gpu.rate_key


def test_micro_batches_are_measured_as_such():
    measured: list[tuple[FitSettings, int]] = []
    workload(FitSettings(batch_size=256, micro_batch=64), measured).measure()
    assert measured[0][0].micro_batch == 32  # two of a measured batch
    workload(FitSettings(batch_size=32, micro_batch=32), measured).measure()
    assert measured[1][0].micro_batch is None


@pytest.mark.parametrize(
    "changes", [{"stage": "downstream"}, {"network": "deeplabv3"}, {"method": None}, {"image_size": 128}]
)
def test_changes_of_the_workload_have_a_rate_of_their_own(changes):
    fit = FitSettings()
    assert workload(fit, [], **changes).rate_key != workload(fit, []).rate_key


@pytest.mark.parametrize("changes", [{"recompute": True}, {"micro_batch": 4}, {"batch_size": 8}])
def test_only_settings_that_change_a_step_have_a_rate_of_their_own(changes):
    assert workload(FitSettings(**changes), []).rate_key != workload(FitSettings(), []).rate_key
    assert workload(FitSettings(epochs=7), []).rate_key == workload(FitSettings(epochs=9), []).rate_key


def test_a_damaged_cache_is_measured_again(tmp_path: Path):
    path = tmp_path / "calibration.json"
    path.write_text("{")
    assert Workload(3600.0, ["a"], lambda: 4.0).hours(Calibration(path)) == 0.25


def test_the_time_to_compile_is_added_once(tmp_path, monkeypatch):
    asked: list[tuple[FitSettings, int]] = []
    monkeypatch.setattr(
        "study.stages.workload.reason_against", lambda device, workers: "workers" if workers > 1 else None
    )
    fit = FitSettings(batch_size=6, compile="auto")
    rates = Calibration(tmp_path / "calibration.json")
    compiled = workload(fit, asked)
    assert not compiled.measured(rates)
    # Of two epochs of 12 samples, the first takes 12 s and the second 4 s: 8 s are the compilation's.
    assert compiled.hours(rates) == pytest.approx((100 / 3 + 8) / 3600)
    assert [(short.compile, batch) for short, batch in asked] == [("auto", 6)]
    assert compiled.measured(rates)
    again = Calibration(tmp_path / "calibration.json")
    assert workload(fit, asked).hours(again, rough=True) == compiled.hours(rates)
    assert len(asked) == 1
    rough = workload(replace(fit, batch_size=8), asked)
    assert rough.hours(rates, rough=True) == pytest.approx((100 / 3 + 4 * (1 - 1 / 3)) / 3600)
    assert [batch for _, batch in asked] == [6, 2]
    assert rough.measured(rates, rough=True)


def test_what_is_not_compiled_costs_as_much_as_without_the_setting(tmp_path, monkeypatch):
    monkeypatch.setattr(
        "study.stages.workload.reason_against", lambda device, workers: "workers" if workers > 1 else None
    )
    asked: list[tuple[FitSettings, int]] = []
    rates = Calibration(tmp_path / "calibration.json")
    two = workload(FitSettings(compile="auto"), asked, ResourceRequest(workers=2))
    assert two.hours(rates) == pytest.approx(100 / 3 / 3600)
    assert asked[0][0].compile == "off"
    assert two.rate_key == workload(FitSettings(), []).rate_key
    assert two.rate_key != workload(FitSettings(compile="auto"), []).rate_key
