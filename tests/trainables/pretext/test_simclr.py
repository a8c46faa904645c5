"""NT-Xent against a literal reading of the paper's equation 1, and across workers."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from gloo import join, leave
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from trainables.networks.batchnorm import synchronise
from trainables.pretext.parts.nt_xent import nt_xent
from trainables.pretext.parts.projection import mlp


def by_the_equation(one: np.ndarray, two: np.ndarray, temperature: float) -> float:
    """The mean over all 2 N views of -log(exp(s_ij / t) / sum over k != i of exp(s_ik / t))."""
    views = np.concatenate([one, two])
    count = len(views)
    similarity = np.zeros((count, count))
    for i in range(count):
        for j in range(count):
            similarity[i, j] = views[i] @ views[j] / np.linalg.norm(views[i]) / np.linalg.norm(views[j])
    total = 0.0
    for i in range(count):
        j = (i + count // 2) % count
        others = [math.exp((similarity[i, k] - 1) / temperature) for k in range(count) if k != i]
        total += -((similarity[i, j] - 1) / temperature - math.log(sum(others)))
    return total / count


@pytest.mark.parametrize("temperature", [0.05, 0.1, 0.5, 1.0])
@pytest.mark.parametrize("images", [2, 7])
def test_it_is_the_papers_equation(temperature, images):
    noise = np.random.default_rng(images)
    one, two = noise.normal(size=(2, images, 5))
    loss, _ = nt_xent(torch.from_numpy(one), torch.from_numpy(two), temperature)
    assert float(loss) == pytest.approx(by_the_equation(one, two, temperature), abs=1e-9)


def test_its_gradient_is_that_of_finite_differences():
    one, two = torch.randn(2, 4, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    one.requires_grad_()
    assert torch.autograd.gradcheck(lambda x: nt_xent(x, two, 0.3)[0], (one,))


def test_it_stays_finite_and_right_at_a_small_temperature_in_single_precision():
    generator = torch.Generator().manual_seed(1)
    one, two = torch.randn(2, 64, 16, generator=generator)
    single, _ = nt_xent(one, two, 0.01)
    double, _ = nt_xent(one.double(), two.double(), 0.01)
    assert float(single) == pytest.approx(float(double), rel=1e-4)


def test_orthogonal_embeddings_have_full_accuracy_and_the_closed_form_loss():
    one = torch.eye(6)
    loss, accuracy = nt_xent(one, one, 0.1)
    assert float(accuracy) == 1
    assert float(loss) == pytest.approx(math.log(1 + 10 * math.exp(-10)), abs=1e-6)


class Embedder(nn.Module):
    """A convolution, batch norm and a projection head: what a SimCLR step has, in double precision."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.net = nn.Sequential(
            nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), mlp(4 * 16, 8, 5, output_norm=True)
        ).double()

    def forward(self, views: Tensor) -> Tensor:
        return nt_xent(*self.net(views).chunk(2), temperature=0.2)[0]


def worker(rank: int, images: Tensor, folder: str) -> None:
    join(rank, folder)
    half = images.shape[1] // 2
    views = torch.cat(list(images[:, rank * half : (rank + 1) * half]))
    model = DistributedDataParallel(synchronise(Embedder()))
    loss = model(views)
    loss.backward()
    mean = loss.detach().clone()
    dist.all_reduce(mean)
    if rank == 0:
        state = {name: p.grad for name, p in model.module.named_parameters()}
        torch.save(
            {"loss": mean / 2, "gradients": state, "buffers": dict(model.module.named_buffers())}, f"{folder}/out.pt"
        )
    del model, loss, views
    leave()


def test_two_workers_have_the_loss_and_gradients_of_one_with_the_whole_batch(tmp_path: Path):
    images = torch.randn(2, 8, 1, 6, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    whole = Embedder()
    loss = whole(torch.cat(list(images)))
    loss.backward()
    mp.spawn(worker, (images, str(tmp_path)), nprocs=2)
    shared = torch.load(tmp_path / "out.pt", weights_only=True)
    torch.testing.assert_close(shared["loss"], loss.detach(), rtol=0, atol=1e-6)
    for name, parameter in whole.named_parameters():
        torch.testing.assert_close(shared["gradients"][name], parameter.grad, rtol=0, atol=1e-6)
    for name, buffer in whole.named_buffers():
        torch.testing.assert_close(shared["buffers"][name], buffer, rtol=0, atol=1e-6)
