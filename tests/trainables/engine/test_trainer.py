"""The training loop on a toy regression over a frame store held in memory."""

import math
import threading
from collections.abc import Iterable
from unittest.mock import Mock

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from toys import toy_store

from trainables.common.errors import CheckpointError, TrainingFailed
from trainables.data.sampling.batches import Batch, Batches
from trainables.engine.optim.optimizers import SGD, Adam
from trainables.engine.optim.schedules import Cosine, Plateau
from trainables.engine.runtime import LocalRuntime
from trainables.engine.settings import FitResult, FitSettings
from trainables.engine.task import Task
from trainables.engine.trainer import fit


class Brightness(Task):
    """Predicts an image's mean brightness, with dropout and batch norm so that resuming has something to get wrong."""

    monitor = "error"
    higher_is_better = False

    def __init__(self, break_at: int | None = None) -> None:
        super().__init__()
        self.net = nn.Sequential(
            nn.Flatten(), nn.Linear(64, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.3), nn.Linear(16, 1)
        )
        self.steps_done: list[float] = []
        self.break_at = break_at

    def training_step(self, batch: Batch) -> dict[str, Tensor]:
        images = batch.images.float() / 255 + 0.01 * batch.draw.normal(1, 8, 8)
        loss = (self.net(images).squeeze(1) - batch.images.float().mean((1, 2, 3)) / 255).square().mean()
        if self.break_at is not None and len(self.steps_done) >= self.break_at:
            loss = loss * float("nan")
        return {"loss": loss}

    def after_step(self, progress: float) -> None:
        self.steps_done.append(progress)

    def evaluate(self, batches: Iterable[Batch]) -> dict[str, float]:
        errors = [
            (self.net(b.images.float() / 255).squeeze(1) - b.images.float().mean((1, 2, 3)) / 255).abs()
            for b in batches
        ]
        return {"error": float(torch.cat(errors).mean())}


def run(epochs: int, runtime: LocalRuntime, task: Task | None = None, **settings: object):
    torch.manual_seed(0)
    task = task or Brightness()
    store = toy_store()
    train = Batches(store, store.rows("train"), 3, seed=1)
    val = Batches(store, store.rows("val"), 4, shuffle=False)
    chosen = FitSettings(epochs=epochs, **{"precision": "float32", "schedule": Cosine(warmup_epochs=1)} | settings)
    return task, fit(task, train, val, chosen, runtime, seed=5)


class Killed(Exception):
    pass


@pytest.mark.parametrize("optimizer", [Adam(lr=1e-2), SGD(lr=1e-2, momentum=0.9)])
@pytest.mark.parametrize("schedule", [Cosine(), Plateau(patience=1)])
@pytest.mark.parametrize("killed_after", [2, 4])
def test_a_killed_run_ends_bitwise_like_an_uninterrupted_one(tmp_path, optimizer, schedule, killed_after):
    def kill(epoch: int, metrics: object) -> None:
        if epoch == killed_after:
            raise Killed

    whole, expected = run(6, LocalRuntime(), optimizer=optimizer, schedule=schedule)
    with pytest.raises(Killed):
        run(6, LocalRuntime(tmp_path, kill, save_every=0), optimizer=optimizer, schedule=schedule)
    resumed, result = run(6, LocalRuntime(tmp_path, save_every=0), optimizer=optimizer, schedule=schedule)
    for name, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name
    assert timeless(result) == timeless(expected)
    assert result.epoch == expected.epoch


class DiesWhileSaving(LocalRuntime):
    """Saves a checkpoint and dies before anything else happens."""

    def save(self, state, *, force=False):
        super().save(state, force=force)
        self.flush()
        if state()["epoch"] == 3:
            raise Killed


def test_an_epoch_in_a_checkpoint_has_been_reported(tmp_path):
    reported: list[int] = []
    with pytest.raises(Killed):
        run(5, DiesWhileSaving(tmp_path, lambda epoch, metrics: reported.append(epoch), save_every=0))
    run(5, LocalRuntime(tmp_path, lambda epoch, metrics: reported.append(epoch), save_every=0))
    assert reported == [1, 2, 3, 4, 5]


