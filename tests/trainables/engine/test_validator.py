"""The validator with a task that does no real work."""

import math
import threading
from contextlib import nullcontext

import pytest
import torch
from torch import nn
from toys import toy_store

from trainables.common.errors import TrainingFailed
from trainables.data.sampling.batches import Batches
from trainables.engine.task import Task
from trainables.engine.validator import Validator

CPU = torch.device("cpu")
STORE = toy_store()
VAL = Batches(STORE, STORE.rows("val"), 4, shuffle=False)


class Weight(Task):
    """Reports its only weight as the loss, and the sizes of the batches that it evaluated."""

    def __init__(self, value: float = 1.0) -> None:
        super().__init__()
        self.value = nn.Parameter(torch.tensor(value))
        self.sizes: list[int] = []

    def training_step(self, batch):
        raise NotImplementedError

    def evaluate(self, batches):
        assert not self.training
        assert not torch.is_grad_enabled()
        assert RELEASED.wait(30)
        self.sizes += [len(batch.rows) for batch in batches]
        return {"loss": float(self.value)}


RELEASED = threading.Event()
RELEASED.set()


def test_an_evaluation_returns_at_once_with_named_metrics_and_the_probes():
    validator = Validator(VAL, lambda: {"depth": 2.0}, CPU, nullcontext)
    task = Weight()
    evaluation = validator.evaluate(task, 1)
    assert evaluation is not None
    assert evaluation.metrics == {"val/loss": 1.0, "val/depth": 2.0}
    assert evaluation.task is task
    assert not validator.pending
    assert validator.collect() is None


def test_an_overlapped_evaluation_is_that_of_the_weights_at_its_start():
    validator, task = Validator(VAL, None, CPU, nullcontext, overlap=True), Weight()
    RELEASED.clear()
    try:
        assert validator.evaluate(task, 1) is None
        assert validator.pending
        with torch.no_grad():
            task.value.fill_(5.0)  # the next epoch trains
        assert task.training
    finally:
        RELEASED.set()
    evaluation = validator.collect()
    assert evaluation is not None
    assert evaluation.metrics == {"val/loss": 1.0}
    assert evaluation.task.value.item() == 1.0
    assert not validator.pending


def test_nothing_to_evaluate_is_no_evaluation():
    validator = Validator(None, None, CPU, nullcontext, overlap=True)
    assert validator.evaluate(Weight(), 1) is None
    assert not validator.pending


@pytest.mark.parametrize("overlap", [False, True])
def test_a_loss_that_is_not_finite_is_raised_where_the_evaluation_is_returned(overlap):
    validator = Validator(VAL, None, CPU, nullcontext, overlap=overlap)
    if overlap:
        validator.evaluate(Weight(math.nan), 3)
    raising = validator.collect if overlap else lambda: validator.evaluate(Weight(math.nan), 3)
    with pytest.raises(TrainingFailed, match="the validation loss is nan after epoch 3"):
        raising()


def test_closing_discards_the_error_of_the_background_thread():
    validator = Validator(VAL, None, CPU, nullcontext, overlap=True)
    validator.evaluate(Weight(math.nan), 1)
    validator.close()
    assert not validator.pending


@pytest.mark.parametrize(("division", "sizes"), [("images", [2] * 4), ("features", [4, 4]), ("none", [4, 4])])
def test_only_a_mean_over_images_is_evaluated_by_micro_batches(division, sizes):
    task = Weight()
    task.division, task.micro_batch = division, 2
    Validator(VAL, None, CPU, nullcontext).evaluate(task, 1)
    assert task.sizes == sizes


class Stream:
    """Stream of a GPU that records what happens, in order."""

    def __init__(self, events: list[str], device: object = None) -> None:
        self.events = events

    def wait_stream(self, other: object) -> None:
        self.events.append(f"wait for {other}")

    def synchronize(self) -> None:
        self.events.append("synchronize")

    def __enter__(self) -> None:
        self.events.append("enter")

    def __exit__(self, *_: object) -> None:
        self.events.append("leave")


@pytest.mark.parametrize("fails", [False, True])
def test_an_overlapped_evaluation_has_a_stream_of_its_own_on_a_gpu(monkeypatch, fails):
    events = list[str]()

    def probe():
        events.append("evaluate")
        if fails:
            raise TrainingFailed
        return {"depth": 2.0}

    monkeypatch.setattr(torch.cuda, "Stream", lambda device: Stream(events))
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: "training")
    monkeypatch.setattr(torch.cuda, "stream", lambda stream: stream)
    validator = Validator(None, probe, torch.device("cuda", 0), nullcontext, overlap=True)
    validator.evaluate(Weight(), 1)
    with pytest.raises(TrainingFailed) if fails else nullcontext():
        validator.collect()
    assert events == ["wait for training", "enter", "evaluate", "leave", "synchronize"]
