from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import Tensor
from torch.nn.parallel import DistributedDataParallel
from toys import toy_store

from trainables.augment.geometry import Crop
from trainables.augment.policy import Policy
from trainables.data.batches import Batch, Batches
from trainables.errors import UserError
from trainables.loop import FitSettings, Task, fit
from trainables.micro_batches import accumulated, cached, divided
from trainables.networks import UNet, UNetEncoder
from trainables.networks.batchnorm import synchronise
from trainables.optim.optimizers import SGD
from trainables.pretext.barlow import BarlowTwins
from trainables.pretext.byol import BYOL
from trainables.pretext.denoise import Denoise
from trainables.pretext.masked import MaskedModelling
from trainables.pretext.simclr import SimCLR
from trainables.pretext.vicreg import VICReg
from trainables.runtime import LocalRuntime

STORE = toy_store(72, size=16)
VIEWS = Policy(crop=Crop((0.5, 1.0)), blur=None)
ENCODER = UNetEncoder(width=4, depth=2, norm="instance")
EMBEDDING = [SimCLR(temperature=0.3, projection=8), VICReg(projection=8), BarlowTwins(projection=8)]


def without_batch_norm(task: Task) -> Task:
    """The heads' batch norms made identities: their statistics are a part's, which is the limit that is stated."""
    for module in task.modules():
        for name, child in module.named_children():
            if isinstance(child, torch.nn.BatchNorm1d):
                setattr(module, name, torch.nn.Identity())
    return task.double()


GREY = Policy(crop=None, flip=None, blur=None)  # geometry is drawn in single precision


def task_of(method, views: Policy = GREY) -> Task:
    torch.manual_seed(1)
    return without_batch_norm(method.build(ENCODER.build(1), views, STORE))


def whole_batch(size: int = 24) -> Batch:
    return next(Batches(STORE, STORE.rows("train"), size, seed=2).epoch(0))


def doubled(batch: Batch) -> Batch:
    from dataclasses import replace

    return replace(batch, images=batch.images.double() / 255)


def gradients(task: Task) -> dict[str, Tensor]:
    found = {name: p.grad.clone() for name, p in task.named_parameters() if p.grad is not None}
    task.zero_grad(set_to_none=True)
    return found


@pytest.mark.parametrize("method", EMBEDDING, ids=lambda m: type(m).__name__)
@pytest.mark.parametrize("size", [5, 8, 24])
def test_cached_gradients_are_those_of_the_whole_batch(method, size):
    task, batch = task_of(method).train(), doubled(whole_batch())
    loss = task.training_step(batch)["loss"]
    loss.backward()
    wanted = gradients(task)
    losses = cached(task, divided(batch, size), task.embed, task.compare, lambda value: value.backward())
    found = gradients(task)
    torch.testing.assert_close(losses["loss"], loss.detach())
    assert wanted.keys() == found.keys()
    for name, gradient in wanted.items():
        torch.testing.assert_close(found[name], gradient, rtol=1e-5, atol=1e-7, msg=name)


def test_added_gradients_of_a_mean_over_images_are_those_of_the_whole_batch():
    task, batch = task_of(BYOL(hidden=8, projection=8)).train(), doubled(whole_batch())
    loss = task.training_step(batch)["loss"]
    loss.backward()
    wanted = gradients(task)
    losses = accumulated(divided(batch, 7), task.training_step, lambda value: value.backward())
    found = gradients(task)
    torch.testing.assert_close(losses["loss"], loss.detach())
    for name, gradient in wanted.items():
        torch.testing.assert_close(found[name], gradient, rtol=1e-5, atol=1e-7, msg=name)


def test_what_is_kept_for_the_backward_pass_follows_the_part_not_the_batch():
    kept = {}
    task, batch = task_of(EMBEDDING[0]).train(), doubled(whole_batch())
    for size in (24, 8, 4):
        now, most = 0, 0

        def pack(tensor: Tensor) -> Tensor:
            nonlocal now, most
            now += tensor.numel() * tensor.element_size()
            most = max(most, now)
            return tensor

        def embed(part: Batch) -> Tensor:
            nonlocal now
            now = 0
            return task.embed(part)

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            if size == 24:
                task.training_step(batch)["loss"].backward()
            else:
                cached(task, divided(batch, size), embed, task.compare, lambda value: value.backward())
        kept[size] = most
    assert kept[8] < 0.45 * kept[24]
    assert kept[4] < 0.3 * kept[24]