def test_the_kept_epoch_is_the_best_on_validation():
    task, result = run(8, LocalRuntime(), optimizer=Adam(lr=3e-2))
    errors = [row["val/error"] for row in result.history]
    assert result.epoch == int(np.argmin(errors)) + 1
    task.eval()
    store = toy_store()
    with torch.no_grad():
        again = task.evaluate(Batches(store, store.rows("val"), 4, shuffle=False).epoch())
    assert again["error"] == pytest.approx(min(errors), abs=1e-7)


def timeless(result: FitResult) -> list[dict[str, float]]:
    return [{name: value for name, value in row.items() if name != "images_per_second"} for row in result.history]


@pytest.mark.parametrize("every", [1, 2])
def test_an_overlapped_evaluation_finds_what_one_in_between_does(every):
    told: list[tuple[int, float | None]] = []
    runtime = LocalRuntime(None, lambda epoch, metrics: told.append((epoch, metrics.get("val/error"))))
    chosen = {"optimizer": Adam(lr=3e-2), "evaluate_every": every}
    whole, expected = run(7, LocalRuntime(), **chosen)
    overlapped, result = run(7, runtime, **chosen, overlap_evaluation=True)
    assert timeless(result) == timeless(expected)
    assert result.epoch == expected.epoch
    for name, value in whole.state_dict().items():
        assert torch.equal(value, overlapped.state_dict()[name]), name
    assert told == [(epoch, row.get("val/error")) for epoch, row in enumerate(expected.history, 1)]


@pytest.mark.parametrize("killed_after", [1, 5])
def test_a_run_killed_during_an_overlapped_evaluation_makes_it_again(tmp_path, killed_after):
    told = []

    def kill(epoch: int, metrics: object) -> None:
        if epoch == killed_after:
            raise Killed

    whole, expected = run(6, LocalRuntime())
    with pytest.raises(Killed):
        run(6, LocalRuntime(tmp_path, kill, save_every=0), overlap_evaluation=True)
    resuming = LocalRuntime(tmp_path, lambda epoch, metrics: told.append(epoch), save_every=0)
    resumed, result = run(6, resuming, overlap_evaluation=True)
    assert told == list(range(killed_after, 7))
    assert timeless(result) == timeless(expected)
    for name, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name


TRAINS_ON = threading.Event()


def test_an_overlapped_evaluation_runs_while_the_next_epoch_trains():
    class Slow(Brightness):
        def training_step(self, batch: Batch) -> dict[str, Tensor]:
            if self.steps_done:
                TRAINS_ON.set()
            return super().training_step(batch)

        def evaluate(self, batches: Iterable[Batch]) -> dict[str, float]:
            assert TRAINS_ON.wait(60)
            return super().evaluate(batches)

    TRAINS_ON.clear()
    _, result = run(2, LocalRuntime(), Slow(), overlap_evaluation=True)
    assert all("val/error" in row for row in result.history)


def test_a_metric_schedule_refuses_overlapped_evaluation():
    with pytest.raises(ValueError, match="the plateau schedule needs each evaluation before the next epoch"):
        FitSettings(schedule=Plateau(), overlap_evaluation=True)


def test_progress_counts_every_step_to_one():
    task, _ = run(3, LocalRuntime())
    assert isinstance(task, Brightness)
    assert task.steps_done == pytest.approx([(i + 1) / 9 for i in range(9)])


def test_evaluation_runs_at_its_interval_and_at_the_end():
    _, result = run(5, LocalRuntime(), evaluate_every=2)
    assert ["val/error" in row for row in result.history] == [False, True, False, True, True]


def test_a_diverged_run_fails_with_its_reason():
    with pytest.raises(TrainingFailed, match="the loss is nan in epoch 2"):
        run(4, LocalRuntime(), Brightness(break_at=4))


@pytest.mark.parametrize("overlapped", [False, True])
def test_a_validation_loss_that_is_not_finite_ends_the_run(overlapped):
    class Broken(Brightness):
        def evaluate(self, batches: Iterable[Batch]) -> dict[str, float]:
            return super().evaluate(batches) | {"loss": math.inf if len(self.steps_done) > 3 else 1.0}

    with pytest.raises(TrainingFailed, match="the validation loss is inf after epoch 2"):
        run(4, LocalRuntime(), Broken(), overlap_evaluation=overlapped)


