from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from gloo import join, leave
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.parallel import DistributedDataParallel
from toys import toy_store

from trainables.augment.geometry import Crop
from trainables.augment.intensity import Noise
from trainables.augment.policy import Policy
from trainables.augment.ultrasound import Haze, Speckle
from trainables.common.errors import UserError
from trainables.data.sampling.batches import Batch, Batches
from trainables.downstream.losses import CrossEntropy, Dice, DiceCrossEntropy
from trainables.downstream.segmentation import Segmentation
from trainables.engine.grad_accumulation import accumulate_gradients
from trainables.engine.grad_cache import grad_cache
from trainables.engine.optim.optimizers import SGD
from trainables.engine.runtime import LocalRuntime
from trainables.engine.settings import FitSettings
from trainables.engine.split import split
from trainables.engine.task import Task
from trainables.engine.trainer import fit
from trainables.networks import UNet, UNetEncoder
from trainables.networks.batchnorm import synchronise
from trainables.pretext.barlow import BarlowTwins
from trainables.pretext.byol import BYOL
from trainables.pretext.denoise import Denoise
from trainables.pretext.global_contrastive import GlobalContrastive
from trainables.pretext.local_contrastive import LocalContrastive
from trainables.pretext.masked import MaskedModelling
from trainables.pretext.moco import MoCo
from trainables.pretext.simclr import SimCLR
from trainables.pretext.vicreg import VICReg

STORE = toy_store(72, size=16)
ENCODER = UNetEncoder(width=4, depth=2, norm="instance")
GREY = Policy(crop=None, flip=None, blur=None)  # geometry is drawn in single precision
VIEWS = Policy(crop=Crop((0.5, 1.0)), blur=None, noise=Noise(0.1, 1.0), speckle=Speckle(p=1.0), haze=Haze(p=1.0))
COMPARING = [
    SimCLR(temperature=0.3, projection=8),
    VICReg(projection=8),
    BarlowTwins(projection=8),
    GlobalContrastive(projection=8),
    MoCo(hidden=8, projection=8),
    BYOL(hidden=8, projection=8),
]


def task_of(method, views: Policy = GREY) -> Task:
    torch.manual_seed(1)
    return method.build(ENCODER.build(1), views, STORE).train()


def network_task(kind) -> Task:
    torch.manual_seed(1)
    network = UNet(ENCODER).build(1, 2)
    if isinstance(kind, MaskedModelling | LocalContrastive | Denoise):
        return kind.build(network.backbone, network.decoder, GREY, STORE).train()
    return Segmentation(network, kind, GREY, STORE).train()


def whole_batch(size: int = 23, *, masks: bool = False) -> Batch:
    return next(Batches(STORE, STORE.rows("train"), size, seed=2, masks=masks).epoch(0))


def doubled(batch: Batch) -> Batch:
    return replace(batch, images=batch.images.double() / 255)


def gradients(task: Task) -> dict[str, Tensor]:
    found = {name: p.grad.clone() for name, p in task.named_parameters() if p.grad is not None}
    task.zero_grad(set_to_none=True)
    return found


