import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from trainables.augment import batch_rng
from trainables.augment.batch_rng import BatchRNG

DRAWN = {
    "uniform": lambda rng: rng.uniform(0, 1, 2),
    "normal": lambda rng: rng.normal(3),
    "chance": lambda rng: rng.chance(0.5),
    "integers": lambda rng: rng.integers(0, 9, 2),
    "field": lambda rng: rng.field(1, 5, 5),
    "forked": lambda rng: rng.fork("view", 1).field(4),
}


@pytest.mark.parametrize("name", DRAWN)
def test_a_row_gets_the_same_numbers_in_every_shard_and_part(name):
    whole = DRAWN[name](BatchRNG(7, 10, 0, 10))
    assert torch.equal(whole[4:9], DRAWN[name](BatchRNG(7, 10, 4, 5)))
    assert torch.equal(whole[6:8], DRAWN[name](BatchRNG(7, 10, 4, 5).part(2, 2)))


def test_fields_are_standard_normal_and_of_each_row_its_own():
    field = BatchRNG(3, 50, 0, 50).field(1, 40, 40)
    assert field.mean().abs() < 0.02
    assert field.std() == pytest.approx(1, abs=0.02)
    correlation = torch.corrcoef(field.flatten(1)) - torch.eye(50)
    assert correlation.abs().max() < 0.15


def test_frames_of_a_sample_share_its_parameters_and_have_noise_of_their_own():
    plain, of_frames = BatchRNG(3, 4, 1, 2), BatchRNG(3, 4, 1, 2).of_frames(3)
    assert of_frames.count == 6
    torch.testing.assert_close(of_frames.uniform(0, 1, 2), plain.uniform(0, 1, 2).repeat_interleave(3, 0))
    forked = of_frames.fork("noise").normal()
    torch.testing.assert_close(forked, plain.fork("noise").normal().repeat_interleave(3))
    noise = of_frames.field(4, 4)
    assert len({tuple(frame.flatten().tolist()) for frame in noise}) == 6
    torch.testing.assert_close(of_frames.part(1, 1).field(4, 4), noise[3:])


class Draws(TorchDispatchMode):
    """Counter of the operations that draw normal values."""

    count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.count += "normal_" in str(func)
        return func(*args, **(kwargs or {}))


@pytest.fixture
def _meta_device(monkeypatch):
    """Draw as for a GPU, on the meta device, which has no generators."""
    monkeypatch.setattr(batch_rng, "generator_on", lambda device: torch.Generator())


@pytest.mark.usefixtures("_meta_device")
@pytest.mark.parametrize(("first", "count", "most"), [(0, 100, 4), (40, 20, 1), (30, 4, 2)])
def test_a_gpu_draws_noise_in_blocks_of_rows(first, count, most):
    with Draws() as draws:
        noise = BatchRNG(3, 100, first, count, "meta").field(1, 8, 8)
    assert noise.shape == (count, 1, 8, 8)
    assert draws.count == most


@pytest.mark.parametrize("block", [1, 4, 32])
def test_noise_in_blocks_is_equal_in_every_shard_part_and_choice_of_rows(monkeypatch, block):
    monkeypatch.setattr(batch_rng, "CPU_FIELD_BLOCK", block)
    rng = BatchRNG(3, 50, 0, 50)
    whole = rng.field(1, 6, 6)
    assert len({tuple(row.flatten().tolist()) for row in whole}) == 50
    assert torch.equal(whole[13:40], BatchRNG(3, 50, 13, 27).field(1, 6, 6))
    assert torch.equal(whole[20:22], BatchRNG(3, 50, 13, 27).part(7, 2).field(1, 6, 6))
    rows = torch.tensor([1, 2, 9, 26])
    assert torch.equal(whole[13 + rows], BatchRNG(3, 50, 13, 27).of_rows(rows).field(1, 6, 6))
    assert rng.of_rows(rows[:0]).field(1, 6, 6).shape == (0, 1, 6, 6)