class Unkept(Brightness):
    """Names no metric to keep an epoch by, as pretext tasks do; its validation loss rises."""

    monitor = None

    def evaluate(self, batches: Iterable[Batch]) -> dict[str, float]:
        return {"loss": float(len(self.steps_done))}


def test_a_schedule_follows_the_validation_loss_where_no_metric_is_monitored():
    _, result = run(6, LocalRuntime(), Unkept(), optimizer=Adam(lr=1e-2), schedule=Plateau(patience=1))
    assert [row["learning_rate"] for row in result.history] == pytest.approx([1e-2] * 3 + [5e-3] * 2 + [2.5e-3])
    assert result.epoch == 6


def test_a_probe_adds_its_metrics_at_each_evaluation_in_evaluation_mode():
    task, modes = Brightness(), []

    def probe() -> dict[str, float]:
        modes.append(task.training or torch.is_grad_enabled())
        return {"depth": 2.0}

    store = toy_store()
    train = Batches(store, store.rows("train"), 3, seed=1)
    history = fit(task, train, None, FitSettings(3, 3, evaluate_every=2), LocalRuntime(), 0, None, probe).history
    assert [row.get("val/depth") for row in history] == [None, 2.0, 2.0]
    assert modes == [False, False]


def test_a_checkpoint_of_another_network_is_refused(tmp_path):
    run(2, LocalRuntime(tmp_path, save_every=0))
    other = Brightness()
    other.net = nn.Sequential(nn.Flatten(), nn.Linear(64, 1))
    with pytest.raises(CheckpointError, match="does not fit this run"):
        run(2, LocalRuntime(tmp_path), other)


def test_clipping_bounds_the_step():
    task, _ = run(1, LocalRuntime(), optimizer=SGD(lr=1.0), schedule=Cosine(), clip_norm=1e-12)
    torch.manual_seed(0)
    fresh = Brightness()
    for name, parameter in fresh.named_parameters():
        torch.testing.assert_close(dict(task.named_parameters())[name], parameter, atol=1e-10, rtol=0)


@pytest.mark.parametrize("workers", [2, 3])
def test_shards_make_up_the_logical_batch_and_its_randomness(workers):
    store = toy_store()
    batches = Batches(store, store.rows("train"), 5, seed=2, masks=True)
    for whole, *parts in zip(
        batches.epoch(1), *(batches.epoch(1, rank, workers) for rank in range(workers)), strict=True
    ):
        assert torch.equal(whole.images, torch.cat([part.images for part in parts]))
        assert torch.equal(whole.masks, torch.cat([part.masks for part in parts]))
        assert torch.equal(whole.draw.uniform(0, 1, 2), torch.cat([part.draw.uniform(0, 1, 2) for part in parts]))


@pytest.mark.parametrize("error", [torch.OutOfMemoryError("CUDA out of memory"), torch.AcceleratorError("CUDA error")])
def test_a_gpu_that_fails_while_a_run_is_resumed_is_not_the_checkpoints_fault(tmp_path, monkeypatch, error):
    run(2, LocalRuntime(tmp_path, save_every=0))
    monkeypatch.setattr(Brightness, "load_state_dict", Mock(side_effect=error))
    with pytest.raises(type(error)):
        run(4, LocalRuntime(tmp_path))


def test_every_row_comes_once_an_epoch_in_an_order_of_its_own():
    store = toy_store()
    batches = Batches(store, store.rows("train"), 3, seed=2)
    orders = [torch.cat([batch.rows for batch in batches.epoch(epoch)]).tolist() for epoch in range(3)]
    assert all(sorted(order) == store.rows("train").tolist() for order in orders)
    assert orders[0] != orders[1] != orders[2]
    full = Batches(store, store.rows("train"), 3, seed=2, keep_tail=False)
    assert [len(batch.rows) for batch in full.epoch()] == [3, 3]
    assert len(full) == 2


@pytest.mark.parametrize(("size", "sizes"), [(7, [8]), (4, [4, 4]), (3, [3, 3, 2]), (5, [5, 3]), (20, [8])])
def test_no_batch_of_a_single_row_is_left_over(size, sizes):
    store = toy_store()
    batches = Batches(store, store.rows("train"), size, seed=2)
    assert [len(batch.rows) for batch in batches.epoch()] == sizes
    assert len(batches) == len(sizes)
