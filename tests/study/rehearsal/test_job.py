"""Rehearsal of one job: stopped at its first checkpoint, resumed, and measured."""

from pathlib import Path
from types import SimpleNamespace
from unittest.mock import Mock, create_autospec

import numpy as np
import pytest
import torch
from toys import toy_store

from study.planning.jobs import Job
from study.rehearsal.job import MEMORY, RESUMED, rehearse_job
from study.rehearsal.memory import MemoryMeter
from study.stages.stage import Stage, StageContext, StageResult
from trainables.common.errors import TrainingFailed
from trainables.engine.runtime import LocalRuntime


class Counting(Stage):
    """A stage that counts to two, with a checkpoint after each number, and takes 200 MB."""

    name = "counting"

    def __init__(self, *, saves: bool = True) -> None:
        self.saves, self.seen, self.test_rows = saves, list[int](), list[int]()

    def run(self, job: Job, context: StageContext) -> StageResult:
        state = context.runtime.load()
        block = np.ones(25_000_000)
        for number in range(state["number"] if state else 0, 2):
            self.seen.append(number)
            context.runtime.report(number + 1, {})
            if self.saves:
                context.runtime.save(lambda number=number: {"number": number + 1})
        self.test_rows = list(context.store.rows("test"))
        return StageResult({"sum": float(block[0])}, 2)


def context(folder: Path | None) -> StageContext:
    return StageContext(toy_store(), Mock(), Mock(), LocalRuntime(folder))


def test_a_job_goes_on_after_its_stop_and_its_memory_is_measured(tmp_path):
    stage = Counting()
    result = rehearse_job(stage, Mock(), context(tmp_path))
    assert stage.seen == [0, 1]
    assert result.metrics["sum"] == 1.0
    assert result.metrics[RESUMED] == 1.0
    assert 0.2 < result.metrics[MEMORY] < 20
    assert len(stage.test_rows) == 2


def test_a_stage_without_checkpoints_runs_once(tmp_path):
    stage = Counting(saves=False)
    assert rehearse_job(stage, Mock(), context(tmp_path)).metrics[RESUMED] == 0.0
    assert stage.seen == [0, 1]


def test_a_checkpoint_that_is_lost_is_a_failure():
    with pytest.raises(TrainingFailed, match="cannot be resumed"):
        rehearse_job(Counting(), Mock(), context(None))


def test_the_peak_on_a_gpu_is_also_a_share_of_that_gpu(monkeypatch):
    for name, value in {
        "empty_cache": None,
        "reset_peak_memory_stats": None,
        "max_memory_reserved": 20 * 10**9,
        "get_device_properties": SimpleNamespace(total_memory=80 * 10**9),
    }.items():
        monkeypatch.setattr(torch.cuda, name, create_autospec(getattr(torch.cuda, name), return_value=value))
    with MemoryMeter(torch.device("cuda", 0)) as memory:
        pass
    assert (memory.gpu_peak, memory.gpu_share) == (20 * 10**9, 0.25)
    with MemoryMeter(torch.device("cpu")) as memory:
        pass
    assert (memory.gpu_peak, memory.gpu_share) == (0, 0.0)
