"""New augmentation operations of every kind, each defined by a class and one field of a policy."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from study.config.problems import SpecError
from study.config.settings import parse
from trainables.augment.batch_rng import BatchRNG
from trainables.augment.intensity import Jitter
from trainables.augment.operation import (
    AffineOperation,
    DisplacementOperation,
    IntensityOperation,
    PointwiseOperation,
)
from trainables.augment.policy import Policy

OFF = {"crop": None, "flip": None, "jitter": None, "blur": None}


@dataclass(frozen=True)
class Invert(PointwiseOperation):
    def __call__(self, images: Tensor, rng: BatchRNG, strength: float) -> Tensor:
        return 1 - images


@dataclass(frozen=True)
class TopDown(IntensityOperation):
    def __call__(self, images: Tensor, rng: BatchRNG, strength: float) -> Tensor:
        return images.flip(2)


@dataclass(frozen=True)
class FlipVertically(AffineOperation):
    p: float = 0.0

    def compose(
        self, matrix: Tensor, offset: Tensor, rng: BatchRNG, strength: float, size: tuple[int, int]
    ) -> tuple[Tensor, Tensor]:
        sign = torch.where(rng.chance(self.p), -1.0, 1.0)
        return matrix * torch.stack([torch.ones_like(sign), sign], 1).view(-1, 1, 2), offset


@dataclass(frozen=True)
class ShiftRows(DisplacementOperation):
    rows: int = 1

    def displacement(self, rng: BatchRNG, strength: float, size: tuple[int, int]) -> Tensor:
        field = torch.zeros(rng.count, 2, *size)
        field[:, 1] = 2 * self.rows / size[0]
        return field


@dataclass(frozen=True)
class Extended(Policy):
    flip_vertically: FlipVertically | None = None
    shift_rows: ShiftRows | None = None
    more_rows: ShiftRows | None = None
    invert: Invert | None = None
    top_down: TopDown | None = None


def apply(policy: Policy, images: Tensor) -> Tensor:
    return policy.apply(images, None, BatchRNG(0, len(images), 0, len(images)))[0]


@pytest.fixture(params=["uint8", "float"])
def images(request: pytest.FixtureRequest) -> Tensor:
    pixels = torch.randint(0, 256, (3, 1, 16, 16), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    return pixels if request.param == "uint8" else pixels.float() / 255


@pytest.mark.parametrize(
    ("mapping", "expected"),
    [
        ({"invert": {}}, lambda values: 1 - values),
        ({"top_down": {}}, lambda values: values.flip(2)),
        ({"flip_vertically": {"p": 1.0}}, lambda values: values.flip(2)),
        ({"shift_rows": {"rows": 3}}, lambda values: torch.nn.functional.pad(values[:, :, 3:], (0, 0, 0, 3))),
        (
            {"shift_rows": {}, "more_rows": {"rows": 2}, "invert": {}},
            lambda values: 1 - torch.nn.functional.pad(values[:, :, 3:], (0, 0, 0, 3)),
        ),
        ({"flip_vertically": {}, "invert": {}, "strength": 0}, lambda values: values),
    ],
)
def test_a_new_operation_works_from_a_study_file(mapping, expected, images):
    policy = parse(Extended, OFF | mapping)
    values = images / 255 if images.dtype == torch.uint8 else images
    torch.testing.assert_close(apply(policy, images), expected(values), rtol=0, atol=2e-5)


def test_a_new_operation_leaves_the_random_numbers_of_the_others_unchanged(images):
    policy = parse(Extended, {"flip": None, "top_down": {}})
    torch.testing.assert_close(apply(policy, images).flip(2), apply(Policy(flip=None), images))


def test_invalid_settings_of_a_new_operation_are_reported():
    with pytest.raises(SpecError, match=r"flip_verticaly.*did you mean 'flip_vertically'"):
        parse(Extended, {"flip_verticaly": {"p": 1.0}})
    with pytest.raises(SpecError, match="a number"):
        parse(Extended, {"flip_vertically": {"p": "often"}})


def test_jitter_is_the_first_pointwise_operation():
    """Check the order that makes the image means of jitter valid on the uint8 path."""
    policy = parse(Policy, {"gamma": {}, "solarise": {}, "compression": {}})
    pointwise = [name for name, operation in policy.active().items() if isinstance(operation, PointwiseOperation)]
    assert pointwise == ["jitter", "gamma", "solarise", "compression"]
    assert isinstance(policy.jitter, Jitter)
