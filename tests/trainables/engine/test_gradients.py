"""The choice of a gradient strategy, and what it does with a worker group."""

import contextlib
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor, nn
from toys import toy_store

from trainables.common.errors import UserError
from trainables.data.sampling.batches import Batch, Batches
from trainables.engine.gradients import MicroBatchGradients, PlainGradients, average, gradient_strategy
from trainables.engine.precision import MixedPrecision
from trainables.engine.runtime import LocalRuntime
from trainables.engine.task import Task

STORE = toy_store()
BATCH = next(Batches(STORE, STORE.rows("train"), 8, seed=2).epoch(0))
RUNTIME = LocalRuntime(device=torch.device("cpu"))
FLOAT32 = MixedPrecision("float32", RUNTIME.device)


class Mean(Task):
    """Its loss is the mean product of an image's brightness and the weight."""

    division = "images"

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(2.0))
        self.sizes: list[int] = []

    def training_step(self, batch: Batch) -> dict[str, Tensor]:
        self.sizes.append(len(batch.rows))
        return {"loss": self.weight * batch.images.float().mean()}

    def evaluate(self, batches):
        raise NotImplementedError


def test_without_a_micro_batch_the_batch_is_processed_at_once():
    task = Mean()
    task.division = "none"
    strategy = gradient_strategy(task, task, RUNTIME, FLOAT32, None)
    assert isinstance(strategy, PlainGradients)
    losses = strategy(BATCH)
    assert task.sizes == [8]
    assert float(losses["loss"]) == 2 * float(task.weight.grad)


@pytest.mark.parametrize(("micro_batch", "sizes"), [(4, [4, 4]), (3, [2, 3, 3]), (8, [8]), (100, [8])])
def test_micro_batches_accumulate_the_gradient_of_the_batch(micro_batch, sizes):
    task = Mean()
    losses = gradient_strategy(task, task, RUNTIME, FLOAT32, micro_batch)(BATCH)
    assert sorted(task.sizes) == sorted(sizes)
    torch.testing.assert_close(task.weight.grad, BATCH.images.float().mean())
    torch.testing.assert_close(losses["loss"], 2 * BATCH.images.float().mean())


def test_a_loss_that_needs_all_images_at_once_is_refused():
    task = Mean()
    task.division = "none"
    with pytest.raises(UserError, match=r"the loss of Mean does not support micro-batching\. Fix: remove micro_batch"):
        gradient_strategy(task, task, RUNTIME, FLOAT32, 4)


def test_gradients_are_averaged_in_one_exchange_for_each_type():
    exchanged = []

    def mean(values: Tensor) -> Tensor:
        exchanged.append((values.dtype, len(values)))
        return values / 2

    layout = torch.channels_last
    found = [torch.rand(3), torch.rand(2, 3, 4, 4).to(memory_format=layout), torch.rand(2).double(), torch.rand(())]
    expected = [each / 2 for each in found]
    average(found, SimpleNamespace(mean=mean))  # type: ignore[arg-type]
    assert exchanged == [(torch.float32, 3 + 96 + 1), (torch.float64, 2)]
    assert all(torch.equal(one, other) for one, other in zip(found, expected, strict=True))
    assert found[1].is_contiguous(memory_format=layout)


def test_workers_average_their_gradients_once_after_the_last_micro_batch():
    events: list[str] = []

    class Wrapped(nn.Module):
        """A data-parallel wrapper that records when its synchronization is off."""

        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.tensor(1.0))

        @contextlib.contextmanager
        def no_sync(self):
            events.append("off")
            yield
            events.append("on")

    model = Wrapped()

    def add(parts):
        events.append(f"add {len(parts)}")
        model.weight.grad = torch.tensor(4.0)
        return {}

    def mean(values: Tensor) -> Tensor:
        events.append("mean")
        return values / 2

    group = SimpleNamespace(world_size=2, mean=mean)
    MicroBatchGradients(lambda batch: {}, add, model, group, 4)(BATCH)  # type: ignore[arg-type]
    assert events == ["off", "add 2", "on", "mean"]
    assert float(model.weight.grad) == 2.0
