import math
from unittest.mock import create_autospec

import pytest
import torch
from toys import toy_store

from trainables.augment.geometry import Crop
from trainables.augment.policy import Policy
from trainables.data.sampling.batches import Batches
from trainables.networks import UNetEncoder
from trainables.pretext.byol import BYOL
from trainables.pretext.moco import MoCo
from trainables.pretext.parts.ema import EMATargetTask, ema_momentum, ema_update

STORE = toy_store(48, size=16)
VIEWS = Policy(crop=Crop((0.5, 1.0)), blur=None)
METHODS = [BYOL(momentum=0.9, hidden=8, projection=4), MoCo(momentum=0.9, hidden=8, projection=4)]


def task_of(method: BYOL | MoCo) -> EMATargetTask:
    """A task whose target is another network than the online one."""
    torch.manual_seed(0)
    task = method.build(UNetEncoder(width=4, depth=2).build(1), VIEWS, STORE)
    for parameter in task.target.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    return task


@pytest.mark.parametrize("method", METHODS, ids=lambda m: type(m).__name__)
def test_each_view_is_compared_with_the_targets_projection_of_the_other(method, monkeypatch):
    task = task_of(method)
    batch = next(Batches(STORE, STORE.rows("train"), 8, seed=1).epoch(0))
    compare = create_autospec(task.compare, return_value={})
    monkeypatch.setattr(task, "compare", compare)
    task.training_step(batch)
    predicted, targets = compare.call_args.args
    views = [VIEWS.apply(batch.images, None, batch.draw.fork("view", view))[0] for view in (0, 1)]
    one, two = ((view - 0.5) / 0.25 for view in views)  # the store's mean and standard deviation
    backbone, projector = task.target
    wanted = [projector(backbone(view).mean((2, 3))) for view in (two, one)]
    torch.testing.assert_close(targets, torch.cat(wanted), rtol=0, atol=1e-5)
    wanted = [task.predictor(task.projector(task.backbone(view).mean((2, 3)))) for view in (one, two)]
    torch.testing.assert_close(predicted, torch.cat(wanted), rtol=0, atol=1e-5)
    assert not targets.requires_grad


@pytest.mark.parametrize("method", METHODS, ids=lambda m: type(m).__name__)
def test_steps_move_the_whole_target_by_the_closed_form(method):
    """With the online network at rest, what is between it and the target shrinks by the product of the momenta."""
    task, steps = task_of(method).double(), 5
    online = [*task.backbone.parameters(), *task.projector.parameters()]
    before = [parameter.detach().clone() for parameter in task.target.parameters()]
    left = 1.0
    for step in range(1, steps + 1):
        task.after_step(step / steps)
        left *= 1 - 0.1 * (math.cos(math.pi * step / steps) + 1) / 2
    for target, start, rest in zip(task.target.parameters(), before, online, strict=True):
        torch.testing.assert_close(target, rest + left * (start - rest), rtol=0, atol=1e-12)


@pytest.mark.parametrize("start", [0.0, 0.97, 0.996])
def test_the_momentum_rises_to_one_by_a_cosine(start):
    for k, steps in ((0, 100), (25, 100), (100, 100)):
        expected = 1 - (1 - start) * (math.cos(math.pi * k / steps) + 1) / 2
        assert ema_momentum(start, k / steps) == pytest.approx(expected, abs=1e-12)
    assert ema_momentum(start, 0) == pytest.approx(start)
    assert ema_momentum(start, 1) == 1


def test_the_ema_update_is_the_moving_average_of_every_parameter():
    torch.manual_seed(0)
    target, online = torch.nn.Linear(3, 2).double(), torch.nn.Linear(3, 2).double()
    expected = [0.9 * t + 0.1 * o for t, o in zip(target.parameters(), online.parameters(), strict=True)]
    ema_update(target, online, 0.9)
    for found, wanted in zip(target.parameters(), expected, strict=True):
        torch.testing.assert_close(found, wanted, rtol=0, atol=1e-12)