def at_once(task: Task, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
    loss = task.training_step(batch)["loss"]
    loss.backward()
    return loss.detach(), gradients(task)


def backward(loss: Tensor) -> None:
    loss.backward()


def same(found: dict[str, Tensor], wanted: dict[str, Tensor], rtol: float = 1e-5, atol: float = 1e-9) -> None:
    assert found.keys() == wanted.keys()
    for name, value in wanted.items():
        torch.testing.assert_close(found[name], value, rtol=rtol, atol=atol, msg=lambda text, name=name: name + text)


@pytest.mark.parametrize("method", COMPARING, ids=lambda m: type(m).__name__)
@pytest.mark.parametrize("size", [5, 8])
def test_cached_gradients_are_those_of_the_whole_batch_even_with_batch_norm_in_the_head(method, size):
    batch = doubled(whole_batch())
    whole, parts = task_of(method).double(), task_of(method).double()
    loss, wanted = at_once(whole, batch)
    losses = grad_cache(parts, split(batch, size), backward, nullcontext)
    assert any(isinstance(module, nn.BatchNorm1d) for module in parts.modules())
    torch.testing.assert_close(losses["loss"], loss)
    same(gradients(parts), wanted)
    same(dict(parts.named_buffers()), dict(whole.named_buffers()))


ADDING = [DiceCrossEntropy(), CrossEntropy(), MaskedModelling(patch=4), LocalContrastive(projection=8, regions=6)]


@pytest.mark.parametrize("kind", ADDING, ids=lambda m: type(m).__name__)
def test_added_gradients_of_a_mean_over_images_are_those_of_the_whole_batch(kind):
    task, batch = network_task(kind).double(), doubled(whole_batch(masks=not hasattr(kind, "build")))
    with torch.no_grad():
        for parameter in task.parameters():  # away from the zero of instance norm's bias
            parameter.add_(0.1 * torch.randn_like(parameter))
    loss, wanted = at_once(task, batch)
    losses = accumulate_gradients(task, split(batch, 5), backward, nullcontext)
    torch.testing.assert_close(losses["loss"], loss)
    same(gradients(task), wanted)


def test_both_passes_have_the_same_dropout():
    class Dropping(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = nn.Sequential(nn.Flatten(), nn.Linear(256, 8), nn.Dropout(0.5), nn.Linear(8, 4))
            self.views = lambda batch: torch.stack([batch.images.float(), batch.images.flip(3).float()]) / 255
            self.targets = lambda views: views.new_empty(0, views.shape[1], 0)
            self.encode = lambda views: torch.stack([self.net(view) for view in views])

        def loss(self, features: Tensor, targets: Tensor, rows: Tensor) -> dict[str, Tensor]:
            one, two = features
            return {"loss": F.cross_entropy(one @ two.T, torch.arange(len(rows)))}

    torch.manual_seed(0)
    task, batch = Dropping(), whole_batch()
    parts = split(batch, 6)
    torch.manual_seed(3)
    features = torch.cat([task.encode(task.views(part)) for part in parts], 1)
    task.loss(features, features, batch.rows)["loss"].backward()
    wanted = {name: p.grad.clone() for name, p in task.named_parameters()}
    task.zero_grad()
    torch.manual_seed(3)
    grad_cache(task, parts, backward, nullcontext)
    same({name: p.grad for name, p in task.named_parameters()}, wanted, atol=1e-6)


def test_in_half_precision_every_weight_gets_its_gradient():
    task, batch = task_of(COMPARING[0]), whole_batch()
    half = partial(torch.autocast, "cpu", dtype=torch.bfloat16)
    with half():
        loss = task.training_step(batch)["loss"]
    loss.backward()
    wanted = gradients(task)
    grad_cache(task, split(batch, 6), backward, half)
    found = gradients(task)
    assert found.keys() == wanted.keys()
    for name, value in wanted.items():
        assert float((found[name] - value).norm()) <= 0.1 * float(value.norm()) + 1e-3, name


def test_activation_memory_depends_on_the_micro_batch_not_the_batch():
    kept: dict[int | None, int] = {}
    task, batch = task_of(COMPARING[0]), whole_batch(24)
    for size in (None, 12, 6, 3):
        held, most = 0, 0

        class Held:
            """A saved tensor, counted until the graph lets it go."""

            def __init__(self, tensor: Tensor) -> None:
                nonlocal held, most
                self.tensor = tensor
                held += tensor.numel() * tensor.element_size()
                most = max(most, held)

            def __del__(self) -> None:
                nonlocal held
                held -= self.tensor.numel() * self.tensor.element_size()

        with torch.autograd.graph.saved_tensors_hooks(Held, lambda saved: saved.tensor):
            if size is None:
                task.training_step(batch)["loss"].backward()
            else:
                grad_cache(task, split(batch, size), backward, nullcontext)
        assert held == 0
        kept[size] = most
    weights = sum(parameter.numel() * 4 for parameter in task.parameters())
    for size in (12, 6, 3):
        assert kept[size] < kept[None] * size / 24 + weights + 20_000


def test_parts_make_up_the_batch_and_none_is_a_single_image():
    for count in range(2, 24):
        batch = whole_batch(count, masks=True)
        for size in (2, 3, 7, 30):
            parts = split(batch, size)
            lengths = [len(part.rows) for part in parts]
            assert sum(lengths) == len(batch.rows)
            assert min(lengths) >= 2
            assert max(lengths) <= max(size, 3)
            assert torch.equal(torch.cat([part.rows for part in parts]), batch.rows)
            assert torch.equal(torch.cat([part.images for part in parts]), batch.images)
            assert torch.equal(torch.cat([part.masks for part in parts]), batch.masks)
    assert split(batch, None) == [batch]


@pytest.mark.parametrize("method", [COMPARING[0], COMPARING[-1]], ids=lambda m: type(m).__name__)
def test_training_in_parts_ends_where_training_at_once_does(method):
    ends, metrics = [], []
    for micro_batch in (None, 5):
        settings = FitSettings(2, 12, SGD(lr=0.003), precision="float32", micro_batch=micro_batch)
        task = task_of(method, VIEWS).double()  # float32 drifts apart where sums are taken in another order
        val = Batches(STORE, STORE.rows("val"), 12, 3, shuffle=False)
        result = fit(task, Batches(STORE, STORE.rows("train"), 12, 3), val, settings, LocalRuntime(), 0)
        ends.append(task.state_dict())
        metrics.append({name: value for name, value in result.history[-1].items() if name != "images_per_second"})
    same(ends[1], ends[0])
    assert metrics[1] == pytest.approx(metrics[0], rel=1e-5)
    assert {"val/embedding_std", "val/alignment", "gradient_norm"} <= metrics[1].keys()


def test_a_loss_that_cannot_be_had_in_parts_is_refused():
    rows = Batches(STORE, STORE.rows("train"), 8, 3, masks=True)
    settings = FitSettings(1, 8, micro_batch=4, precision="float32")
    for kind in (Denoise(), Dice(batch=True), DiceCrossEntropy(batch=True)):
        task = network_task(kind)
        with pytest.raises(
            UserError, match=f"micro_batch: the loss of {type(task).__name__} does not support micro-batching"
        ):
            fit(task, rows, None, settings, LocalRuntime(), 0)
    assert len(fit(network_task(Dice()), rows, None, settings, LocalRuntime(), 0).history) == 1
    with pytest.raises(ValueError, match="micro_batch is 1"):
        FitSettings(micro_batch=1)


class Shared(LocalRuntime):
    """One of two gloo workers."""

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


SHARED = [COMPARING[0], COMPARING[-1]]


def trained(method, runtime: LocalRuntime, micro_batch: int | None) -> dict[str, Tensor]:
    task = task_of(method, VIEWS).double()
    settings = FitSettings(1, 12, SGD(lr=0.01), precision="float32", micro_batch=micro_batch)
    fit(task, Batches(STORE, STORE.rows("train"), 12, 3), None, settings, runtime, 0)
    return task.state_dict()


def worker(rank: int, folder: str) -> None:
    join(rank, folder)
    torch.save([trained(method, Shared(rank), 2) for method in SHARED], f"{folder}/{rank}.pt")
    leave()


def test_two_workers_with_micro_batches_equal_one_with_the_whole_batch(tmp_path: Path) -> None:
    mp.spawn(worker, (str(tmp_path),), nprocs=2)
    one, other = (torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in (0, 1))
    for method, first, second in zip(SHARED, one, other, strict=True):
        same(first, trained(method, LocalRuntime(), None))
        same(first, second, rtol=0, atol=0)
