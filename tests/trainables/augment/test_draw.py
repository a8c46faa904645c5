import pytest
import torch

from trainables.augment.draw import Draw

DRAWN = {
    "uniform": lambda draw: draw.uniform(0, 1, 2),
    "normal": lambda draw: draw.normal(3),
    "chance": lambda draw: draw.chance(0.5),
    "integers": lambda draw: draw.integers(0, 9, 2),
    "field": lambda draw: draw.field(1, 5, 5),
    "forked": lambda draw: draw.fork("view", 1).field(4),
}


@pytest.mark.parametrize("name", DRAWN)
def test_a_row_gets_the_same_numbers_in_every_shard_and_part(name):
    whole = DRAWN[name](Draw(7, 10, 0, 10))
    assert torch.equal(whole[4:9], DRAWN[name](Draw(7, 10, 4, 5)))
    assert torch.equal(whole[6:8], DRAWN[name](Draw(7, 10, 4, 5).part(2, 2)))


def test_fields_are_standard_normal_and_of_each_row_its_own():
    field = Draw(3, 50, 0, 50).field(1, 40, 40)
    assert field.mean().abs() < 0.02
    assert field.std() == pytest.approx(1, abs=0.02)
    correlation = torch.corrcoef(field.flatten(1)) - torch.eye(50)
    assert correlation.abs().max() < 0.15