def test_training_in_parts_ends_where_training_at_once_does():
    ends = []
    for micro_batch in (None, 6):
        task = task_of(EMBEDDING[0], VIEWS)
        settings = FitSettings(2, 24, SGD(lr=0.01), precision="float32", micro_batch=micro_batch)
        fit(task.float(), Batches(STORE, STORE.rows("train"), 24, 3), None, settings, LocalRuntime(), 0)
        ends.append(task.state_dict())
    for name, value in ends[0].items():
        torch.testing.assert_close(ends[1][name], value, rtol=1e-3, atol=1e-4, msg=name)


def test_batch_norm_moves_its_statistics_in_one_pass_only():
    torch.manual_seed(0)
    task = SimCLR(projection=8).build(UNetEncoder(width=4, depth=2).build(1), VIEWS, STORE).train()
    batch = whole_batch()
    parts = divided(batch, 8)
    norm = task.projector[1]
    expected = norm.running_mean.clone()
    for part in parts:
        with torch.no_grad():
            before = norm.running_mean.clone()
            task.embed(part)
            expected = 0.9 * expected + (norm.running_mean - 0.9 * before)
            norm.running_mean.copy_(before)
    cached(task, parts, task.embed, task.compare, lambda value: value.backward())
    torch.testing.assert_close(norm.running_mean, expected, rtol=1e-4, atol=1e-5)


def test_a_loss_that_cannot_be_had_in_parts_is_refused():
    network = UNet(ENCODER).build(1, 1)
    rows = Batches(STORE, STORE.rows("train"), 8, 3)
    settings = FitSettings(1, 8, micro_batch=4, precision="float32")
    task = Denoise().build(network.backbone, network.decoder, VIEWS, STORE)
    with pytest.raises(UserError, match="micro_batch: the loss of DenoiseTask cannot be had in parts"):
        fit(task, rows, None, settings, LocalRuntime(), 0)
    masked = MaskedModelling(patch=4).build(network.backbone, network.decoder, VIEWS, STORE)
    assert len(fit(masked, rows, None, settings, LocalRuntime(), 0).history) == 1
    with pytest.raises(ValueError, match="micro_batch is 1"):
        FitSettings(micro_batch=1)


class Shared(LocalRuntime):
    """Two gloo workers."""

    world_size = 2

    def __init__(self, rank: int) -> None:
        super().__init__()
        self.rank = rank  # type: ignore[misc]

    def wrap(self, module):
        return DistributedDataParallel(synchronise(module))

    def mean(self, values: Tensor) -> Tensor:
        total = values.clone()
        dist.all_reduce(total)
        return total / 2


def worker(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", f"file://{folder}/rendezvous", rank=rank, world_size=2)
    for micro_batch in (None, 4):
        task = task_of(EMBEDDING[0], VIEWS).float()
        settings = FitSettings(1, 24, SGD(lr=0.01), precision="float32", micro_batch=micro_batch)
        fit(task, Batches(STORE, STORE.rows("train"), 24, 3), None, settings, Shared(rank), 0)
        torch.save(task.state_dict(), f"{folder}/{rank}-{micro_batch}.pt")
        del task
    dist.barrier()
    dist.destroy_process_group()


def test_two_workers_in_parts_end_where_two_workers_at_once_do(tmp_path: Path) -> None:
    mp.spawn(worker, (str(tmp_path),), nprocs=2)
    whole, parts, other = (torch.load(tmp_path / name, weights_only=True) for name in ("0-None.pt", "0-4.pt", "1-4.pt"))
    for name, value in whole.items():
        torch.testing.assert_close(parts[name], value, rtol=1e-4, atol=1e-5, msg=name)
        torch.testing.assert_close(parts[name], other[name], rtol=0, atol=0, msg=name)
