"""Training on a GPU beside the same training on the CPU. No other test sees a GPU."""

import gc

import pytest
import torch
from torch import Tensor
from toys import toy_store

from study.execution.device import release_memory
from trainables.augment.batch_rng import BatchRNG
from trainables.augment.policy import Policy
from trainables.data.sampling.batches import Batch, Batches
from trainables.downstream.losses import DiceCrossEntropy
from trainables.downstream.segmentation import Segmentation
from trainables.engine.compilation import reason_against
from trainables.engine.optim.optimizers import SGD, Adam, Madgrad
from trainables.engine.runtime import LocalRuntime
from trainables.engine.settings import FitResult, FitSettings
from trainables.engine.task import Task
from trainables.engine.trainer import fit
from trainables.networks import UNet, UNetEncoder
from trainables.pretext.barlow import BarlowTwins
from trainables.pretext.byol import BYOL
from trainables.pretext.moco import MoCo
from trainables.pretext.simclr import SimCLR
from trainables.pretext.vicreg import VICReg

pytestmark = [
    pytest.mark.cuda,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU, or hidden: run `make test-cuda`"),
]

CPU, GPU = torch.device("cpu"), torch.device("cuda", 0)
STORE = toy_store(48, size=16)
ENCODER = UNetEncoder(width=4, depth=2)
METHODS = {
    "simclr": SimCLR(projection=8),
    "byol": BYOL(hidden=16, projection=8, momentum=0.9),
    "moco": MoCo(hidden=16, projection=8, momentum=0.9),
    "vicreg": VICReg(projection=8),
    "barlow": BarlowTwins(projection=8),
}
TASKS = [*METHODS, "segmentation"]


class Killed(Exception):
    """End of a run that another one resumes."""


def new_task(name: str) -> Task:
    torch.manual_seed(4)
    if name == "segmentation":
        return Segmentation(UNet(ENCODER).build(1, 2), DiceCrossEntropy(), Policy(), STORE)
    return METHODS[name].build(ENCODER.build(1), Policy(), STORE)


def batches() -> Batches:
    return Batches(STORE, STORE.rows("train"), 8, seed=2, masks=True)


def step(name: str, device: torch.device) -> tuple[Tensor, dict[str, Tensor]]:
    """Return the loss of one batch and the gradient of each parameter."""
    task = LocalRuntime(device=device).wrap(new_task(name)).train()
    loss = task(next(batches().epoch(0, device=device)))["loss"]
    loss.backward()
    return loss.detach().cpu(), {n: p.grad.cpu() for n, p in task.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("name", TASKS)
def test_loss_and_gradients_are_those_of_the_cpu(name):
    (expected, gradients), (loss, found) = step(name, CPU), step(name, GPU)
    torch.testing.assert_close(loss, expected, rtol=1e-4, atol=1e-5)
    assert found.keys() == gradients.keys()
    for key, gradient in gradients.items():
        scale = float(gradient.abs().max())
        torch.testing.assert_close(found[key], gradient, rtol=1e-2, atol=1e-3 * scale + 1e-6, msg=key)


def trained(runtime: LocalRuntime, name: str = "segmentation", **settings: object) -> FitResult:
    fitting = FitSettings(4, 8, **{"optimizer": SGD(lr=0.01), "precision": "float32", **settings})
    return fit(new_task(name), batches(), batches(), fitting, runtime, seed=0)


def test_a_killed_run_ends_near_an_uninterrupted_one(tmp_path):
    def kill(epoch: int, metrics: object) -> None:
        if epoch == 2:
            raise Killed

    whole = trained(LocalRuntime(device=GPU))
    with pytest.raises(Killed):
        trained(LocalRuntime(tmp_path, kill, GPU, save_every=0))
    resumed = trained(LocalRuntime(tmp_path, device=GPU, save_every=0))
    assert [row["loss"] for row in resumed.history] == pytest.approx([row["loss"] for row in whole.history], rel=1e-2)


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
@pytest.mark.parametrize("name", TASKS)
def test_half_precision_trains_to_finite_losses(name, precision):
    result = trained(LocalRuntime(device=GPU), name, precision=precision, optimizer=Adam())
    assert all(torch.isfinite(torch.tensor(row["loss"])) for row in result.history)


@pytest.mark.parametrize("settings", [{}, {"recompute": True}, {"overlap_evaluation": True}], ids=str)
def test_an_ended_job_leaves_no_memory_on_the_gpu(settings):
    gc.collect()
    before = torch.cuda.memory_allocated(GPU)
    trained(LocalRuntime(device=GPU), **settings)
    release_memory(GPU)
    assert torch.cuda.memory_allocated(GPU) <= before


def test_training_goes_on_after_running_out_of_memory():
    total = torch.cuda.get_device_properties(GPU).total_memory
    with pytest.raises(torch.OutOfMemoryError):
        torch.empty(2 * total, dtype=torch.uint8, device=GPU)
    assert len(trained(LocalRuntime(device=GPU)).history) == 4


@pytest.mark.parametrize("name", TASKS)
def test_a_step_makes_the_cpu_wait_for_nothing(name):
    task = LocalRuntime(device=GPU).wrap(new_task(name)).train()
    optimizer = Adam().build(task.parameter_groups())
    first, second, *_ = batches().epoch(0, device=GPU)

    def step(batch: Batch) -> None:
        optimizer.zero_grad(set_to_none=True)
        task(batch)["loss"].backward()
        optimizer.step()
        task.after_step(0.5)

    step(first)
    torch.cuda.synchronize(GPU)
    torch.cuda.set_sync_debug_mode("error")
    try:
        step(second)
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize("name", ["segmentation", "simclr"])
def test_compiled_networks_train_to_near_losses(name):
    if (reason := reason_against(GPU)) is not None:
        pytest.skip(reason)
    plain, compiled = (trained(LocalRuntime(device=GPU), name, compile=rule) for rule in ("off", "auto"))
    assert [row["loss"] for row in compiled.history] == pytest.approx([row["loss"] for row in plain.history], rel=1e-2)


def test_an_evaluation_beside_training_is_that_after_the_epoch():
    plain, overlapped = (trained(LocalRuntime(device=GPU), overlap_evaluation=each) for each in (False, True))
    expected = [row["val/dice"] for row in plain.history]
    assert [row["val/dice"] for row in overlapped.history] == pytest.approx(expected, abs=0.02)


@pytest.mark.parametrize("settings", [{}, {"momentum": 0.0, "weight_decay": 0.1}], ids=str)
def test_madgrad_steps_as_on_the_cpu(settings):
    found = []
    for device in (CPU, GPU):
        weights = [torch.linspace(-1, 1, 12).view(3, 4).to(device).requires_grad_() for _ in range(3)]
        optimizer = Madgrad(lr=0.01, **settings).build([{"params": weights}])
        for step in range(5):
            for number, each in enumerate(weights):
                each.grad = torch.cos(each.detach() * (step + number + 1))
            optimizer.step()
        found.append(torch.stack(weights).detach().cpu())
    torch.testing.assert_close(*found, rtol=1e-5, atol=1e-6)


def test_noise_is_equal_in_every_shard():
    whole = BatchRNG(3, 70, 0, 70, GPU).field(1, 16, 16)
    assert torch.equal(whole[40:60], BatchRNG(3, 70, 40, 20, GPU).field(1, 16, 16))
    rows = torch.tensor([0, 5, 19])
    assert torch.equal(whole[40 + rows], BatchRNG(3, 70, 40, 20, GPU).of_rows(rows).field(1, 16, 16))
    assert whole.std() == pytest.approx(1, abs=0.05)
